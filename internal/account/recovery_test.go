package account

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// notice takes the oldest notice, which must be of that kind and to that address.
func (w *world) notice(kind, address string) (data map[string]any) {
	w.t.Helper()
	all, err := w.Notices(w.ctx, 1)
	w.must(err)
	if len(all) == 0 || all[0].Kind != kind || all[0].Address != address {
		w.t.Fatalf("notices %+v, want %s to %s", all, kind, address)
	}
	w.must(json.Unmarshal(all[0].Data, &data))
	w.must(w.NoticeSent(w.ctx, all[0].ID))
	return data
}

func (w *world) quiet() {
	w.t.Helper()
	if all, err := w.Notices(w.ctx, 1); err != nil || len(all) > 0 {
		w.t.Fatalf("notices %+v, %v", all, err)
	}
}

// mailed is a world in which bob has a password and a verified address, for longer than a day.
func mailed(t testing.TB) (w *world, bob evidence.Actor) {
	t.Helper()
	w = sealed(t, Settings{})
	bob = w.login("bob", w.bob())
	w.verify(bob, "bob@example.org")
	w.organisation(bob, "shop", "npm", "@shop", Private)
	w.clk.advance(2 * day)
	return w, bob
}

func (w *world) verify(a evidence.Actor, address string) {
	w.t.Helper()
	w.must(w.SetEmail(w.ctx, a, address))
	w.must(w.VerifyEmail(w.ctx, a, w.notice("email-code", address)["code"].(string)))
}

func (w *world) publishesShop(a evidence.Actor) error {
	return w.Authorize(w.ctx, a, evidence.Publish, "npm", "@shop/x")
}

func TestAnAddressCountsOnceItsCodeCameBack(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	bob := w.login("bob", w.bob())
	for _, bad := range []string{"", "bob", "Bob <bob@example.org>", "bob@example.org\r\nBcc: x@example.org", "a@b, c@d"} {
		w.refused(w.SetEmail(w.ctx, bob, bad), "email-invalid")
	}
	w.must(w.SetEmail(w.ctx, bob, "bob@example.org"))
	e, err := w.Email(w.ctx, bob)
	w.must(err)
	if e.Address != "" || e.Pending != "bob@example.org" {
		t.Errorf("before: %+v", e)
	}
	code := w.notice("email-code", "bob@example.org")["code"].(string)
	w.refused(w.VerifyEmail(w.ctx, bob, "no"), "code-invalid")
	w.refused(w.VerifyEmail(w.ctx, w.admin, code), "code-invalid")
	w.must(w.VerifyEmail(w.ctx, bob, code))
	w.refused(w.VerifyEmail(w.ctx, bob, code), "code-invalid")
	until, err := w.Frozen(w.ctx, bob)
	w.must(err)
	if !until.IsZero() {
		t.Error("the first address froze publishing")
	}
	w.must(w.SetEmail(w.ctx, bob, "new@example.org"))
	code = w.notice("email-code", "new@example.org")["code"].(string)
	w.clk.advance(emailLifetime)
	w.refused(w.VerifyEmail(w.ctx, bob, code), "code-invalid")
}

func TestEveryChangeOfCredentialsFreezesPublishingForADay(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*world, evidence.Actor){
		"password": func(w *world, bob evidence.Actor) {
			w.must(w.ChangePassword(w.ctx, bob, "correct horse battery", "seven purple ostriches", here))
			w.notice("password-changed", "bob@example.org")
		},
		"address": func(w *world, bob evidence.Actor) {
			w.must(w.SetEmail(w.ctx, bob, "new@example.org"))
			w.must(w.VerifyEmail(w.ctx, bob, w.notice("email-code", "new@example.org")["code"].(string)))
			w.notice("email-changed", "bob@example.org")
		},
		"app": func(w *world, bob evidence.Actor) {
			w.enrol(bob)
			w.notice("factor-added", "bob@example.org")
		},
		"passkey": func(w *world, bob evidence.Actor) {
			w.authenticator().register(bob)
			w.notice("factor-added", "bob@example.org")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w, bob := mailed(t)
			token := w.login("bob", w.token(bob, Token{Scope: Scope{Permission: evidence.Publish}}))
			w.must(w.publishesShop(token))
			change(w, bob)
			w.quiet()
			w.refused(w.publishesShop(token), "publishing-frozen")
			w.refused(w.MayStop(w.ctx, token, "npm", "@shop/x"), "token-scope") // it never could
			w.must(w.MayStop(w.ctx, with(bob, evidence.TOTP), "npm", "@shop/x"))
			w.must(w.Authorize(w.ctx, token, evidence.Stage, "npm", "@shop/x")) // what is staged waits all the same
			w.must(w.Authorize(w.ctx, token, evidence.Read, "npm", "@shop/x"))
			w.clk.advance(day)
			w.must(w.publishesShop(token))
		})
	}
}

func TestANewcomersFirstFactorDoesNotFreeze(t *testing.T) {
	t.Parallel()
	w := sealed(t, Settings{})
	alice, _ := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	w.enrol(alice)
	w.must(w.publishes(alice))
	w.authenticator().register(with(alice, evidence.TOTP)) // a second one does
	w.refused(w.publishes(alice), "publishing-frozen")
}

func TestANewPasswordEndsWhatClientsGotByLoggingInAndNotTheTokensThatSomebodyMade(t *testing.T) {
	t.Parallel()
	w, bob := mailed(t)
	logIn := func() evidence.Actor {
		code, poll, err := w.StartLogin(w.ctx, here)
		w.must(err)
		w.must(w.CompleteLogin(w.ctx, code, bob))
		token, _, err := w.PollLogin(w.ctx, poll)
		w.must(err)
		return w.login("bob", token)
	}
	logins := []evidence.Actor{logIn(), logIn()}
	made := w.login("bob", w.token(bob, Token{Scope: Scope{Permission: evidence.Publish}}))
	w.must(w.ChangePassword(w.ctx, bob, "correct horse battery", "seven purple ostriches", here))
	if told := w.notice("password-changed", "bob@example.org"); told["logins"] != 2.0 {
		t.Errorf("the notice says %v", told)
	}
	for what, actor := range map[string]evidence.Actor{"a token": made, "the token that changed it": bob} {
		if _, err := w.ListTokens(w.ctx, actor); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, login := range logins {
		_, err := w.ListTokens(w.ctx, login)
		w.refused(err, "credential-invalid")
	}
}

func TestANewPasswordTakesTheOldOneAndEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	w, bob := mailed(t)
	here1, err := w.SignInPassword(w.ctx, "bob", "correct horse battery", desk)
	w.must(err)
	there, err := w.SignInPassword(w.ctx, "bob", "correct horse battery", Device{RemoteAddr: "198.51.100.1:1", Agent: "other"})
	w.must(err)
	w.notice("new-device", "bob@example.org")
	actor := w.session(here1)
	w.refused(w.ChangePassword(w.ctx, actor, "wrong", "seven purple ostriches", here), "credential-invalid")
	w.refused(w.ChangePassword(w.ctx, actor, "correct horse battery", "short", here), "password-unfit")
	w.refused(w.ChangePassword(w.ctx, actor, "correct horse battery", "Password1234!", here), "password-breached")
	w.must(w.ChangePassword(w.ctx, actor, "correct horse battery", "seven purple ostriches", here))
	w.session(here1)
	_, err = w.SessionActor(w.ctx, there, here)
	w.refused(err, "credential-invalid")
	w.refused(w.CheckPassword(w.ctx, "bob", "correct horse battery", here), "credential-invalid")
	w.must(w.CheckPassword(w.ctx, "bob", "seven purple ostriches", here))
	_ = bob
}

func TestARecoveryWaitsInTheOpen(t *testing.T) {
	t.Parallel()
	for _, factors := range []bool{false, true} {
		t.Run(fmt.Sprint("factors ", factors), func(t *testing.T) {
			t.Parallel()
			w, bob := mailed(t)
			w.enrol(bob)
			w.notice("factor-added", "bob@example.org")
			proven := with(bob, evidence.TOTP)
			token := w.token(proven, Token{Scope: Scope{Permission: evidence.Publish}})
			session, err := w.SignInPassword(w.ctx, "bob", "correct horse battery", desk)
			w.must(err)

			w.must(w.StartRecovery(w.ctx, "bob", factors, "198.51.100.1:1"))
			code := w.notice("recovery-code", "bob@example.org")["code"].(string)
			w.refused(w.FinishRecovery(w.ctx, code, "seven purple ostriches", here), "recovery-held")
			r, err := w.ConfirmRecovery(w.ctx, code)
			w.must(err)
			hold := day
			if factors {
				hold = 3 * day
			}
			if r.Account != "bob" || r.Factors != factors || r.Opens.Sub(w.clk.Now()) != hold {
				t.Errorf("recovery %+v", r)
			}
			w.notice("recovery-began", "bob@example.org")
			if _, under, err := w.RecoveryUnderWay(w.ctx, proven); !under || err != nil {
				t.Errorf("the owner is not told: %v, %v", under, err)
			}
			w.clk.advance(hold - time.Second)
			again, err := w.ConfirmRecovery(w.ctx, code)
			w.must(err)
			if !again.Opens.Equal(r.Opens) {
				t.Error("the hold begins anew")
			}
			w.must(w.StartRecovery(w.ctx, "bob", !factors, "198.51.100.1:1")) // nor does a second one change it
			w.quiet()
			w.refused(w.FinishRecovery(w.ctx, code, "seven purple ostriches", here), "recovery-held")
			w.clk.advance(time.Second)
			w.must(w.FinishRecovery(w.ctx, code, "seven purple ostriches", here))
			w.notice("recovered", "bob@example.org")

			_, err = w.AuthenticateSecret(w.ctx, "bob", token, here)
			w.refused(err, "credential-invalid")
			_, err = w.SessionActor(w.ctx, session, here)
			w.refused(err, "credential-invalid")
			back := w.login("bob", "seven purple ostriches")
			f, err := w.Factors(w.ctx, back)
			w.must(err)
			if f.TOTP == factors {
				t.Errorf("the app is there: %v", f.TOTP)
			}
			w.refused(w.publishesShop(with(back, evidence.TOTP)), "publishing-frozen")
			w.refused(w.FinishRecovery(w.ctx, code, "eight purple ostriches", here), "recovery-unknown")
		})
	}
}

func TestARecoveryIsCancelledByWhoIsSignedInAndTellsStrangersNothing(t *testing.T) {
	t.Parallel()
	w, bob := mailed(t)
	w.must(w.StartRecovery(w.ctx, "nobody", false, here))
	w.must(w.StartRecovery(w.ctx, "admin", false, here)) // has no address
	w.quiet()
	w.must(w.StartRecovery(w.ctx, "bob", true, here))
	code := w.notice("recovery-code", "bob@example.org")["code"].(string)
	_, err := w.ConfirmRecovery(w.ctx, code)
	w.must(err)
	w.must(w.CancelRecovery(w.ctx, bob))
	w.clk.advance(3 * day)
	w.refused(w.FinishRecovery(w.ctx, code, "seven purple ostriches", here), "recovery-unknown")
	w.must(w.StartRecovery(w.ctx, "bob", false, here))
	w.notice("recovery-began", "bob@example.org")
	code = w.notice("recovery-code", "bob@example.org")["code"].(string)
	w.clk.advance(recoveryCodeLifetime)
	_, err = w.ConfirmRecovery(w.ctx, code)
	w.refused(err, "recovery-unknown")
}

func TestCommonPasswordsAndWhatIsMadeOfThemAreRefused(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]bool{
		"password1234":                true,
		"P@ssw0rd1234":                true,
		"qwertyuiop123":               true,
		"123456789012":                true,
		"aaaaaaaaaaaa":                true,
		"1q2w3e4r5t6y":                true,
		"iloveyou-2024":               true,
		"dragonmonkey!":               true,
		"carolinecaroline":            true, // the account's own name
		"Caroline2024!!":              true,
		"correct horse battery":       false,
		"dragon monkey carmen tigger": false, // four words of the list are enough
		"vK9#mPq2$xLw":                false,
		"seven purple ostriches":      false,
		"Rindfleischetikettierung":    false,
		"\u65e5\u672c\u8a9e\u306e\u30d1\u30b9\u30ef\u30fc\u30c9": false,
	} {
		if got := isCommon(password, "caroline"); got != want {
			t.Errorf("%q: common %v, want %v", password, got, want)
		}
	}
	if n := len(common()); n < 3400 {
		t.Errorf("the list has %d entries", n)
	}
}
