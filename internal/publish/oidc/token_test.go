package oidc_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestATokenThatIsNotSignedByTheIssuersKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := oidctest.New(t)
	rsa, small := oidctest.RSAKey(t), oidctest.ECKey(t)
	i.SetKeys(jose.JSONWebKey{Key: rsa, KeyID: "k", Algorithm: "RS256", Use: "sig"}, jose.JSONWebKey{Key: small, KeyID: "e", Use: "sig"})
	w.register(i, "github")
	w.trust(github(i.URL))
	claims := func() map[string]any { return i.Claims(audience, oidctest.GitHub()) }
	der, err := x509.MarshalPKIXPublicKey(rsa.Public())
	must(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	unsigned := func(alg string) string {
		_, rest, _ := strings.Cut(i.Sign(claims()), ".")
		body, _, _ := strings.Cut(rest, ".")
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`","kid":"k"}`)) + "." + body + "."
	}
	for what, c := range map[string]struct{ code, token string }{
		"alg none":                     {"identity-token-malformed", unsigned("none")},
		"alg RS256 without signature":  {"identity-token-invalid", unsigned("RS256") + "AA"},
		"HS256 with the public key":    {"identity-token-malformed", oidctest.Sign(t, jose.HS256, public, "k", claims())},
		"RS512":                        {"identity-token-malformed", oidctest.Sign(t, jose.RS512, rsa, "k", claims())},
		"PS256":                        {"identity-token-malformed", oidctest.Sign(t, jose.PS256, rsa, "k", claims())},
		"no key id":                    {"identity-token-malformed", oidctest.Sign(t, jose.RS256, rsa, "", claims())},
		"an unknown key id":            {"identity-token-invalid", oidctest.Sign(t, jose.RS256, rsa, "other", claims())},
		"another key with that id":     {"identity-token-invalid", oidctest.Sign(t, jose.RS256, oidctest.RSAKey(t), "k", claims())},
		"another kind of key":          {"identity-token-invalid", oidctest.Sign(t, jose.ES256, small, "k", claims())},
		"a key for another algorithm":  {"identity-token-invalid", oidctest.Sign(t, jose.RS256, rsa, "e", claims())},
		"the JSON form":                {"identity-token-malformed", `{"payload":"e30","protected":"e30","signature":"AA"}`},
		"a token of ours":              {"identity-token-malformed", "hm_0123456789"},
		"nothing":                      {"identity-token-malformed", ""},
		"a long one":                   {"identity-token-malformed", strings.Repeat("a", 20<<10)},
		"a changed claim":              {"identity-token-invalid", tampered(t, i.Sign(claims()))},
		"an issuer nobody knows":       {"issuer-unknown", i.Sign(with(claims(), "iss", "https://elsewhere.test"))},
		"no issuer":                    {"issuer-unknown", i.Sign(with(claims(), "iss", nil))},
		"a slash behind the issuer":    {"issuer-unknown", i.Sign(with(claims(), "iss", i.URL+"/"))},
		"a circle nobody trusts":       {"issuer-unknown", i.Sign(with(claims(), "iss", "https://oidc.circleci.com/org/"+oidctest.CircleOrganisation))},
		"an audience of somebody else": {"identity-token-invalid", i.Sign(with(claims(), "aud", "npm:other.test"))},
		"an audience in a list":        {"identity-token-invalid", i.Sign(with(claims(), "aud", []string{audience}))},
		"two audiences":                {"identity-token-invalid", i.Sign(with(claims(), "aud", []string{audience, "x"}))},
		"no audience":                  {"identity-token-invalid", i.Sign(with(claims(), "aud", nil))},
		"no end":                       {"identity-token-invalid", i.Sign(with(claims(), "exp", nil))},
		"an end that is text":          {"identity-token-invalid", i.Sign(with(claims(), "exp", "99999999999"))},
		"no beginning":                 {"identity-token-invalid", i.Sign(with(claims(), "iat", nil))},
		"from the future":              {"identity-token-invalid", i.Sign(with(claims(), "iat", time.Now().Add(time.Minute).Unix()))},
		"not yet valid":                {"identity-token-invalid", i.Sign(with(claims(), "nbf", time.Now().Add(time.Minute).Unix()))},
		"long over":                    {"identity-token-invalid", i.Sign(with(claims(), "exp", time.Now().Add(-time.Minute).Unix()))},
		"valid for a day":              {"identity-token-invalid", i.Sign(with(claims(), "exp", time.Now().Add(24*time.Hour).Unix()))},
	} {
		t.Log(what)
		_, err := w.exchange(c.token)
		wantCode(t, err, c.code)
	}
	_, err = w.exchange(oidctest.Sign(t, jose.ES256, small, "e", claims()))
	must(t, err)
	if n := i.Fetches("/keys"); n != 1 {
		t.Errorf("the keys were fetched %d times within a minute; made-up key ids must not do that", n)
	}
}

func tampered(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), "acme/ui", "acme/uj", 1)))
	return strings.Join(parts, ".")
}

func TestTheClockOfTheProviderMayBeOffByHalfAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	now := time.Now()
	for what, claims := range map[string]map[string]any{
		"ahead":  {"iat": now.Add(20 * time.Second).Unix(), "nbf": now.Add(20 * time.Second).Unix()},
		"behind": {"exp": now.Add(-20 * time.Second).Unix()},
	} {
		all := i.Claims(audience, oidctest.GitHub())
		for name, v := range claims {
			all[name] = v
		}
		if _, err := w.exchange(i.Sign(all)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestATokenMayComeAgainFromTheSameAddressWhereAClientCanOnlyRepeatIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	token := i.Token(audience, oidctest.GitHub())
	ask := func(name, from string, again bool) (oidc.Minted, error) {
		return w.Exchange(t.Context(), oidc.Request{
			Ecosystem: purl.NPM, Name: name, Token: token, Audience: audience, RemoteAddr: from, Again: again,
		})
	}
	first, err := ask("@acme/ui", "192.0.2.7:1", true)
	must(t, err)
	second, err := ask("@acme/ui", "192.0.2.7:2", true)
	must(t, err)
	if first.Secret == "" || second.Secret != "" || first.Credential != second.Credential {
		t.Errorf("the second time it got %+v after %+v", second, first)
	}
	_, err = ask("@acme/ui", "192.0.2.8:1", true)
	wantCode(t, err, "identity-token-used")
	_, err = ask("@acme/other", "192.0.2.7:1", true)
	wantCode(t, err, "identity-token-used")
	_, err = ask("@acme/ui", "192.0.2.7:1", false)
	wantCode(t, err, "identity-token-used")
}

func TestRefusalsAboutANameAreOnTheRecordAndDoNotFillIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	w.trust(github(i.URL))
	before := w.record.Head()
	_, err := w.exchange(i.Token(audience, with(oidctest.GitHub(), "event_name", "pull_request_target")))
	wantCode(t, err, "publisher-mismatch")
	last := w.decisions("@acme/ui")[1]
	if last.Verdict != "deny" || last.Code != "publisher-mismatch" || last.Actor.Workload.Claims["event_name"] != "pull_request_target" {
		t.Errorf("the record says %+v", last)
	}
	for range 50 {
		_, err := w.exchange("nonsense")
		wantCode(t, err, "identity-token-malformed")
	}
	if n := w.record.Head() - before; n > 25 {
		t.Errorf("%d statements about refusals", n)
	}
	before = w.record.Head()
	_, err = w.exchangeFor("@nobody/ui", i.Token(audience, oidctest.GitHub()))
	wantCode(t, err, "publisher-unknown")
	if w.record.Head() != before {
		t.Error("a refusal about a name that nobody knows is on the record")
	}
}
