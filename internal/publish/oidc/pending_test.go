package oidc_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

// waiting is a publisher that waits for a name on behalf of an organisation.
func waiting(issuer, name, organisation, repository string) oidc.Publisher {
	p := github(issuer)
	p.Name, p.Organisation, p.Claims["repository"] = name, organisation, repository
	return p
}

func of(repository string) map[string]any {
	claims := with(oidctest.GitHub(), "repository", repository)
	for _, at := range []string{"workflow_ref", "job_workflow_ref"} {
		claims[at] = repository + "/.github/workflows/release.yml@refs/heads/main"
	}
	return claims
}

func TestTheFirstTokenClaimsTheNameForItsOrganisationAndEndsTheRivals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	mine, err := w.Add(t.Context(), w.olga, waiting(i.URL, "left-pad", "acme", "acme/left-pad"))
	must(t, err)
	_, err = w.Add(t.Context(), w.rita, waiting(i.URL, "left-pad", "rival", "rival/left-pad"))
	must(t, err)
	if !mine.Pending {
		t.Error("the publisher of a name that nobody owns is not pending")
	}
	m, err := w.exchangeFor("left-pad", i.Token(audience, of("acme/left-pad")))
	must(t, err)
	must(t, w.accounts.Authorize(t.Context(), w.login(m.Secret), evidence.Publish, purl.NPM, "left-pad"))
	must(t, w.accounts.Authorize(t.Context(), w.olga, evidence.Own, purl.NPM, "left-pad"))
	wantCode(t, w.accounts.Authorize(t.Context(), w.rita, evidence.Publish, purl.NPM, "left-pad"), "namespace-not-yours")

	_, err = w.exchangeFor("left-pad", i.Token(audience, of("rival/left-pad")))
	wantCode(t, err, "publisher-unknown")
	left, err := w.ListPending(t.Context(), w.rita, "rival")
	must(t, err)
	if len(left) != 0 {
		t.Errorf("the rival still waits: %+v", left)
	}
	found, err := w.List(t.Context(), w.olga, purl.NPM, "left-pad")
	must(t, err)
	if len(found) != 1 || found[0].Pending || found[0].ID != mine.ID {
		t.Errorf("the name trusts %+v", found)
	}
	_, err = w.exchangeFor("left-pad", i.Token(audience, of("acme/left-pad")))
	must(t, err)
}

func TestOfTwoPipelinesThatWaitForANameOneGetsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	tokens := make([]string, 2)
	for n, organisation := range []string{"acme", "rival"} {
		actor := []evidence.Actor{w.olga, w.rita}[n]
		_, err := w.Add(t.Context(), actor, waiting(i.URL, "raced", organisation, organisation+"/raced"))
		must(t, err)
		tokens[n] = i.Token(audience, of(organisation+"/raced"))
	}
	errs := make([]error, 2)
	var both sync.WaitGroup
	for n, token := range tokens {
		both.Go(func() { _, errs[n] = w.exchangeFor("raced", token) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("the exchanges ended with %v and %v", errs[0], errs[1])
	}
	owner, err := w.accounts.HolderOf(t.Context(), nil, purl.NPM, "raced")
	must(t, err)
	if want := map[bool]string{true: "acme", false: "rival"}[errs[0] == nil]; owner != want {
		t.Errorf("the name is %s's, the token %s's", owner, want)
	}
}

func TestWhoIsNoOwnerAnyMoreClaimsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	must(t, w.accounts.SetMember(t.Context(), w.olga, "acme", "rita", account.Owner))
	_, err := w.Add(t.Context(), w.rita, waiting(i.URL, "left-pad", "acme", "mallory/left-pad"))
	must(t, err)
	must(t, w.accounts.RemoveMember(t.Context(), w.olga, "acme", "rita"))
	token := i.Token(audience, of("mallory/left-pad"))
	_, err = w.exchangeFor("left-pad", token)
	wantCode(t, err, "organisation-unknown")
	owner, err := w.accounts.HolderOf(t.Context(), nil, purl.NPM, "left-pad")
	must(t, err)
	if owner != "" {
		t.Errorf("the name is %s's", owner)
	}
}

func TestAnAccountRegistersTenPendingPublishersADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	for n := range 10 {
		p, err := w.Add(t.Context(), w.olga, waiting(i.URL, fmt.Sprintf("name%d", n), "acme", "acme/x"))
		must(t, err)
		must(t, w.RemovePending(t.Context(), w.olga, "acme", p.ID)) // removing does not make room
	}
	_, err := w.Add(t.Context(), w.olga, waiting(i.URL, "name10", "acme", "acme/x"))
	wantCode(t, err, "publisher-limit")
	w.pass(24*time.Hour + time.Minute)
	_, err = w.Add(t.Context(), w.olga, waiting(i.URL, "name10", "acme", "acme/x"))
	must(t, err)
}

func TestAPipelineDoesNotWaitForWhatCannotBeANameOrIsSomebodys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	for name, code := range map[string]string{"@rival/x": "namespace-not-yours", "Not A Name": "name-invalid", "node_modules": "name-invalid"} {
		_, err := w.Add(t.Context(), w.olga, waiting(i.URL, name, "acme", "acme/x"))
		wantCode(t, err, code)
	}
	_, err := w.Add(t.Context(), w.olga, waiting(i.URL, "left-pad", "rival", "acme/x"))
	wantCode(t, err, "organisation-unknown")
	_, err = w.Add(t.Context(), w.olga, waiting(i.URL, "left-pad", "", "acme/x"))
	wantCode(t, err, "namespace-unowned")
}
