package sso_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/console/sso/ssotest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const here = "http://localhost:1"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func secretFile(t testing.TB, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	return file
}

// provider is one on the issuer, with what change makes of its configuration.
func provider(t testing.TB, issuer string, change func(*sso.ProviderConfig)) *sso.Provider {
	t.Helper()
	c := sso.ProviderConfig{ID: "corp", Label: "Corp", Issuer: issuer, ClientID: ssotest.ClientID, ClientSecretFile: secretFile(t, ssotest.ClientSecret)}
	if change != nil {
		change(&c)
	}
	all, err := sso.New(sso.Config{Providers: []sso.ProviderConfig{c}}, here, clock.System{}, rand.Reader)
	must(t, err)
	return all[0]
}

// visit goes to the provider as a browser does and returns what it is sent back with.
func visit(t testing.TB, begun sso.Begun) sso.Answer {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, begun.Address, nil)
	must(t, err)
	answer, err := client.Do(r)
	must(t, err)
	defer answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	must(t, err)
	q := back.Query()
	return sso.Answer{State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error"), Binding: begun.Binding}
}

func signIn(t testing.TB, p *sso.Provider) (sso.Finished, error) {
	t.Helper()
	begun, err := p.Begin(t.Context(), "/account/", evidence.Actor{})
	must(t, err)
	return p.Finish(t.Context(), visit(t, begun))
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

func TestAPersonIsWhoIssuerAndSubjectSay(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	issuer.As(map[string]any{
		"sub": "1001", "preferred_username": "Alice@corp.example", "groups": []string{"dev", "ops"}, "amr": []string{"pwd", "hwk"},
	})
	p := provider(t, issuer.URL, func(c *sso.ProviderConfig) {
		c.CreateAccounts = true
		c.Roles = []sso.RoleRule{
			{Group: "dev", Organisation: "acme", Role: account.Reader}, {Group: "ops", Organisation: "acme", Role: account.Maintainer},
			{Group: "boss", Organisation: "acme", Role: account.Owner}, {Group: "boss", Organisation: "other", Role: account.Owner},
		}
		c.Factors = []sso.FactorRule{{Claim: "amr", Value: "hwk", Factor: evidence.WebAuthn}, {Claim: "amr", Value: "pwd", Factor: evidence.TOTP}}
	})
	got, err := signIn(t, p)
	must(t, err)
	if got.Issuer != issuer.URL || got.Subject != "1001" || got.Name != "alice" || got.Factor != evidence.WebAuthn || got.Next != "/account/" {
		t.Errorf("got %+v", got)
	}
	if len(got.Roles) != 1 || got.Roles["acme"] != account.Maintainer || len(got.Maps) != 2 {
		t.Errorf("roles are %v in %v", got.Roles, got.Maps)
	}
}

func TestWithoutARuleAProvidersWordIsNoSecondFactor(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	issuer.As(map[string]any{"sub": "1001", "amr": []string{"hwk", "mfa"}, "acr": "phr", "preferred_username": "alice"})
	got, err := signIn(t, provider(t, issuer.URL, nil))
	must(t, err)
	if got.Factor != "" || got.Name != "" {
		t.Errorf("got %+v", got)
	}
}

func TestAnAnswerIsTakenOnceFromTheBrowserThatAsked(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	p := provider(t, issuer.URL, nil)
	begun, err := p.Begin(t.Context(), "/", evidence.Actor{})
	must(t, err)
	answer := visit(t, begun)
	for name, change := range map[string]func(*sso.Answer){
		"another browser": func(a *sso.Answer) { a.Binding = "x" }, "no cookie": func(a *sso.Answer) { a.Binding = "" },
		"another state": func(a *sso.Answer) { a.State = "x" },
	} {
		other := answer
		change(&other)
		if _, err := p.Finish(t.Context(), other); fault.As(err).Code != "sso-unknown" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = p.Finish(t.Context(), answer)
	must(t, err)
	_, err = p.Finish(t.Context(), answer)
	wantCode(t, err, "sso-unknown")
}

func TestACodeThatWasInjectedDoesNotFitTheVerifier(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	p := provider(t, issuer.URL, nil)
	victim, err := p.Begin(t.Context(), "/", evidence.Actor{})
	must(t, err)
	attacker, err := p.Begin(t.Context(), "/", evidence.Actor{})
	must(t, err)
	answer := visit(t, victim)
	answer.Code = visit(t, attacker).Code
	_, err = p.Finish(t.Context(), answer)
	wantCode(t, err, "sso-refused")
}

func TestAnAnswerOfAnotherProviderIsRefused(t *testing.T) {
	t.Parallel()
	p := provider(t, ssotest.Start(t).URL, nil)
	for _, change := range []func(*sso.Answer){
		func(a *sso.Answer) { a.Issuer = "https://other.example" }, func(a *sso.Answer) { a.Error = "access_denied" },
	} {
		begun, err := p.Begin(t.Context(), "/", evidence.Actor{})
		must(t, err)
		answer := visit(t, begun)
		change(&answer)
		_, err = p.Finish(t.Context(), answer)
		wantCode(t, err, "sso-refused")
	}
}

func TestATokenThatDoesNotHoldSignsNobodyIn(t *testing.T) {
	t.Parallel()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	issuer := ssotest.Start(t)
	public, err := x509.MarshalPKIXPublicKey(issuer.Key().Public())
	must(t, err)
	set := func(name string, value any) func(jwt.MapClaims) (jwt.SigningMethod, any) {
		return func(c jwt.MapClaims) (jwt.SigningMethod, any) {
			c[name] = value
			return nil, nil
		}
	}
	by := func(m jwt.SigningMethod, key any) func(jwt.MapClaims) (jwt.SigningMethod, any) {
		return func(jwt.MapClaims) (jwt.SigningMethod, any) { return m, key }
	}
	p := provider(t, issuer.URL, nil)
	for name, spoil := range map[string]func(jwt.MapClaims) (jwt.SigningMethod, any){
		"another nonce":             set("nonce", "x"),
		"no nonce":                  set("nonce", ""),
		"another client":            set("aud", "somebody"),
		"two clients, no party":     set("aud", []string{ssotest.ClientID, "somebody"}),
		"another authorised party":  set("azp", "somebody"),
		"another issuer":            set("iss", "https://other.example"),
		"it has expired":            set("exp", time.Now().Add(-time.Hour).Unix()),
		"it is not signed":          by(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"signed with the public":    by(jwt.SigningMethodHS256, public),
		"signed with another key":   by(jwt.SigningMethodRS256, other),
		"an algorithm nobody wants": by(jwt.SigningMethodRS512, issuer.Key()),
		"no subject":                set("sub", ""),
	} {
		issuer.Spoil(spoil)
		if _, err := signIn(t, p); err == nil || fault.As(err).Code != "sso-refused" {
			t.Errorf("%s: %v", name, err)
		}
	}
	issuer.Spoil(nil)
	_, err = signIn(t, p)
	must(t, err)
}

func TestDomainsAndGroupsDecideWhoComesIn(t *testing.T) {
	t.Parallel()
	issuer := ssotest.Start(t)
	p := provider(t, issuer.URL, func(c *sso.ProviderConfig) {
		c.Domains, c.Groups, c.GroupsClaim = []string{"corp.example"}, []string{"dev"}, "roles"
	})
	for _, c := range []struct {
		why    string
		claims map[string]any
		in     bool
	}{
		{"both fit", map[string]any{"email": "a@Corp.example", "email_verified": true, "roles": []string{"x", "dev"}}, true},
		{"one group as a text", map[string]any{"email": "a@corp.example", "email_verified": true, "roles": "dev"}, true},
		{"the address is not verified", map[string]any{"email": "a@corp.example", "roles": []string{"dev"}}, false},
		{"verified is a text", map[string]any{"email": "a@corp.example", "email_verified": "true", "roles": []string{"dev"}}, false},
		{"another domain", map[string]any{"email": "a@evil.example", "email_verified": true, "roles": []string{"dev"}}, false},
		{"a domain below", map[string]any{"email": "a@x.corp.example", "email_verified": true, "roles": []string{"dev"}}, false},
		{"two domains", map[string]any{"email": "a@corp.example@evil.example", "email_verified": true, "roles": []string{"dev"}}, false},
		{"another group", map[string]any{"email": "a@corp.example", "email_verified": true, "roles": []string{"ops"}}, false},
		{"the groups are a number", map[string]any{"email": "a@corp.example", "email_verified": true, "roles": 7}, false},
		{"the claim has another name", map[string]any{"email": "a@corp.example", "email_verified": true, "groups": []string{"dev"}}, false},
	} {
		c.claims["sub"] = "1001"
		issuer.As(c.claims)
		if _, err := signIn(t, p); (err == nil) != c.in {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}

func TestAProviderThatIsAwayIsToldAndAskedAgain(t *testing.T) {
	t.Parallel()
	p := provider(t, "http://127.0.0.1:1", nil)
	_, err := p.Begin(t.Context(), "/", evidence.Actor{})
	wantCode(t, err, "sso-unavailable")
	if !errors.Is(err, fault.New(fault.Unavailable, "sso-unavailable", "")) {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationsThatCannotWorkFailWhenBuilt(t *testing.T) {
	t.Parallel()
	good := sso.ProviderConfig{ID: "corp", Label: "Corp", Issuer: "https://id.example", ClientID: "x"}
	for name, change := range map[string]func(*sso.ProviderConfig){
		"an id for no address": func(c *sso.ProviderConfig) { c.ID = "Corp/1" },
		"no label":             func(c *sso.ProviderConfig) { c.Label = "" },
		"an issuer in clear":   func(c *sso.ProviderConfig) { c.Issuer = "http://id.example" },
		"a role that is none":  func(c *sso.ProviderConfig) { c.Roles = []sso.RoleRule{{Group: "a", Organisation: "b", Role: "boss"}} },
		"a factor that is none": func(c *sso.ProviderConfig) {
			c.Factors = []sso.FactorRule{{Claim: "amr", Value: "x", Factor: "recovery"}}
		},
		"a claim that says no factor": func(c *sso.ProviderConfig) { c.Factors = []sso.FactorRule{{Claim: "sub", Value: "x", Factor: "totp"}} },
		"no secret file":              func(c *sso.ProviderConfig) { c.ClientSecretFile = filepath.Join(t.TempDir(), "none") },
	} {
		c := good
		change(&c)
		if _, err := sso.New(sso.Config{Providers: []sso.ProviderConfig{c}}, here, clock.System{}, rand.Reader); err == nil || fault.As(err).Code != "sso-config-invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := sso.New(sso.Config{Providers: []sso.ProviderConfig{good, good}}, here, clock.System{}, rand.Reader)
	wantCode(t, err, "sso-config-invalid")
}

func TestAConfigurationFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "sso.yaml")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	file := write("providers:\n- id: corp\n  label: Corp\n  issuer: https://id.example\n  clientID: x\n  clientSecretFile: corp.secret\n  roles:\n  - {group: dev, organisation: acme, role: maintainer}\n")
	c, err := sso.Load(file)
	must(t, err)
	if len(c.Providers) != 1 || c.Providers[0].ClientSecretFile != filepath.Join(filepath.Dir(file), "corp.secret") || c.Providers[0].Roles[0].Role != account.Maintainer {
		t.Errorf("read %+v", c)
	}
	_, err = sso.Load(write("providers:\n- id: corp\n  client: x\n"))
	wantCode(t, err, "sso-config-invalid")
}
