package publish_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

// known is what the gate hears of people in a test.
type known struct {
	changed  map[string]time.Time
	passkeys map[string]bool
	bypasses map[string]bool // by credential
}

func (k *known) NamespaceOf(_ context.Context, _, name string) (string, error) {
	scope, _, found := strings.Cut(name, "/")
	if !found {
		return "", nil
	}
	return scope, nil
}

func (k *known) LastCredentialChange(_ context.Context, account string) (time.Time, error) {
	return k.changed[account], nil
}
func (k *known) HasPasskey(_ context.Context, account string) (bool, error) {
	return k.passkeys[account], nil
}
func (k *known) MissingFactor(_ context.Context, _, factor string) error {
	return fault.New(fault.Unauthenticated, map[string]string{"any": "otp-required", "webauthn": "webauthn-required"}[factor], "prove it")
}
func (k *known) Bypasses(_ context.Context, actor evidence.Actor) (bool, error) {
	return k.bypasses[actor.Credential], nil
}

// withPeople is a world whose gate knows people.
func withPeople(t *testing.T) (*world, *known) {
	t.Helper()
	w, k := newWorld(t), &known{map[string]time.Time{}, map[string]bool{}, map[string]bool{}}
	w.WithPeople(k, rand.Reader)
	return w, k
}

func (w *world) set(to publish.Settings) {
	w.t.Helper()
	check(w.t, w.SetSettings(w.t.Context(), w.people["alice"], publish.Scope{Ecosystem: purl.NPM, Namespace: "@acme"}, to))
}

// hold publishes a version that waits.
func (w *world) hold(version string, tags ...string) {
	w.t.Helper()
	w.wantHeld(w.publish(version, holding("postinstall: node "+version+".js", version+".js=a"), tags...), publish.HookNew)
}

func TestSeveralPeopleMustApproveWhereTheSettingsSaySo(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	check(t, w.accounts.SetMember(ctx, w.people["alice"], "acme", "carol", account.Maintainer))
	w.set(publish.Settings{Approvals: 2})
	w.publish("1.0.0", holding(""))
	w.hold("1.1.0", "latest")
	first, err := w.Approve(ctx, w.people["bob"], ui("1.1.0"), "read it")
	check(t, err)
	if first.Released || first.Have != 1 || first.Needed != 2 || w.state("1.1.0") != "held" {
		t.Errorf("after the first: %+v, %s", first, w.state("1.1.0"))
	}
	again, err := w.Approve(ctx, w.people["bob"], ui("1.1.0"), "read it twice")
	if err != nil || again.Released || again.Seq != first.Seq || w.state("1.1.0") != "held" {
		t.Errorf("the same person twice: %+v, %v", again, err)
	}
	_, err = w.Approve(ctx, w.people["alice"], ui("1.1.0"), "mine")
	wantCode(t, err, "approval-second-person")
	last, err := w.Approve(ctx, w.people["carol"], ui("1.1.0"), "read it, too")
	check(t, err)
	if !last.Released || last.Have != 2 || w.state("1.1.0") != "active" {
		t.Errorf("after the second: %+v, %s", last, w.state("1.1.0"))
	}
}

func TestWhoHasLostTheirRoleDoesNotStandForAReleaseAnyMore(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	check(t, w.accounts.SetMember(ctx, w.people["alice"], "acme", "carol", account.Maintainer))
	check(t, w.accounts.SetMember(ctx, w.people["alice"], "acme", "mallory", account.Maintainer))
	w.set(publish.Settings{Approvals: 2})
	w.publish("1.0.0", holding(""))
	w.hold("1.1.0")
	_, err := w.Approve(ctx, w.people["mallory"], ui("1.1.0"), "lgtm")
	check(t, err)
	check(t, w.accounts.RemoveMember(ctx, w.people["alice"], "acme", "mallory"))
	h, err := w.Show(ctx, w.people["bob"], ui("1.1.0"))
	check(t, err)
	if len(h.Approved) != 0 || h.Needed != 2 {
		t.Errorf("approved by %v of %d", h.Approved, h.Needed)
	}
	made, err := w.Approve(ctx, w.people["bob"], ui("1.1.0"), "read it")
	if err != nil || made.Released {
		t.Errorf("%+v, %v", made, err)
	}
	made, err = w.Approve(ctx, w.people["carol"], ui("1.1.0"), "read it")
	if err != nil || !made.Released {
		t.Errorf("%+v, %v", made, err)
	}
}

func TestAnApprovalTakesAPersonWithTheFactorThatIsAskedFor(t *testing.T) {
	t.Parallel()
	pipeline := func(a evidence.Actor) evidence.Actor { a.Workload = &evidence.WorkloadIdentity{}; return a }
	with := func(f evidence.Factor) func(evidence.Actor) evidence.Actor {
		return func(a evidence.Actor) evidence.Actor { a.Factor = f; return a }
	}
	same := func(a evidence.Actor) evidence.Actor { return a }
	for _, c := range []struct {
		name, factor      string
		passkey, bypasses bool
		as                func(evidence.Actor) evidence.Actor
		want              string
	}{
		{"nothing is asked for, and there is no passkey", "", false, false, same, ""},
		{"there is a passkey, so it is asked for", "", true, false, same, "webauthn-required"},
		{"there is a passkey and it was used", "", true, false, with(evidence.WebAuthn), ""},
		{"there is a passkey and a code was typed", "", true, false, with(evidence.TOTP), "webauthn-required"},
		{"there is a passkey and nothing is asked for", "none", true, false, same, ""},
		{"any will do", "any", false, false, with(evidence.TOTP), ""},
		{"any is asked for", "any", true, false, same, "otp-required"},
		{"the namespace asks for WebAuthn", "webauthn", false, false, with(evidence.RecoveryCode), "webauthn-required"},
		{"a pipeline", "none", false, false, pipeline, "person-required"},
		{"a token that skips the factor", "none", false, true, same, "person-required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, k := withPeople(t)
			w.set(publish.Settings{Factor: c.factor})
			k.passkeys["bob"] = c.passkey
			k.bypasses[w.people["bob"].Credential] = c.bypasses
			w.publish("1.0.0", holding(""))
			w.hold("1.1.0")
			_, err := w.Approve(t.Context(), c.as(w.people["bob"]), ui("1.1.0"), "ok")
			if c.want == "" {
				check(t, err)
				return
			}
			wantCode(t, err, c.want)
			if w.state("1.1.0") != "held" {
				t.Error("it was released")
			}
		})
	}
}

func TestWhatWasStagedWaitsUnderAnIDAndExpires(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	w.publish("1.0.0", holding(""))
	f, err := w.Review(ctx, publish.Candidate{Actor: w.people["alice"], Ecosystem: purl.NPM, Name: name, Version: "1.1.0", PURL: ui("1.1.0"), Inventory: holding(""), Stage: true})
	check(t, err)
	if !f.Waits() || f.Code != publish.Staged || !publish.IsID(f.ID) {
		t.Fatalf("%+v", f)
	}
	w.stage("1.1.0", f, "next")
	h, err := w.ByID(ctx, w.people["bob"], evidence.Publish, f.ID)
	check(t, err)
	if h.PURL != ui("1.1.0") || h.Code != publish.Staged || len(h.Tags) != 1 {
		t.Errorf("%+v", h)
	}
	_, err = w.ByID(ctx, w.people["mallory"], evidence.Read, f.ID)
	wantCode(t, err, "stage-unknown")
	_, err = w.ByID(ctx, w.people["bob"], evidence.Publish, "00000000-0000-4000-8000-000000000000")
	wantCode(t, err, "stage-unknown")

	w.set(publish.Settings{StageLife: publish.Duration(time.Hour)})
	if n, err := w.ExpireStages(ctx); err != nil || n != 0 {
		t.Errorf("%d expired, %v", n, err)
	}
	w.pass(2 * time.Hour)
	w.hold("1.2.0")
	w.pass(2 * time.Hour)
	if n, err := w.ExpireStages(ctx); err != nil || n != 1 || w.state("1.1.0") != "withdrawn" || w.state("1.2.0") != "held" {
		t.Errorf("%d expired, %v; %s and %s", n, err, w.state("1.1.0"), w.state("1.2.0"))
	}
}

func TestTokensDoNotFollowATrustedPublisher(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	review := func() error {
		_, err := w.Review(ctx, publish.Candidate{Actor: w.people["bob"], Ecosystem: purl.NPM, Name: name, Version: "2.0.0", PURL: ui("2.0.0"), Inventory: holding("")})
		return err
	}
	w.publish("1.0.0", holding(""))
	check(t, review())
	pipeline := w.people["alice"]
	w.people["alice"] = evidence.Actor{Account: "tp_1", Credential: "workload:wlt_1", Method: "oidc", Workload: &evidence.WorkloadIdentity{}}
	w.publish("1.1.0", holding(""))
	w.people["alice"] = pipeline
	wantCode(t, review(), "trust-downgrade")
	wantCode(t, w.AllowTokens(ctx, w.people["bob"], purl.NPM, name, true), "namespace-not-yours")
	check(t, w.AllowTokens(ctx, w.people["alice"], purl.NPM, name, true))
	check(t, review())
	check(t, w.AllowTokens(ctx, w.people["alice"], purl.NPM, name, false))
	wantCode(t, review(), "trust-downgrade")
	w.append("1.1.0", evidence.Recall{Reason: "worm", Actor: w.people["alice"]})
	check(t, review()) // what it is compared with is what is offered
}

func TestSettingsComeFromTheNarrowestScopeThatSetsThem(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	site, space, one := publish.Scope{}, publish.Scope{Ecosystem: purl.NPM, Namespace: "@acme"}, publish.Scope{Ecosystem: purl.NPM, Name: name}
	check(t, w.SetSettings(ctx, w.people["admin"], site, publish.Settings{Approvals: 2, Rules: map[string]publish.Stage{publish.SizeJump: publish.Wait}}))
	check(t, w.SetSettings(ctx, w.people["alice"], space, publish.Settings{Factor: "any", Rules: map[string]publish.Stage{publish.SizeJump: publish.Off, publish.BinaryNew: publish.Wait}}))
	check(t, w.SetSettings(ctx, w.people["alice"], one, publish.Settings{Approvals: 3}))
	own, in, err := w.Settings(ctx, w.people["bob"], one)
	check(t, err)
	if own.Approvals != 3 || own.Factor != "" || in.Approvals != 3 || in.Factor != "any" || in.Rules[publish.SizeJump] != publish.Off ||
		in.Rules[publish.BinaryNew] != publish.Wait || in.Rules[publish.HookNew] != publish.Wait {
		t.Errorf("own %+v\nin force %+v", own, in)
	}
	check(t, w.SetSettings(ctx, w.people["alice"], one, publish.Settings{}))
	if _, in, err = w.Settings(ctx, w.people["bob"], one); err != nil || in.Approvals != 2 {
		t.Errorf("%+v, %v", in, err)
	}
	for who, code := range map[string]string{"bob": "organisation-not-yours", "mallory": "organisation-unknown", "": "login-required"} {
		wantCode(t, w.SetSettings(ctx, w.people[who], space, publish.Settings{}), code)
	}
	wantCode(t, w.SetSettings(ctx, w.people["alice"], site, publish.Settings{}), "admin-required")
	wantCode(t, w.SetSettings(ctx, w.people["admin"], one, publish.Settings{}), "namespace-not-yours")
	pipeline := w.people["alice"]
	pipeline.Workload = &evidence.WorkloadIdentity{}
	wantCode(t, w.SetSettings(ctx, pipeline, space, publish.Settings{}), "person-required")
	for _, bad := range []publish.Settings{
		{Rules: map[string]publish.Stage{"install-scripts": publish.Warn}}, {Rules: map[string]publish.Stage{publish.Burst: "enforce"}},
		{Factor: "sms"}, {Approvals: 100}, {StageLife: publish.Duration(time.Minute)}, {Burst: &publish.BurstLimit{Names: 1}}, {SizeGrowth: -1},
	} {
		wantCode(t, w.SetSettings(ctx, w.people["alice"], space, bad), "hold-settings-invalid")
	}
}
