package oidc_test

// The findings of the security review of PyPI that Trail of Bits published in April 2026 (TOB-PYPI26-1 to
// -14), as tests of what each means here. Those of other parts of the program are named beside the others, with
// the test that stands for them:
//
//	 3  verification badge bypass: nothing here shows an address of a package's metadata as verified
//	 5  password reset tells who is an administrator: account.TestARecoveryIsCancelledByWhoIsSignedInAndTellsStrangersNothing
//	 6  address ban bypassed by tokens: account.TestATokenIsUsableOnlyFromItsNetworks, on every path
//	 9  TOTP replayed with a space: account.TestACodeWorksOnceHoweverItIsSpelt
//	10  metadata that contradicts the artifact: registry/npm, "manifest-confusion"
//	 7, 8  a route that changes something under a permission to read: app.TestNoRouteThatChangesAnythingAsksOnlyToRead
//	    and the authorisation matrix

import (
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestFinding01ATokenIsNotTakenAgainInsideTheLeeway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	token := i.Token(audience, oidctest.GitHub()) // valid for five minutes
	_, err := w.exchange(token)
	must(t, err)
	for _, wait := range []time.Duration{4 * time.Minute, time.Minute + 5*time.Second, 10 * time.Second, 10 * time.Second} {
		w.pass(wait) // up to 25 seconds behind its end, where the leeway still takes it
		// Another exchange cleans up what has been kept long enough.
		_, err = w.exchange(i.Token(audience, oidctest.GitHub()))
		must(t, err)
		_, err = w.exchange(token)
		wantCode(t, err, "identity-token-used")
	}
	w.pass(10 * time.Second)
	_, err = w.exchange(token)
	wantCode(t, err, "identity-token-invalid")
}

func TestFinding02OfTwoExchangesAtOnceWithOneTokenOneIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	token := i.Token(audience, oidctest.GitHub())
	const clients = 16
	errs := make([]error, clients)
	var all sync.WaitGroup
	start := make(chan struct{})
	for n := range clients {
		all.Go(func() {
			<-start
			_, errs[n] = w.exchange(token)
		})
	}
	close(start)
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
}

func TestFinding02ATokenWithoutIdentifierIsNotTakenAgainWithAnotherSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	key := oidctest.ECKey(t)
	i.SetKeys(jose.JSONWebKey{Key: key, KeyID: "ec", Algorithm: "ES256", Use: "sig"})
	w.trust(github(i.URL))
	claims := i.Claims(audience, oidctest.GitHub())
	delete(claims, "jti")
	_, err := w.exchange(i.Sign(claims))
	must(t, err)
	_, err = w.exchange(i.Sign(claims)) // ECDSA signs anew each time
	wantCode(t, err, "identity-token-used")
}

func TestFinding04RemovingAPublisherIsOnTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := w.trust(github(i.URL))
	must(t, w.Remove(t.Context(), w.olga, purl.NPM, "@acme/ui", p.ID))
	got := w.decisions("@acme/ui")
	if len(got) != 2 || got[0].Action != "trust" || got[1].Action != "untrust" || got[1].Actor.Account != "olga" {
		t.Errorf("the record says %+v", got)
	}
}

func TestFinding07ASiteAdministratorDoesNotAddPublishers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	_, err := w.Add(t.Context(), w.admin, github(i.URL))
	wantCode(t, err, "namespace-not-yours")
	p := github(i.URL)
	p.Name, p.Organisation = "left-pad", "acme"
	_, err = w.Add(t.Context(), w.admin, p)
	wantCode(t, err, "organisation-unknown")
}

func TestFinding08WhoMayReadOrPublishDoesNotAddPublishers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	for role, want := range map[account.Role]string{account.Reader: "namespace-not-yours", account.Maintainer: "namespace-not-yours"} {
		name := "member-" + string(role)
		must(t, w.accounts.CreateUser(t.Context(), w.admin, name, ""))
		must(t, w.accounts.SetMember(t.Context(), w.olga, "acme", name, role))
		secret, _, err := w.accounts.CreateToken(t.Context(), w.admin, account.Token{Account: name, Scope: account.Scope{Permission: evidence.Own}})
		must(t, err)
		_, err = w.Add(t.Context(), w.login(secret), github(i.URL))
		wantCode(t, err, want)
		_, err = w.List(t.Context(), w.login(secret), purl.NPM, "@acme/ui")
		wantCode(t, err, want)
	}
}

func TestFinding08ATrustedPublisherAddsNoPublishers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	m, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	other := github(i.URL)
	other.Claims = map[string]string{"repository": "mallory/ui", "workflow": "release.yml"}
	_, err = w.Add(t.Context(), w.login(m.Secret), other)
	wantCode(t, err, "token-scope")
	_, _, err = w.accounts.CreateToken(t.Context(), w.login(m.Secret), account.Token{Scope: account.Scope{
		Ecosystem: purl.NPM, Names: []string{"@acme/ui"}, Permission: evidence.Publish,
	}})
	wantCode(t, err, "workload-denied")
}

func TestFinding11APublisherIsRemovedThroughItsOwnNameAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := w.trust(github(i.URL))
	wantCode(t, w.Remove(t.Context(), w.rita, purl.NPM, "@rival/mine", p.ID), "publisher-missing")
	wantCode(t, w.Remove(t.Context(), w.rita, purl.NPM, "@acme/ui", p.ID), "namespace-not-yours")
	wantCode(t, w.RemovePending(t.Context(), w.rita, "rival", p.ID), "publisher-missing")
	_, err := w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
}

func TestFinding12AnIssuerIsNeverTakenForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public := github("") // of github.com
	w.trust(public)
	own := w.issuer("github")
	_, err := w.exchange(own.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-unknown")

	// Two servers of one company are as far apart.
	second := w.issuer("github")
	w.trust(github(second.URL))
	_, err = w.exchange(own.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-unknown")

	// A GitLab that says what a GitHub would say is read as a GitLab.
	lab := w.issuer("gitlab")
	p := github(lab.URL)
	_, err = w.Add(t.Context(), w.olga, p)
	wantCode(t, err, "publisher-invalid")
	_, err = w.exchange(lab.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-unknown")

	// A token that names one issuer and is signed by another's key, under that key's id.
	claims := own.Claims(audience, oidctest.GitHub())
	claims["iss"] = second.URL
	_, err = w.exchange(own.Sign(claims))
	wantCode(t, err, "identity-token-invalid")
}

func TestFinding12TwoIssuersMayUseTheSameIdentifiers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.issuer("github"), w.issuer("github")
	w.trust(github(one.URL))
	w.trust(github(two.URL))
	claims := oidctest.GitHub()
	claims["jti"] = "same"
	_, err := w.exchange(one.Token(audience, claims))
	must(t, err)
	_, err = w.exchange(two.Token(audience, claims))
	must(t, err)
}

func TestFinding13ANameThatMovesTakesNoPublisherAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	must(t, w.accounts.ClaimNamespace(t.Context(), w.olga, "acme", purl.OCI, "acme", account.Private))
	p := github(i.URL)
	p.Ecosystem, p.Name = purl.OCI, "acme/team/app"
	w.trust(p)
	exchange := func() (oidc.Minted, error) {
		return w.Exchange(t.Context(), oidc.Request{
			Ecosystem: purl.OCI, Name: p.Name, Token: i.Token("oci:registry.test", oidctest.GitHub()), Audience: "oci:registry.test", RemoteAddr: "192.0.2.7:1",
		})
	}
	m, err := exchange()
	must(t, err)
	former := w.login(m.Secret)

	// olga gives acme/team away to another organisation.
	must(t, w.accounts.SetMember(t.Context(), w.rita, "rival", "olga", account.Owner))
	must(t, w.accounts.ClaimNamespace(t.Context(), w.olga, "rival", purl.OCI, "acme/team", account.Private))
	must(t, w.accounts.RemoveMember(t.Context(), w.rita, "rival", "olga"))

	wantCode(t, w.accounts.Authorize(t.Context(), former, evidence.Publish, purl.OCI, p.Name), "namespace-not-yours")
	_, err = exchange()
	wantCode(t, err, "publisher-unknown")
	found, err := w.List(t.Context(), w.rita, purl.OCI, p.Name)
	must(t, err)
	if len(found) != 1 || len(found[0].Flags) != 2 {
		t.Errorf("the new owner sees %+v; it should be flagged as a former owner's", found)
	}
	// Who was removed from the organisation is flagged where they registered something, too.
	if got := found[0].Flags; got[0] != "creator-gone" || got[1] != "former-owner" {
		t.Errorf("the flags are %v", got)
	}
}

func TestFinding14WhatAnAdministratorChangesIsOnTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	must(t, w.RemoveIssuer(t.Context(), w.admin, i.URL))
	statements, err := w.record.About(t.Context(), oidc.IssuerSubject(i.URL).Name, -1, 10)
	must(t, err)
	var actions []string
	for _, s := range statements {
		d, err := evidence.Decode[evidence.Decision](s)
		must(t, err)
		actions = append(actions, d.Action+" by "+d.Actor.Account)
	}
	if len(actions) != 2 || actions[0] != "trust-issuer by admin" || actions[1] != "untrust-issuer by admin" {
		t.Errorf("the record says %v", actions)
	}
}

func TestAPublisherOfSomebodyWhoIsGoneIsFlagged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	must(t, w.accounts.SetMember(t.Context(), w.olga, "acme", "rita", account.Owner))
	_, err := w.Add(t.Context(), w.rita, github(i.URL))
	must(t, err)
	must(t, w.accounts.RemoveMember(t.Context(), w.olga, "acme", "rita"))
	found, err := w.List(t.Context(), w.olga, purl.NPM, "@acme/ui")
	must(t, err)
	if len(found) != 1 || len(found[0].Flags) != 1 || found[0].Flags[0] != "creator-gone" {
		t.Errorf("the publisher is %+v", found)
	}
	_, err = w.exchange(i.Token(audience, oidctest.GitHub()))
	must(t, err)
	all := w.decisions("@acme/ui")
	if last := all[len(all)-1]; len(last.Reasons) == 0 {
		t.Error("the exchange does not say that who added the publisher is gone")
	}
}

func TestWhoHasASecondFactorGivesItToChangeWhatIsTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := w.trust(github(i.URL))
	for _, actor := range []evidence.Actor{w.olga, w.admin} {
		begun, err := w.accounts.BeginTOTP(t.Context(), actor)
		must(t, err)
		code, err := totp.GenerateCode(begun.Secret, time.Now())
		must(t, err)
		_, err = w.accounts.ConfirmTOTP(t.Context(), actor, code, "192.0.2.1:1")
		must(t, err)
	}
	other := github(i.URL)
	other.Claims = map[string]string{"repository": "mallory/ui", "workflow": "release.yml"}
	_, err := w.Add(t.Context(), w.olga, other)
	wantCode(t, err, "otp-required")
	wantCode(t, w.Remove(t.Context(), w.olga, purl.NPM, "@acme/ui", p.ID), "otp-required")
	_, err = w.AddIssuer(t.Context(), w.admin, oidc.Issuer{URL: "https://mallory.test", Provider: "github"})
	wantCode(t, err, "otp-required")
	proven := w.olga
	proven.Factor = evidence.TOTP
	must(t, w.Remove(t.Context(), proven, purl.NPM, "@acme/ui", p.ID))
}
