package oidc_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

// every exchanges a token without saying for what.
func (w *world) every(token string) (oidc.Minted, error) { return w.exchangeFor("", token) }

// trusts registers acme/ui's release workflow for a name of acme's.
func (w *world) trusts(issuer, name string, permission evidence.Permission) oidc.Publisher {
	w.t.Helper()
	p := github(issuer)
	p.Name, p.Permission = name, permission
	return w.trust(p)
}

func TestATokenWithoutANameIsForEveryNameThatTrustsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	ui := w.trusts(i.URL, "@acme/ui", evidence.Publish)
	kit := w.trusts(i.URL, "@acme/kit", evidence.Stage)
	// Another workflow of the same repository, and another repository's publisher of a third name.
	docs := github(i.URL)
	docs.Name, docs.Claims = "@acme/docs", map[string]string{"repository": "acme/ui", "workflow": "docs.yml"}
	w.trust(docs)
	theirs := github(i.URL)
	theirs.Name, theirs.Claims = "@rival/mine", map[string]string{"repository": "rival/mine", "workflow": "release.yml"}
	_, err := w.Add(t.Context(), w.rita, theirs)
	must(t, err)

	m, err := w.Exchange(t.Context(), oidc.Request{
		Ecosystem: purl.NPM, Token: i.Token(audience, oidctest.GitHub()), Audience: audience, RemoteAddr: "192.0.2.7:1",
	})
	must(t, err)
	if want := []string{"@acme/kit", "@acme/ui"}; !slices.Equal(m.Names, want) {
		t.Fatalf("the token is for %q, want %q", m.Names, want)
	}
	actor, ctx := w.login(m.Secret), t.Context()
	must(t, w.accounts.Authorize(ctx, actor, evidence.Publish, purl.NPM, "@acme/ui"))
	must(t, w.accounts.Authorize(ctx, actor, evidence.Stage, purl.NPM, "@acme/kit"))
	for _, name := range []string{"@acme/kit", "@acme/docs", "@rival/mine"} {
		wantCode(t, w.accounts.Authorize(ctx, actor, evidence.Publish, purl.NPM, name), "token-scope")
	}
	// The tokens of another ecosystem are not these.
	wantCode(t, w.accounts.Authorize(ctx, actor, evidence.Publish, purl.PyPI, "ui"), "token-scope")

	for name, p := range map[string]oidc.Publisher{"@acme/ui": ui, "@acme/kit": kit} {
		if got := w.accounts.ActingOn(ctx, actor, purl.NPM, name); got.Account != p.ID || got.Workload.Publisher != p.ID {
			t.Errorf("on %s acts %s, want its own publisher %s", name, got.Account, p.ID)
		}
		all := w.decisions(name)
		if last := all[len(all)-1]; last.Action != "exchange" || last.Actor.Account != p.ID || last.Actor.Credential != m.Credential {
			t.Errorf("the record says of %s: %+v", name, last)
		}
	}
	must(t, w.publishAs(actor, "@acme/ui", "1.0.0", "content"))
	r, err := w.core.Release(ctx, purl.NPM, "@acme/ui", "1.0.0")
	must(t, err)
	if r.Publisher != ui.ID {
		t.Errorf("@acme/ui was published by %s, want %s", r.Publisher, ui.ID)
	}
	wantCode(t, w.publishAs(actor, "@acme/kit", "1.0.0", "content"), "stage-only")
}

func TestATokenForEveryNameIsExchangedOnceLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trusts(i.URL, "@acme/ui", evidence.Publish)
	w.trusts(i.URL, "@acme/kit", evidence.Publish)
	token := i.Token(audience, oidctest.GitHub())
	const clients = 8
	errs := make([]error, clients)
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() { _, errs[n] = w.every(token) })
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		wantCode(t, err, "identity-token-used")
	}
	if made != 1 {
		t.Errorf("%d of %d exchanges were made with one token", made, clients)
	}
	_, err := w.exchange(token) // nor by naming one of them
	wantCode(t, err, "identity-token-used")
}

func TestASingleTokenForEveryNamePublishesOneArtifactInAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trusts(i.URL, "@acme/ui", evidence.Publish)
	w.trusts(i.URL, "@acme/kit", evidence.Publish)
	m, err := w.every(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	actor := w.login(m.Secret)
	must(t, w.publishAs(actor, "@acme/ui", "1.0.0", "content"))
	wantCode(t, w.publishAs(actor, "@acme/kit", "1.0.0", "other content"), "workload-spent")
}

func TestATokenLosesTheNameWhosePublisherIsRemovedAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	ui := w.trusts(i.URL, "@acme/ui", evidence.Publish)
	kit := w.trusts(i.URL, "@acme/kit", evidence.Publish)
	m, err := w.every(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	ctx := t.Context()
	must(t, w.Remove(ctx, w.olga, purl.NPM, "@acme/kit", kit.ID))
	actor := w.login(m.Secret)
	if actor.Account != ui.ID {
		t.Errorf("the actor is %s, want %s", actor.Account, ui.ID)
	}
	wantCode(t, w.accounts.Authorize(ctx, actor, evidence.Publish, purl.NPM, "@acme/kit"), "token-scope")
	must(t, w.accounts.Authorize(ctx, actor, evidence.Publish, purl.NPM, "@acme/ui"))
	must(t, w.Remove(ctx, w.olga, purl.NPM, "@acme/ui", ui.ID))
	_, err = w.accounts.AuthenticateSecret(ctx, "token", m.Secret, "192.0.2.7:1")
	wantCode(t, err, "credential-invalid")
}

func TestATokenWithoutANameClaimsWhatWaitsForItAndLeavesOutWhatItCannotClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trusts(i.URL, "@acme/ui", evidence.Publish)
	_, err := w.Add(t.Context(), w.olga, waiting(i.URL, "left-pad", "acme", "acme/ui"))
	must(t, err)
	// Who waits for the other name on acme's behalf may not do so any more when the token comes.
	must(t, w.accounts.SetMember(t.Context(), w.olga, "acme", "rita", account.Owner))
	_, err = w.Add(t.Context(), w.rita, waiting(i.URL, "right-pad", "acme", "acme/ui"))
	must(t, err)
	must(t, w.accounts.RemoveMember(t.Context(), w.olga, "acme", "rita"))
	m, err := w.every(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	if want := []string{"@acme/ui", "left-pad"}; !slices.Equal(m.Names, want) {
		t.Errorf("the token is for %q, want %q", m.Names, want)
	}
	must(t, w.accounts.Authorize(t.Context(), w.login(m.Secret), evidence.Publish, purl.NPM, "left-pad"))
	must(t, w.accounts.Authorize(t.Context(), w.olga, evidence.Own, purl.NPM, "left-pad"))
	owner, err := w.accounts.HolderOf(t.Context(), nil, purl.NPM, "right-pad")
	must(t, err)
	if owner != "" {
		t.Errorf("right-pad is %s's", owner)
	}
}

func TestARunThatNoNameTrustsHearsWhatDiffersOnlyFromItsOwnRepositorysPublishers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trusts(i.URL, "@acme/ui", evidence.Publish)
	run := with(oidctest.GitHub(), "event_name", "pull_request_target")
	_, err := w.every(i.Token(audience, run))
	wantCode(t, err, "publisher-mismatch")
	all := w.decisions("@acme/ui")
	last := all[len(all)-1]
	if last.Verdict != "deny" || last.Code != "publisher-mismatch" || last.Actor.Account != "" {
		t.Errorf("the record says %+v", last)
	}
	_, err = w.every(i.Token(audience, of("mallory/ui")))
	wantCode(t, err, "publisher-unknown")
}
