package browser

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestAPasskeyIsEnrolledAndSignsInWithoutAPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t, "alice")
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	b.see("Your account")
	b.accessible()
	enrol(b, "my laptop")

	b.press("Sign out")
	b.see("Sign in with a passkey")
	b.accessible()
	b.picture("sign-in")
	b.press("Sign in with a passkey")
	b.see("Your account")
	b.picture("account")
	if text := b.text(); !strings.Contains(text, "my laptop") || !strings.Contains(text, "webauthn") {
		t.Errorf("the page says: %s", text)
	}
	var cookies []struct {
		Name, SameSite string
		HTTPOnly       bool
	}
	b.ask("cookies", nil, &cookies)
	if len(cookies) != 1 || !cookies[0].HTTPOnly || cookies[0].SameSite != "Strict" {
		t.Errorf("cookies are %+v", cookies)
	}
}

// enrol adds a passkey on the account page and keeps the recovery codes, if any are shown.
func enrol(b *tab, label string) (codes []string) {
	b.t.Helper()
	b.fill("Name of the new passkey", label)
	b.press("Add a passkey")
	b.see("Your recovery codes")
	codes = b.texts(".codes li")
	b.picture("codes")
	b.follow("I have kept them")
	b.see("Your account")
	b.see(label)
	return codes
}

func TestAPasswordAloneDoesNotOpenAnAccountWithAFactor(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t, "alice")
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	codes := enrol(b, "key")
	b.press("Sign out")

	b.signIn("alice")
	b.see("This needs your second factor")
	b.accessible()
	b.open("/account/", 200)
	b.see("Use a passkey") // wherever one goes
	b.press("Use a passkey")
	b.see("Your account")

	b.press("Sign out")
	b.signIn("alice")
	b.fill("Code of your app, or a recovery code", "0000-0000")
	b.press("Go on")
	b.see("Prove that it is you")
	b.fill("Code of your app, or a recovery code", codes[0])
	b.press("Go on")
	b.see("Your account")
	b.see(string(evidence.RecoveryCode))
}
