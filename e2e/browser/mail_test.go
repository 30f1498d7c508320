package browser

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/mail/mailtest"
)

var mailCode = regexp.MustCompile(`(?m)^    (\S+)$`)

// codeOf is the code that a mail carries on a line of its own.
func codeOf(t *testing.T, m mailtest.Message) string {
	t.Helper()
	found := mailCode.FindStringSubmatch(m.Body)
	if found == nil {
		t.Fatalf("there is no code in: %s", m.Body)
	}
	return found[1]
}

// confirm gives the account of who is signed in an address, by the code that is mailed there.
func (s *site) confirm(t *testing.T, b *tab, address string) {
	t.Helper()
	b.fill("Address", address)
	b.press("Send a code")
	b.see("A code went to")
	b.fill("Code of the mail", codeOf(t, s.mail.Wait(t, address, "Your code for Hullmark")))
	b.press("Confirm")
	b.see(address)
}

func TestAnAddressIsConfirmedAndToldWhatChanges(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t, "alice")
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	s.confirm(t, b, "alice@example.com")
	enrol(b, "red <b>key</b> http://evil.example")
	m := s.mail.Wait(t, "alice@example.com", "A second factor was added to alice")
	if strings.Contains(m.Body, "http://evil") || !strings.Contains(m.Body, "red <b>key</b>") || !strings.Contains(m.Body, s.pages+"/account/") {
		t.Errorf("the mail says: %s", m.Body)
	}
	b.open("/account/", 200)
	b.see("A second factor was added to alice")
}

func TestAnAccountIsRecoveredByMailAfterTheHold(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *app.Config) { c.Accounts.RecoveryHold = 2 * time.Second })
	s.user(t, "alice")
	b := s.browse(t)
	b.signIn("alice")
	s.confirm(t, b, "alice@example.com")
	b.press("Sign out")

	b.follow("I cannot get in any more")
	b.accessible()
	b.fill("User", "nobody")
	b.press("Send a code to my address")
	b.see("If there is such an account") // as for one that there is
	b.follow("I have the code")
	b.fill("User", "alice")
	b.press("Send a code to my address")
	b.see("If there is such an account")
	code := codeOf(t, s.mail.Wait(t, "alice@example.com", "Your code to get back into alice"))
	b.follow("I have the code")
	b.fill("Code of the mail", code)
	b.press("Go on")
	b.see("Come back with the same code after")
	s.mail.Wait(t, "alice@example.com", "alice is being recovered")
	until(t, "the end of the hold", func() bool {
		b.open("/account/recover", 200)
		b.fill("Code of the mail", code)
		b.press("Go on")
		b.see("is under way")
		return strings.Contains(b.text(), "New password")
	})
	b.fill("New password", "an entirely new phrase")
	b.press("Set the password")
	b.see("The password is set")
	s.mail.Wait(t, "alice@example.com", "alice was recovered")
	b.open("/account/", 401)
	b.fill("User", "alice")
	b.fill("Password", "an entirely new phrase")
	b.press("Sign in")
	b.see("Publishing rests until")
}

func TestARecoveryIsStoppedByWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.user(t, "alice")
	b := s.browse(t)
	b.signIn("alice")
	s.confirm(t, b, "alice@example.com")

	thief := s.browse(t)
	thief.open("/account/recover", 200)
	thief.fill("User", "alice")
	thief.press("Send a code to my address")
	thief.see("If there is such an account")
	code := codeOf(t, s.mail.Wait(t, "alice@example.com", "Your code to get back into alice"))
	thief.follow("I have the code")
	thief.fill("Code of the mail", code)
	thief.press("Go on")
	thief.see("is under way")

	b.open("/account/", 200)
	b.see("Somebody has asked to recover this account")
	b.picture("recovery")
	b.press("Stop the recovery")
	b.see("Your account")
	thief.open("/account/recover", 200)
	thief.fill("Code of the mail", code)
	thief.press("Go on")
	if text := thief.text(); strings.Contains(text, "under way") {
		t.Errorf("the recovery goes on: %s", text)
	}
}
