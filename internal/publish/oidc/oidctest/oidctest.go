// Package oidctest is an issuer of identity tokens on loopback, for tests: it serves a configuration and keys,
// signs whatever it is asked to, and knows what the tokens of each provider look like. What it gets wrong on
// purpose (redirects, failures, keys) is set on it.
//
// The claims are those that the providers document, with the values of their examples replaced. It is no
// proof that a provider sends nothing else: no test here reaches one.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// T is what a test gives: a *testing.T, or a transcript.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Issuer is a loopback issuer. It is safe for concurrent use.
type Issuer struct {
	URL string
	// Now is the time that tokens are made at; nil is the machine's.
	Now func() time.Time

	t      T
	mu     sync.Mutex
	keys   []jose.JSONWebKey
	fetch  map[string]int
	answer http.HandlerFunc // in place of the documents; nil serves them
}

// New starts an issuer with one RSA key, "rsa-1", and one P-256 key, "ec-1", until the test ends.
func New(t T) *Issuer {
	t.Helper()
	return At(t, "")
}

// At starts an issuer whose address has a path, as those of organisations have.
func At(t T, path string) *Issuer {
	t.Helper()
	i := &Issuer{t: t, fetch: map[string]int{}}
	i.keys = []jose.JSONWebKey{
		{Key: RSAKey(t), KeyID: "rsa-1", Algorithm: "RS256", Use: "sig"},
		{Key: ECKey(t), KeyID: "ec-1", Algorithm: "ES256", Use: "sig"},
	}
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(server.Close)
	i.URL = server.URL + path
	return i
}

// RSAKey makes a key.
func RSAKey(t T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ECKey makes a P-256 key.
func ECKey(t T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// SetKeys replaces the keys that are served and signed with.
func (i *Issuer) SetKeys(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Answer makes the issuer answer by h; nil makes it serve its documents again.
func (i *Issuer) Answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = h
}

// Fetches returns how often a path was asked for: "/.well-known/openid-configuration" or "/keys".
func (i *Issuer) Fetches(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetch[path]
}

// KeySet returns the public keys as a JWKS.
func (i *Issuer) KeySet() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keySet()
}

func (i *Issuer) keySet() string {
	var set jose.JSONWebKeySet
	for _, k := range i.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	raw, err := json.Marshal(set)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(raw)
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	path := r.URL.Path
	if at := strings.LastIndex(path, "/.well-known/"); at > 0 {
		path = path[at:]
	}
	i.fetch[path]++
	answer, keys := i.answer, i.keySet()
	i.mu.Unlock()
	switch {
	case path == "/request":
		i.request(w, r)
	case answer != nil:
		answer(w, r)
	case path == "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": "http://" + r.Host + "/keys"})
	case path == "/keys":
		w.Write([]byte(keys))
	default:
		http.NotFound(w, r)
	}
}

// RequestToken is what a job of GitHub sends to get its token, by [Issuer.RequestURL].
const RequestToken = "job-request-token"

// RequestURL is the address at which a job of GitHub gets its token: ACTIONS_ID_TOKEN_REQUEST_URL. What is in
// the query becomes a claim.
func (i *Issuer) RequestURL() string {
	base, _, _ := strings.Cut(strings.TrimPrefix(i.URL, "http://"), "/")
	return "http://" + base + "/request?api-version=2.0"
}

func (i *Issuer) request(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+RequestToken {
		http.Error(w, "no job", http.StatusUnauthorized)
		return
	}
	claims := GitHub()
	for name, v := range r.URL.Query() {
		if name != "api-version" && name != "audience" {
			claims[name] = v[0]
		}
	}
	token := i.Sign(i.Claims(r.URL.Query().Get("audience"), claims))
	json.NewEncoder(w).Encode(map[string]string{"value": token})
}

// Claims completes a provider's claims with those that every token has, valid for five minutes from now.
func (i *Issuer) Claims(audience string, claims map[string]any) map[string]any {
	now := time.Now()
	if i.Now != nil {
		now = i.Now()
	}
	all := map[string]any{
		"iss": i.URL, "aud": audience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": rand.Text(),
	}
	maps.Copy(all, claims)
	for name, v := range all {
		if v == nil {
			delete(all, name)
		}
	}
	return all
}

// Sign makes a token with the first key.
func (i *Issuer) Sign(claims map[string]any) string {
	i.mu.Lock()
	key := i.keys[0]
	i.mu.Unlock()
	return Sign(i.t, jose.SignatureAlgorithm(key.Algorithm), key.Key, key.KeyID, claims)
}

// Token is Sign of Claims.
func (i *Issuer) Token(audience string, claims map[string]any) string {
	return i.Sign(i.Claims(audience, claims))
}

// Sign makes a token with any key and algorithm, the wrong ones included. An empty kid is left out.
func Sign(t T, alg jose.SignatureAlgorithm, key crypto.PrivateKey, kid string, claims map[string]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts = opts.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
