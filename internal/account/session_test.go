package account

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/hullmark/hullmark/internal/evidence"
)

const browser = "Mozilla/5.0 (X11; Linux) test"

var desk = Device{RemoteAddr: here, Agent: browser}

// bob is somebody with a password.
func (w *world) bob() (password string) {
	w.t.Helper()
	password = "correct horse battery"
	w.must(w.CreateUser(w.ctx, w.admin, "bob", password))
	return password
}

func (w *world) session(secret string) evidence.Actor {
	w.t.Helper()
	a, err := w.SessionActor(w.ctx, secret, here)
	w.must(err)
	return a
}

func TestASessionEndsWhenIdleOldOrEnded(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{SessionIdle: time.Hour, SessionLife: 3 * time.Hour})
	password := w.bob()
	open := func() string {
		secret, err := w.SignInPassword(w.ctx, "bob", password, desk)
		w.must(err)
		return secret
	}
	secret := open()
	actor := w.session(secret)
	if actor.Account != "bob" || actor.Method != "password" || actor.Factor != "" || actor.AddressHash == "" {
		t.Errorf("actor %+v", actor)
	}
	for range 3 {
		w.clk.advance(50 * time.Minute)
		w.session(secret)
	}
	w.clk.advance(30 * time.Minute) // used within the hour, but three hours old
	_, err := w.SessionActor(w.ctx, secret, here)
	w.refused(err, "credential-invalid")

	secret = open()
	w.clk.advance(time.Hour + time.Millisecond)
	_, err = w.SessionActor(w.ctx, secret, here)
	w.refused(err, "credential-invalid")

	first, second := open(), open()
	w.must(w.EndSession(w.ctx, w.session(first), ""))
	_, err = w.SessionActor(w.ctx, first, here)
	w.refused(err, "credential-invalid")
	w.session(second)
	for _, secret := range []string{"", "hms_x", w.first, second[:len(second)-1]} {
		_, err := w.SessionActor(w.ctx, secret, here)
		w.refused(err, "credential-invalid")
	}
	if _, err := w.ask("Bearer " + second); err == nil {
		t.Error("a session is a bearer token, too")
	}
}

func TestSessionsAreListedAndEndedByTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	password := w.bob()
	secret, err := w.SignInPassword(w.ctx, "bob", password, desk)
	w.must(err)
	other, err := w.SignInPassword(w.ctx, "bob", password, desk)
	w.must(err)
	actor := w.session(secret)
	all, err := w.Sessions(w.ctx, actor)
	w.must(err)
	if len(all) != 2 {
		t.Fatalf("%d sessions", len(all))
	}
	for _, one := range all {
		if one.Current != ("session:"+one.ID == actor.Credential) || one.Agent != browser {
			t.Errorf("session %+v", one)
		}
		if !one.Current {
			w.refused(w.EndSession(w.ctx, w.admin, one.ID), "session-unknown")
			w.must(w.EndSession(w.ctx, actor, one.ID))
		}
	}
	_, err = w.SessionActor(w.ctx, other, here)
	w.refused(err, "credential-invalid")
}

func TestAPasswordSessionWaitsForTheFactorAndKeepsItForTenMinutes(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	password := w.bob()
	key, _ := w.enrol(w.login("bob", password))
	secret, err := w.SignInPassword(w.ctx, "bob", password, desk)
	w.must(err)
	half := w.session(secret)
	_, err = w.Sessions(w.ctx, half)
	w.refused(err, "otp-required")
	f, err := w.Factors(w.ctx, half) // the page must know what to ask for
	w.must(err)
	if !f.TOTP {
		t.Errorf("factors %+v", f)
	}
	_, err = w.ProveSession(w.ctx, half, "000000", here)
	w.refused(err, "otp-invalid")
	_, err = w.ProveSession(w.ctx, half, w.code(key), here)
	w.must(err)
	if got := w.session(secret); got.Factor != evidence.TOTP {
		t.Errorf("fresh factor %q", got.Factor)
	}
	w.clk.advance(freshFor)
	stale := w.session(secret)
	if stale.Factor != "" {
		t.Errorf("stale factor %q", stale.Factor)
	}
	_, err = w.Sessions(w.ctx, stale) // it is a whole sign-in all the same
	w.must(err)
	w.refused(w.RemoveTOTP(w.ctx, stale), "otp-required")
}

// authenticator is a software authenticator at the world's address.
type authenticator struct {
	w     *world
	rp    virtualwebauthn.RelyingParty
	auth  virtualwebauthn.Authenticator
	creds []virtualwebauthn.Credential
}

func (w *world) authenticator() *authenticator {
	return &authenticator{
		w: w, auth: virtualwebauthn.NewAuthenticator(),
		rp: virtualwebauthn.RelyingParty{Name: "Hullmark", ID: "localhost", Origin: "http://localhost:4873"},
	}
}

// register makes a passkey for the actor.
func (a *authenticator) register(actor evidence.Actor) (Passkey, []string) {
	a.w.t.Helper()
	raw, state, err := a.w.BeginPasskey(a.w.ctx, actor)
	a.w.must(err)
	made, recovery, err := a.w.FinishPasskey(a.w.ctx, actor, state, "laptop", a.create(raw))
	a.w.must(err)
	return made, recovery
}

func (a *authenticator) create(raw json.RawMessage) []byte {
	a.w.t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(string(raw))
	a.w.must(err)
	cred := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)
	a.auth.Options.UserHandle = []byte(options.UserID)
	a.auth.AddCredential(cred)
	a.creds = append(a.creds, cred)
	return []byte(virtualwebauthn.CreateAttestationResponse(a.rp, a.auth, cred, *options))
}

func (a *authenticator) get(raw json.RawMessage) []byte {
	a.w.t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(string(raw))
	a.w.must(err)
	cred := &a.creds[len(a.creds)-1]
	cred.Counter++
	return []byte(virtualwebauthn.CreateAssertionResponse(a.rp, a.auth, *cred, *options))
}

func TestAPasskeySignsInWithoutAPasswordAndStepsUp(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	a := w.authenticator()
	made, recovery := a.register(alice)
	if made.Label != "laptop" || len(recovery) != recoveryCodes {
		t.Errorf("made %+v with %d recovery codes", made, len(recovery))
	}
	raw, state, err := w.BeginPasskeySignIn(w.ctx, here)
	w.must(err)
	response := a.get(raw)
	secret, err := w.FinishPasskeySignIn(w.ctx, state, response, desk)
	w.must(err)
	actor := w.session(secret)
	if actor.Account != "alice" || actor.Method != "webauthn" || actor.Factor != evidence.WebAuthn {
		t.Errorf("actor %+v", actor)
	}
	_, err = w.FinishPasskeySignIn(w.ctx, state, response, desk) // answered twice
	w.refused(err, "passkey-invalid")

	w.clk.advance(freshFor)
	raw, state, err = w.BeginPasskeyProof(w.ctx, w.session(secret))
	w.must(err)
	_, err = w.FinishPasskeyProof(w.ctx, w.session(secret), state, a.get(raw), here)
	w.must(err)
	if got := w.session(secret); got.Factor != evidence.WebAuthn {
		t.Errorf("factor after step-up %q", got.Factor)
	}
	keys, err := w.Passkeys(w.ctx, actor)
	w.must(err)
	if len(keys) != 1 || keys[0].LastUsed.IsZero() {
		t.Errorf("passkeys %+v", keys)
	}
	w.refused(w.RemovePasskey(w.ctx, alice, made.ID), "otp-required")
	w.must(w.RemovePasskey(w.ctx, with(alice, evidence.WebAuthn), made.ID))
}

func TestAPasskeyOfAnotherSiteAccountOrCeremonyIsRefused(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	a, b := w.authenticator(), w.authenticator()
	a.register(alice)
	b.register(bob)

	raw, state, err := w.BeginPasskeyProof(w.ctx, alice)
	w.must(err)
	_, err = w.FinishPasskeyProof(w.ctx, bob, state, a.get(raw), here) // somebody else's ceremony
	w.refused(err, "passkey-invalid")

	raw, state, err = w.BeginPasskeyProof(w.ctx, alice)
	w.must(err)
	_, err = w.FinishPasskeyProof(w.ctx, alice, state, b.get(raw), here) // somebody else's passkey
	w.refused(err, "passkey-invalid")

	phish := *a
	phish.rp.Origin = "http://localhost.evil.example"
	raw, state, err = w.BeginPasskeyProof(w.ctx, alice)
	w.must(err)
	_, err = w.FinishPasskeyProof(w.ctx, alice, state, phish.get(raw), here)
	w.refused(err, "passkey-invalid")

	raw, state, err = w.BeginPasskeyProof(w.ctx, alice)
	w.must(err)
	_, err = w.FinishPasskeySignIn(w.ctx, state, a.get(raw), desk) // the answer to a proof is no sign-in
	w.refused(err, "passkey-invalid")

	raw, state, err = w.BeginPasskeySignIn(w.ctx, here)
	w.must(err)
	response := a.get(raw)
	w.clk.advance(ceremonyLifetime)
	_, err = w.FinishPasskeySignIn(w.ctx, state, response, desk)
	w.refused(err, "passkey-invalid")
}

func TestACopiedAuthenticatorIsNoticedByItsCounter(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	a := w.authenticator()
	a.register(alice)
	for i, counter := range []uint32{5, 4} {
		a.creds[0].Counter = counter
		raw, state, err := w.BeginPasskeyProof(w.ctx, alice)
		w.must(err)
		_, err = w.FinishPasskeyProof(w.ctx, alice, state, a.get(raw), here)
		if ok := err == nil; ok != (i == 0) {
			t.Errorf("counter %d: %v", counter+1, err)
		}
	}
}
