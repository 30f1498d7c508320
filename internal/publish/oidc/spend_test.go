package oidc_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// publish publishes bytes as a version of @acme/ui.
func (w *world) publish(actor evidence.Actor, version, content string) error {
	w.t.Helper()
	return w.publishAs(actor, "@acme/ui", version, content)
}

func (w *world) publishAs(actor evidence.Actor, name, version, content string) error {
	w.t.Helper()
	u, err := w.core.Blobs().Create(w.t.Context())
	must(w.t, err)
	_, err = u.Write([]byte(content))
	must(w.t, err)
	d, err := u.Commit(w.t.Context(), "")
	must(w.t, err)
	return w.core.Publish(w.t.Context(), actor, registry.Upload{
		Ecosystem: purl.NPM, Name: name, Version: version, PURL: purl.New(purl.NPM, name, version), Artifact: d, Size: int64(len(content)),
	})
}

func TestASingleTokenPublishesOneVersionAlsoWhenTwoTryAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	m, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	actor := w.login(m.Secret)
	versions := []string{"1.0.0", "1.0.1", "1.0.2", "1.0.3"}
	errs := make([]error, len(versions))
	var all sync.WaitGroup
	for n, v := range versions {
		all.Go(func() { errs[n] = w.publish(actor, v, "content of "+v) })
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if fault.As(err).Code != "workload-spent" {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("one token published %d versions", made)
	}
}

func TestATokenThatIsBoundToADigestPublishesNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	m, err := w.Exchange(t.Context(), oidc.Request{
		Ecosystem: purl.NPM, Name: "@acme/ui", Token: i.Token(audience, oidctest.GitHub()), Audience: audience, RemoteAddr: "192.0.2.7:1",
		Digests: []digest.Digest{digest.FromBytes([]byte("the build"))},
	})
	must(t, err)
	actor := w.login(m.Secret)
	wantCode(t, w.publish(actor, "1.0.0", "something else"), "workload-digest")
	must(t, w.publish(actor, "1.0.0", "the build"))
	statements, err := w.record.About(t.Context(), string(purl.New(purl.NPM, "@acme/ui", "1.0.0")), -1, 10)
	must(t, err)
	refusal, err := evidence.Decode[evidence.Decision](statements[0])
	must(t, err)
	if refusal.Code != "workload-digest" || refusal.Actor.Workload == nil {
		t.Errorf("the refusal is recorded as %+v", refusal)
	}
	publication, err := evidence.Decode[evidence.Publication](statements[1])
	must(t, err)
	if a := publication.Actor; a.Method != "oidc" || a.Workload.Provider != "github" || a.Workload.Claims["sha"] == "" {
		t.Errorf("the publication is by %+v", a)
	}
}

func TestATokenEndsWithItsTimeAndWithItsPublisher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := w.trust(github(i.URL))
	m, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	actor := w.login(m.Secret)
	must(t, w.Remove(t.Context(), w.olga, purl.NPM, "@acme/ui", p.ID))
	wantCode(t, w.accounts.Authorize(t.Context(), actor, evidence.Publish, purl.NPM, "@acme/ui"), "credential-invalid")
	_, err = w.accounts.AuthenticateSecret(t.Context(), "token", m.Secret, "192.0.2.7:1")
	wantCode(t, err, "credential-invalid")

	w.trust(github(i.URL))
	m, err = w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	actor = w.login(m.Secret)
	w.pass(15*time.Minute + time.Second)
	wantCode(t, w.accounts.Authorize(t.Context(), actor, evidence.Publish, purl.NPM, "@acme/ui"), "token-expired")
	wantCode(t, w.publish(actor, "1.0.0", "late"), "token-expired")
}

func TestAWorkloadTokenIsTakenWhereATokenIsAndIsNotForAnyUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	m, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	for user, good := range map[string]bool{"token": true, "__token__": true, "olga": false, "oidc": false} {
		_, err := w.accounts.AuthenticateSecret(t.Context(), user, m.Secret, "192.0.2.7:1")
		if (err == nil) != good {
			t.Errorf("user %s: %v", user, err)
		}
	}
	changed := m.Secret[:len(m.Secret)-1] + map[bool]string{true: "b", false: "a"}[strings.HasSuffix(m.Secret, "a")]
	_, err = w.accounts.AuthenticateSecret(t.Context(), "token", changed, "192.0.2.7:1")
	wantCode(t, err, "credential-invalid")
	_, err = w.accounts.Members(t.Context(), w.login(m.Secret), "acme")
	wantCode(t, err, "workload-denied")
	wantCode(t, w.accounts.CreateUser(t.Context(), w.admin, "tp_someone", ""), "name-invalid")
}

func TestAStageOnlyPublisherDoesNotPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := github(i.URL)
	p.Permission = evidence.Stage
	w.trust(p)
	m, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	actor := w.login(m.Secret)
	must(t, w.accounts.Authorize(t.Context(), actor, evidence.Stage, purl.NPM, "@acme/ui"))
	must(t, w.accounts.Authorize(t.Context(), actor, evidence.Read, purl.NPM, "@acme/ui"))
	wantCode(t, w.publish(actor, "1.0.0", "content"), "stage-only")
}
