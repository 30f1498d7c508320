package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/console/sso/ssotest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// signOn is a site with the issuer as its identity provider.
func signOn(t *testing.T, issuer *ssotest.Issuer, change func(*sso.ProviderConfig)) *site {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(ssotest.ClientSecret), 0o600))
	p := sso.ProviderConfig{
		ID: "corp", Label: "Corp", Issuer: issuer.URL, ClientID: ssotest.ClientID, ClientSecretFile: secret,
		Roles: []sso.RoleRule{{Group: "dev", Organisation: "acme", Role: account.Maintainer}},
	}
	if change != nil {
		change(&p)
	}
	return start(t, func(c *app.Config) { c.SignOn = sso.Config{Providers: []sso.ProviderConfig{p}} })
}

func TestAnIdentityProviderSignsInItsPeopleWithTheirRoles(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	s := signOn(t, issuer, func(c *sso.ProviderConfig) {
		c.CreateAccounts = true
		c.Factors = []sso.FactorRule{{Claim: "amr", Value: "hwk", Factor: evidence.WebAuthn}}
	})
	s.acme(t)
	issuer.As(map[string]any{"sub": "1001", "preferred_username": "carol", "groups": []string{"dev"}, "amr": []string{"hwk"}})
	b := s.browse(t)
	b.open("/stage/", 401)
	b.follow("Sign in with Corp")
	b.see("Releases that wait") // where it began
	b.open("/account/", 200)
	b.see("Signed in as")
	if text := b.text(); !strings.Contains(text, "sso + webauthn") {
		t.Errorf("the page says: %s", text)
	}
	role := func() account.Role {
		members, err := s.Accounts.Members(t.Context(), s.admin, "acme")
		must(t, err)
		for _, m := range members {
			if m.Account == "carol" {
				return m.Role
			}
		}
		return ""
	}
	if role() != account.Maintainer {
		t.Errorf("carol is %q of acme", role())
	}
	b.press("Sign out")
	issuer.As(map[string]any{"sub": "1001", "preferred_username": "carol"}) // left the group
	b.follow("Sign in with Corp")
	b.see("Your account")
	if role() != "" {
		t.Errorf("carol still is %q of acme", role())
	}
}

func TestAnIdentityIsLinkedByItsAccountAndNeverByName(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	s := signOn(t, issuer, func(c *sso.ProviderConfig) { c.CreateAccounts = true })
	s.user(t, "alice")
	issuer.As(map[string]any{"sub": "666", "preferred_username": "alice", "email": "alice@example.com", "email_verified": true})
	b := s.browse(t)
	b.open("/account/", 401)
	b.follow("Sign in with Corp")
	b.see("no account is linked to this identity")

	b.signIn("alice")
	b.do("authenticator", nil)
	enrol(b, "laptop")
	issuer.As(map[string]any{"sub": "1001", "preferred_username": "whoever"})
	b.press("Link Corp")
	b.follow("Go on")
	b.see("Your account")
	until(t, "the notice", func() bool {
		b.open("/account/", 200)
		return strings.Contains(b.text(), "Single sign-on was linked to alice")
	})
	b.press("Sign out")
	b.follow("Sign in with Corp")
	b.see("Prove that it is you") // the provider's word is no second factor here
	b.press("Use a passkey")
	b.see("Signed in as")
}
