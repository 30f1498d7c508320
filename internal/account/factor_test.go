package account

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/evidence"
)

// sealed returns a world that can enrol authenticator apps.
func sealed(t testing.TB, st Settings) *world {
	t.Helper()
	w := newWorld(t)
	st.SealKey = make([]byte, sealSize)
	w.must(w.Configure(st))
	w.must(w.ServeAt("http://127.0.0.1:4873"))
	return w
}

// enrol gives the actor an authenticator app and returns its secret and the recovery codes. The clock
// moves on to the next code, because the one that confirmed is used up.
func (w *world) enrol(actor evidence.Actor) (secret string, recovery []string) {
	w.t.Helper()
	begun, err := w.BeginTOTP(w.ctx, actor)
	w.must(err)
	recovery, err = w.ConfirmTOTP(w.ctx, actor, w.code(begun.Secret), here)
	w.must(err)
	w.clk.advance(totpPeriod * time.Second)
	return begun.Secret, recovery
}

func (w *world) code(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.clk.Now())
	w.must(err)
	return code
}

// acme is a world in which alice owns @acme, has an app, and needs it to publish.
func acme(t testing.TB, rule MFARule) (w *world, alice evidence.Actor, secret string) {
	t.Helper()
	w = sealed(t, Settings{})
	alice, _ = w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	secret, _ = w.enrol(alice)
	rule.Organisation = "acme"
	w.must(w.SetMFA(w.ctx, with(alice, evidence.TOTP), rule))
	return w, alice, secret
}

func with(a evidence.Actor, f evidence.Factor) evidence.Actor {
	a.Factor = f
	return a
}

func (w *world) publishes(a evidence.Actor) error {
	return w.Authorize(w.ctx, a, evidence.Publish, "npm", "@acme/ui")
}

func TestARuleAsksForAFactorAndACodeProvesIt(t *testing.T) {
	t.Parallel()
	w, alice, secret := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	w.refused(w.publishes(alice), "otp-required")
	w.must(w.Authorize(w.ctx, alice, evidence.Read, "npm", "@acme/ui"))
	proven, err := w.Prove(w.ctx, alice, w.code(secret), here)
	w.must(err)
	if proven.Factor != evidence.TOTP || proven.Credential != alice.Credential {
		t.Errorf("proven actor %+v", proven)
	}
	w.must(w.publishes(proven))
}

func TestACodeWorksOnceHoweverItIsSpelt(t *testing.T) {
	t.Parallel()
	w, alice, secret := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	other := w.login("alice", w.token(with(alice, evidence.TOTP), Token{Scope: Scope{Permission: evidence.Publish}}))
	code := w.code(secret)
	_, err := w.Prove(w.ctx, alice, code, here)
	w.must(err)
	spaced := code[:3] + " " + code[3:]
	for _, spelling := range []string{code, spaced, code[:3] + "\u00a0" + code[3:] + "\n", code[:3] + "-" + code[3:]} {
		_, err := w.Prove(w.ctx, other, spelling, here)
		w.refused(err, "otp-invalid")
		_, err = w.Prove(w.ctx, alice, spelling, "198.51.100.9:1") // the same credential from elsewhere
		w.refused(err, "otp-invalid")
		_, err = w.Prove(w.ctx, alice, spelling, here) // one command sends it with each request
		w.must(err)
	}
	w.clk.advance(3 * totpPeriod * time.Second)
	_, err = w.Prove(w.ctx, alice, code, here)
	w.refused(err, "otp-invalid")
}

func TestAnOlderCodeIsRefusedOnceALaterOneWasUsed(t *testing.T) {
	t.Parallel()
	w, alice, secret := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	before := w.code(secret)
	w.clk.advance(totpPeriod * time.Second)
	_, err := w.Prove(w.ctx, alice, w.code(secret), here)
	w.must(err)
	_, err = w.Prove(w.ctx, alice, before, here) // still within the skew
	w.refused(err, "otp-invalid")
}

func TestOfManyCredentialsAtOnceOneGetsThroughWithACode(t *testing.T) {
	t.Parallel()
	w, alice, secret := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	var actors []evidence.Actor
	for range 8 {
		actors = append(actors, w.login("alice", w.token(with(alice, evidence.TOTP), Token{Scope: Scope{Permission: evidence.Publish}})))
	}
	code := w.code(secret)
	var through atomic.Int64
	var wg sync.WaitGroup
	for _, a := range actors {
		wg.Go(func() {
			if _, err := w.Prove(w.ctx, a, code, here); err == nil {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if through.Load() != 1 {
		t.Errorf("%d credentials got through", through.Load())
	}
}

func TestGuessingCodesEndsEarlyAndFloodingSignInsDoesNotResetTheCount(t *testing.T) {
	t.Parallel()
	w, alice, secret := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	for range 10 {
		_, err := w.Prove(w.ctx, alice, "000000", here)
		w.refused(err, "otp-invalid")
	}
	for i := range 2 * maxWindows {
		w.attempts.take(w.clk.Now(), []attempt{{strings.Repeat("x", i%7) + string(rune(i)), 1, day}})
	}
	_, err := w.Prove(w.ctx, alice, w.code(secret), here)
	w.refused(err, "too-many-attempts")
	w.clk.advance(time.Minute)
	_, err = w.Prove(w.ctx, alice, w.code(secret), here)
	w.must(err)
}

func TestARecoveryCodeWorksForOneCommandOfOneCredential(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	_, recovery := w.enrol(alice)
	if len(recovery) != recoveryCodes {
		t.Fatalf("%d recovery codes", len(recovery))
	}
	other := w.login("alice", w.token(with(alice, evidence.TOTP), Token{Scope: Scope{Permission: evidence.Publish}}))
	proven, err := w.Prove(w.ctx, alice, strings.ToUpper(recovery[3]), here)
	w.must(err)
	if proven.Factor != evidence.RecoveryCode {
		t.Errorf("factor %q", proven.Factor)
	}
	_, err = w.Prove(w.ctx, other, recovery[3], here)
	w.refused(err, "otp-invalid")
	w.clk.advance(codeReuse)
	_, err = w.Prove(w.ctx, alice, recovery[3], here)
	w.refused(err, "otp-invalid")
	f, err := w.Factors(w.ctx, alice)
	w.must(err)
	if f.RecoveryCodes != recoveryCodes-1 {
		t.Errorf("%d codes left", f.RecoveryCodes)
	}
}

func TestTheStrongestRuleThatReachesANameHolds(t *testing.T) {
	t.Parallel()
	w, alice, _ := acme(t, MFARule{Action: "publish", Level: AnyFactor})
	own := with(alice, evidence.TOTP)
	core := MFARule{Ecosystem: "npm", Package: "@acme/core", Action: "publish", Level: PhishingResistant}
	w.must(w.SetMFA(w.ctx, own, core))
	w.refused(w.Authorize(w.ctx, own, evidence.Publish, "npm", "@acme/core"), "factor-missing") // alice has no passkey
	w.must(w.Authorize(w.ctx, with(alice, evidence.WebAuthn), evidence.Publish, "npm", "@acme/core"))
	w.must(w.Authorize(w.ctx, own, evidence.Publish, "npm", "@acme/ui"))
	critical, err := w.Critical(w.ctx, "npm", "@acme/core")
	w.must(err)
	if ui, err := w.Critical(w.ctx, "npm", "@acme/ui"); !critical || ui || err != nil {
		t.Errorf("critical: core %v, ui %v, %v", critical, ui, err)
	}
	core.Level = NoFactor // a code does not lift what asks for a passkey
	w.refused(w.SetMFA(w.ctx, own, core), "factor-missing")
	w.must(w.SetMFA(w.ctx, with(alice, evidence.WebAuthn), core))
	w.must(w.Authorize(w.ctx, own, evidence.Publish, "npm", "@acme/core"))
	w.refused(w.Authorize(w.ctx, alice, evidence.Publish, "npm", "@acme/core"), "otp-required") // the organisation's stays
}

func TestARuleForAnActionHoldsForWhatIncludesIt(t *testing.T) {
	t.Parallel()
	for action, asked := range map[string]map[evidence.Permission]bool{
		"stage":   {evidence.Stage: true, evidence.Publish: true, evidence.Own: true},
		"publish": {evidence.Publish: true, evidence.Own: true},
		"own":     {evidence.Own: true},
		"manage":  {evidence.Own: true}, // as always, for an account that has a factor
	} {
		w, alice, _ := acme(t, MFARule{Action: action, Level: AnyFactor})
		for _, perm := range []evidence.Permission{evidence.Read, evidence.Stage, evidence.Publish, evidence.Own} {
			err := w.Authorize(w.ctx, alice, perm, "npm", "@acme/ui")
			if evidence.NeedsFactor(err) != asked[perm] || err != nil && !asked[perm] {
				t.Errorf("rule for %s, to %s: %v", action, perm, err)
			}
		}
	}
}

func TestABypassTokenPublishesWhereTheRulePermitsAutomationAndManagesNothing(t *testing.T) {
	t.Parallel()
	for _, automation := range []bool{true, false} {
		w, alice, _ := acme(t, MFARule{Action: "publish", Level: AnyFactor, Automation: automation})
		own := with(alice, evidence.TOTP)
		bot := w.login("alice", w.token(own, Token{Scope: Scope{Permission: evidence.Own}, Bypass: true}))
		err := w.publishes(bot)
		if automation {
			w.must(err)
		} else {
			w.refused(err, "otp-required")
		}
		for what, err := range map[string]error{
			"token":        second3(w.CreateToken(w.ctx, bot, Token{Scope: Scope{Permission: evidence.Read}})),
			"organisation": w.CreateOrganisation(w.ctx, bot, "mine"),
			"member":       w.SetMember(w.ctx, bot, "acme", "alice", Owner),
			"namespace":    w.SetVisibility(w.ctx, bot, "npm", "@acme", Public),
			"rule":         w.SetMFA(w.ctx, bot, MFARule{Organisation: "acme", Action: "publish", Level: NoFactor}),
			"app":          w.RemoveTOTP(w.ctx, bot),
			"password":     w.ChangePassword(w.ctx, bot, "", "correct horse battery", here),
			"address":      w.SetEmail(w.ctx, bot, "mallory@example.org"),
			"passkey":      second3(w.BeginPasskey(w.ctx, bot)),
			"owner":        w.SetPackageRole(w.ctx, bot, "npm", "@acme/ui", "alice", Owner),
			"login":        w.CompleteLogin(w.ctx, "x", bot),
		} {
			if err == nil || !strings.Contains(err.Error(), "gets around second factors") {
				t.Errorf("a bypass token and %s: %v", what, err)
			}
		}
	}
}

func second3[A, B any](_ A, _ B, err error) error { return err }

func TestManagingTakesTheFactorOfAnAccountThatHasOne(t *testing.T) {
	t.Parallel()
	w, alice, _ := acme(t, MFARule{Action: "manage", Level: PhishingResistant})
	_, _, err := w.CreateToken(w.ctx, alice, Token{Scope: Scope{Permission: evidence.Read}})
	w.refused(err, "otp-required")
	w.refused(w.RemoveTOTP(w.ctx, alice), "otp-required")
	w.refused(w.CreateOrganisation(w.ctx, alice, "second"), "otp-required")
	w.must(w.CreateOrganisation(w.ctx, with(alice, evidence.TOTP), "second"))
	w.must(w.CreateUser(w.ctx, w.admin, "bob", ""))
	w.refused(w.SetMember(w.ctx, with(alice, evidence.TOTP), "acme", "bob", Reader), "factor-missing") // acme wants a passkey
	w.must(w.SetMember(w.ctx, with(alice, evidence.WebAuthn), "acme", "bob", Reader))
}

func TestAPasswordAloneOpensNothingOnceThereIsAFactor(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	w.must(w.CreateUser(w.ctx, w.admin, "bob", "correct horse battery"))
	bob := w.login("bob", "correct horse battery")
	w.organisation(bob, "shop", "npm", "@shop", Private)
	secret, _ := w.enrol(bob)
	bob = w.login("bob", "correct horse battery")
	w.refused(w.Authorize(w.ctx, bob, evidence.Read, "npm", "@shop/x"), "otp-required")
	_, err := w.ListTokens(w.ctx, bob)
	w.refused(err, "otp-required")
	code, _, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.refused(w.CompleteLogin(w.ctx, code, bob), "otp-required")
	proven, err := w.Prove(w.ctx, bob, w.code(secret), here)
	w.must(err)
	w.must(w.Authorize(w.ctx, proven, evidence.Read, "npm", "@shop/x"))
	w.must(w.CompleteLogin(w.ctx, code, proven))
}

func TestWhatIsSealedOpensForItsAccountAndKeyOnly(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	secret, _ := w.enrol(alice)
	var stored string
	w.must(w.db.Query().QueryRow(`SELECT secret FROM account_totp`).Scan(&stored))
	if strings.Contains(stored, secret) {
		t.Error("the secret is in clear")
	}
	if got, err := w.unseal(totpRow("alice"), stored); err != nil || string(got) != secret {
		t.Errorf("unsealed %q, %v", got, err)
	}
	if _, err := w.unseal(totpRow("bob"), stored); err == nil {
		t.Error("one account's secret opens in another's row")
	}
	other := make([]byte, sealSize)
	other[0] = 1
	w.must(w.Configure(Settings{SealKey: other}))
	if _, err := w.unseal(totpRow("alice"), stored); err == nil {
		t.Error("it opens with another key")
	}
}

func TestAnAppIsConfirmedOnceAndThereIsOneAtATime(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	_, err := w.ConfirmTOTP(w.ctx, alice, "123456", here)
	w.refused(err, "totp-unknown")
	begun, err := w.BeginTOTP(w.ctx, alice)
	w.must(err)
	_, err = w.Prove(w.ctx, alice, w.code(begun.Secret), here) // not in force yet
	w.refused(err, "otp-invalid")
	if !strings.HasPrefix(begun.URI, "otpauth://totp/Hullmark:alice?") {
		t.Errorf("URI %s", begun.URI)
	}
	_, err = w.ConfirmTOTP(w.ctx, alice, w.code(begun.Secret), here)
	w.must(err)
	_, err = w.BeginTOTP(w.ctx, with(alice, evidence.TOTP))
	w.refused(err, "totp-exists")
	w.must(w.RemoveTOTP(w.ctx, with(alice, evidence.TOTP)))
	f, err := w.Factors(w.ctx, alice)
	w.must(err)
	if f.TOTP || f.RecoveryCodes != 0 {
		t.Errorf("after removal: %+v", f)
	}
}
