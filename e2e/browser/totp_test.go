package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func TestAnAuthenticatorAppIsEnrolledAndSignsInWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t, "alice")
	b := s.browse(t)
	b.do("profile", args{"scripts": false, "dark": true})
	b.signIn("alice")
	b.press("Add an authenticator app")
	b.see("Scan this with an authenticator app")
	b.accessible()
	b.picture("totp-dark")
	var drawn string
	b.ask("attribute", args{"selector": ".qr svg", "name": "role"}, &drawn)
	secret := b.texts(".aside code")[0]
	if drawn != "img" || len(secret) < 16 {
		t.Fatalf("the page shows %q and the secret %q", drawn, secret)
	}
	b.fill("Code", "000000")
	b.press("Add the app")
	b.see("the code is not the one")
	now := time.Now()
	used := code(t, secret, now)
	b.fill("Code", used)
	b.press("Add the app")
	b.see("Your recovery codes")
	if codes := b.texts(".codes li"); len(codes) < 8 {
		t.Errorf("there are %d recovery codes", len(codes))
	}
	b.follow("I have kept them")
	b.see("In use since")
	b.press("Sign out")

	b.signIn("alice")
	b.see("Prove that it is you")
	b.fill("Code of your app", used)
	b.press("Go on")
	b.see("the code is not valid")
	next := code(t, secret, now.Add(30*time.Second))
	b.fill("Code of your app", next[:3]+" "+next[3:])
	b.press("Go on")
	b.see("In use since")
	if text := b.text(); !strings.Contains(text, "password + totp") {
		t.Errorf("the page says: %s", text)
	}
}

// code is what an app shows at a time.
func code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, at)
	must(t, err)
	return c
}
