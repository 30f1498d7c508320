package account

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// TestOneModelOwnsTheNamesOfEveryEcosystem claims a pattern and asks who may publish which names.
func TestOneModelOwnsTheNamesOfEveryEcosystem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ecosystem, claimed string
		covered, others    []string
	}{
		{"npm", "@acme", []string{"@acme/ui"}, []string{"@acme-x/ui", "acme"}},
		{"npm", "acme-ui", []string{"acme-ui"}, []string{"acme-ui-kit"}},
		{"oci", "acme", []string{"acme", "acme/ui", "acme/team/ui"}, []string{"acmes", "other/acme"}},
		{"pypi", "acme-*", []string{"acme", "acme-ui", "acme-ui-kit"}, []string{"acmeui", "my-acme"}},
		{"pypi", "Acme.UI", []string{"acme-ui"}, []string{"acme-ui-kit", "acme"}},
		{"gem", "acme-*", []string{"acme", "acme-ui"}, []string{"acme_ui", "acmes"}},
		{"nuget", "Acme.*", []string{"acme", "acme.ui", "acme.ui.kit"}, []string{"acmeui", "acme-ui"}},
		{"nuget", "Acme.UI", []string{"acme.ui"}, []string{"acme.ui.kit"}},
		{"maven", "com.acme", []string{"com.acme/ui", "com.acme.team/ui"}, []string{"com.acmes/ui", "com/acme", "org.acme/ui"}},
	} {
		t.Run(c.ecosystem+" "+c.claimed, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			boss, _ := w.user("boss")
			w.must(w.CreateOrganisation(w.ctx, boss, "acme"))
			w.must(w.ClaimNamespace(w.ctx, boss, "acme", c.ecosystem, c.claimed, Private))
			if c.ecosystem == "maven" {
				_, err := w.VouchNamespace(w.ctx, w.admin, c.ecosystem, c.claimed)
				w.must(err)
			}
			for _, name := range c.covered {
				w.must(w.Authorize(w.ctx, boss, evidence.Publish, c.ecosystem, name))
			}
			for _, name := range c.others {
				w.refused(w.Authorize(w.ctx, boss, evidence.Publish, c.ecosystem, name), "namespace-unowned")
			}
		})
	}
}

func TestAPrefixIsNotClaimedAroundNamesOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, _ := w.user("boss")
	rival, _ := w.user("rival")
	w.must(w.CreateOrganisation(w.ctx, boss, "acme"))
	w.must(w.CreateOrganisation(w.ctx, rival, "rivals"))
	w.must(w.ClaimNamespace(w.ctx, rival, "rivals", "pypi", "acme-plugin", Private))
	w.refused(w.ClaimNamespace(w.ctx, boss, "acme", "pypi", "acme-*", Private), "namespace-occupied")
	w.must(w.ClaimSimilarNamespace(w.ctx, w.admin, "acme", "pypi", "acme-*", Private))
	w.must(w.Authorize(w.ctx, rival, evidence.Publish, "pypi", "acme-plugin"))
	w.refused(w.Authorize(w.ctx, boss, evidence.Publish, "pypi", "acme-plugin"), "namespace-not-yours")
	w.refused(w.ClaimNamespace(w.ctx, rival, "rivals", "pypi", "acme-tools", Private), "namespace-not-yours")
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "pypi", "acme-team-*", Private))
}

func TestANameThatPeopleWouldTakeForAnotherIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, _ := w.user("boss")
	rival, _ := w.user("rival")
	w.must(w.CreateOrganisation(w.ctx, boss, "acme"))
	w.must(w.CreateOrganisation(w.ctx, rival, "rivals"))
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "npm", "acme-billing", Private))
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "npm", "acme-billin", Private)) // one's own
	for pattern, code := range map[string]string{
		"acme_billing": "name-similar", "acme-biling": "name-similar", "loadsh": "name-similar", "@bable": "name-similar",
		"lodash": "name-known", "@babel": "name-known", "billing-of-rivals": "",
	} {
		err := w.ClaimNamespace(w.ctx, rival, "rivals", "npm", pattern, Private)
		if code == "" {
			w.must(err)
		} else {
			w.refused(err, code)
		}
	}
	w.refused(w.ClaimSimilarNamespace(w.ctx, rival, "rivals", "npm", "loadsh", Private), "admin-required")
	w.must(w.ClaimSimilarNamespace(w.ctx, w.admin, "rivals", "npm", "loadsh", Private))
}

// zone is a resolver that a test changes.
type zone struct {
	records map[string][]string
	down    bool
}

func (z *zone) LookupTXT(_ context.Context, domain string) ([]string, error) {
	if z.down {
		return nil, errors.New("no answer")
	}
	if r, ok := z.records[domain]; ok {
		return r, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
}

func (z *zone) LookupMX(ctx context.Context, domain string) ([]*net.MX, error) {
	_, err := z.LookupTXT(ctx, domain)
	return nil, err
}

func (z *zone) LookupHost(ctx context.Context, domain string) ([]string, error) {
	return z.LookupTXT(ctx, domain)
}

func TestAGroupIDIsPublishedToWhileItsDomainIsProved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dns := &zone{records: map[string][]string{}}
	w.WithResolver(dns)
	boss, _ := w.user("boss")
	w.must(w.CreateOrganisation(w.ctx, boss, "acme"))
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "maven", "com.acme", Private))
	may := func() error { return w.Authorize(w.ctx, boss, evidence.Publish, "maven", "com.acme.team/ui") }
	w.refused(may(), "namespace-unproven")
	w.must(w.Authorize(w.ctx, boss, evidence.Read, "maven", "com.acme/ui"))

	_, err := w.ProveNamespace(w.ctx, boss, "maven", "com.acme")
	w.refused(err, "proof-missing")
	p, err := w.NamespaceProof(w.ctx, boss, "maven", "com.acme")
	w.must(err)
	if p.Domain != "acme.com" || p.Valid {
		t.Fatalf("proof %+v", p)
	}
	dns.records["acme.com."] = []string{"v=spf1 -all", p.Record}
	p, err = w.ProveNamespace(w.ctx, boss, "maven", "com.acme")
	w.must(err)
	if !p.Valid || p.Proven.IsZero() {
		t.Errorf("proof %+v", p)
	}
	w.must(may())
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "maven", "com.acme.data", Private)) // inside: no proof of its own
	w.must(w.Authorize(w.ctx, boss, evidence.Publish, "maven", "com.acme.data/x"))

	// The domain expires: after a week without the record, publishing stops.
	delete(dns.records, "acme.com.")
	verify := func(days int) {
		t.Helper()
		w.clk.advance(time.Duration(days) * 24 * time.Hour)
		_, err := w.VerifyNamespaces(w.ctx)
		w.must(err)
	}
	verify(1)
	verify(6)
	w.must(may())
	dns.down = true // a name server that is away says nothing
	verify(30)
	w.must(may())
	dns.down = false
	verify(1)
	w.refused(may(), "namespace-unproven")
	dns.records["acme.com."] = []string{p.Record}
	verify(1)
	w.must(may())
}

func TestATransferEndsWhatTheOldOwnerGave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, _ := w.user("boss")
	rival, _ := w.user("rival")
	helper, _ := w.user("plumber")
	w.organisation(boss, "acme", "npm", "@acme", Private)
	w.must(w.CreateOrganisation(w.ctx, rival, "rivals"))
	w.must(w.SetPackageRole(w.ctx, boss, "npm", "@acme/ui", "plumber", Maintainer))
	w.must(w.Authorize(w.ctx, helper, evidence.Publish, "npm", "@acme/ui"))
	var ended []string
	w.OnTransfer(func(_ context.Context, _ *sql.Tx, ecosystem, pattern string) error {
		ended = append(ended, ecosystem+" "+pattern)
		return nil
	})

	w.refused(w.OfferNamespace(w.ctx, rival, "npm", "@acme", "rivals"), "organisation-unknown")
	w.refused(w.AcceptNamespace(w.ctx, rival, "rivals", "npm", "@acme"), "transfer-unknown")
	w.must(w.OfferNamespace(w.ctx, boss, "npm", "@acme", "rivals"))
	w.refused(w.AcceptNamespace(w.ctx, boss, "rivals", "npm", "@acme"), "organisation-unknown")
	w.clk.advance(8 * 24 * time.Hour)
	w.refused(w.AcceptNamespace(w.ctx, rival, "rivals", "npm", "@acme"), "transfer-unknown")
	w.must(w.OfferNamespace(w.ctx, boss, "npm", "@acme", "rivals"))
	w.must(w.AcceptNamespace(w.ctx, rival, "rivals", "npm", "@acme"))

	w.must(w.Authorize(w.ctx, rival, evidence.Own, "npm", "@acme/ui"))
	w.refused(w.Authorize(w.ctx, boss, evidence.Publish, "npm", "@acme/ui"), "namespace-not-yours")
	w.refused(w.Authorize(w.ctx, helper, evidence.Publish, "npm", "@acme/ui"), "namespace-not-yours")
	if !slices.Equal(ended, []string{"npm @acme"}) {
		t.Errorf("ended %v", ended)
	}
	w.refused(w.AcceptNamespace(w.ctx, rival, "rivals", "npm", "@acme"), "transfer-unknown")
}
