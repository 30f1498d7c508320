package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
)

func keySetOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOnlyPublicKeysThatMaySignTokensAreKept(t *testing.T) {
	t.Parallel()
	good := jose.JSONWebKey{Key: oidctest.RSAKey(t).Public(), KeyID: "good", Use: "sig"}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := keySetOf(t, good,
		jose.JSONWebKey{Key: oidctest.RSAKey(t).Public(), KeyID: "encrypts", Use: "enc"},
		jose.JSONWebKey{Key: oidctest.RSAKey(t).Public(), KeyID: "other", Algorithm: "RS512"},
		jose.JSONWebKey{Key: oidctest.RSAKey(t).Public()},
		jose.JSONWebKey{Key: oidctest.RSAKey(t), KeyID: "private"},
		jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "secret"},
		jose.JSONWebKey{Key: p384.Public(), KeyID: "p384"},
	)
	keys, err := parseKeys(set)
	if err != nil || len(keys) != 1 || keys["good"] == nil {
		t.Errorf("kept %v, %v", keys, err)
	}
	if _, err := parseKeys(keySetOf(t, good, good)); err == nil {
		t.Error("two keys with one id were taken")
	}
	if _, err := parseKeys([]byte(`{"keys":[]}`)); err == nil {
		t.Error("a set without a key was taken")
	}
	short := &rsa.PublicKey{N: oidctest.RSAKey(t).N, E: 65537}
	short.N.Rsh(short.N, 1100)
	if _, err := parseKeys(keySetOf(t, jose.JSONWebKey{Key: short, KeyID: "short"})); err == nil {
		t.Error("a short key was taken")
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(keySetOf(f, jose.JSONWebKey{Key: oidctest.ECKey(f).Public(), KeyID: "k", Use: "sig"}))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := parseKeys(raw)
		if err != nil {
			return
		}
		for id, k := range keys {
			if id == "" || id != k.KeyID || !k.IsPublic() {
				t.Errorf("kept %q: %+v", id, k)
			}
		}
	})
}

func FuzzParseDiscovery(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a.test","jwks_uri":"https://a.test/keys"}`), "https://a.test")
	f.Add([]byte(`{"Issuer":"https://a.test","issuer":"https://b.test","jwks_uri":"x"}`), "https://a.test")
	f.Fuzz(func(t *testing.T, raw []byte, issuer string) {
		address, err := parseDiscovery(raw, issuer)
		if err == nil && address == "" {
			t.Error("no address and no error")
		}
	})
}

func TestClaimsThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	deep := `{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}`
	for _, bad := range []string{
		`{"sub":"a","sub":"b"}`, `{"a":{"b":"c"},"a/b":"d"}`, `{"a/b":"d","a":{"b":"c"}}`, `{"a":{"b":1},"a":{"c":2}}`, `{} {}`, `[]`, `"x"`, ``, `{`,
		`{"a":"b\u0000"}`, `{"a":"b\n"}`, deep, `{"a":[[[[[[1]]]]]]}`, `{"a":[`, `{"a":["x"],"a":"x"}`, `nul`,
		fmt.Sprintf(`{"a":%q}`, string(make([]byte, maxClaimValue+1))),
	} {
		if c, err := ParseClaims([]byte(bad)); err == nil {
			t.Errorf("%.60s is read as %v", bad, c)
		}
	}
	c, err := ParseClaims([]byte(`{"a":{"b":"c"},"n":12345678901234567890,"t":true,"l":["x","y"],"o":[{"x":"y"}],"z":null,"A":"other"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/b": "c", "n": "12345678901234567890", "t": "true", "l": "", "z": "", "A": "other", "o": ""} {
		if got := c.Text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := c.List("l"); len(got) != 2 || c.List("o") != nil {
		t.Errorf("the lists are %v and %v", got, c.List("o"))
	}
}

func FuzzParseClaims(f *testing.F) {
	for _, claims := range []map[string]any{
		oidctest.GitHub(), oidctest.GitLab("https://gitlab.com"), oidctest.Buildkite(), oidctest.CircleCI(), oidctest.Google(),
		oidctest.Kubernetes("x"), oidctest.Generic(),
	} {
		raw, err := json.Marshal(claims)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"exp":1e400,"iat":-1,"nbf":1.5}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseClaims(raw)
		if err != nil {
			return
		}
		if len(c.values)+len(c.lists) > maxClaims {
			t.Errorf("%d claims", len(c.values)+len(c.lists))
		}
		var plain map[string]json.RawMessage
		if err := json.Unmarshal(raw, &plain); err != nil {
			t.Errorf("read what is no JSON object: %v", err)
		}
		for _, name := range []string{"exp", "iat", "nbf"} {
			c.seconds(name)
		}
		for _, p := range providers {
			publisher := &Publisher{Provider: p.name, Issuer: "https://a.test", Claims: map[string]string{"repository": "a/b", "workflow": "c.yml"}}
			publisher.match(p, c)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(oidctest.Sign(f, jose.ES256, oidctest.ECKey(f), "k", oidctest.GitHub()))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		jws, _, err := parseToken(token)
		if err == nil && (jws.Signatures[0].Protected.KeyID == "" || len(token) > maxToken) {
			t.Error("a token without key id was read")
		}
	})
}
