// Package ssotest is a small OpenID Connect provider on loopback, for tests: discovery, keys, the
// authorization endpoint and the token endpoint with PKCE, all for one client.
//
// It signs everybody in as whom the test names, and does what a test asks to break it. It refuses what a
// real one refuses: a code twice, another client, a verifier that does not fit.
package ssotest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// The one client.
const (
	ClientID     = "hullmark"
	ClientSecret = "the client's secret"
)

const keyID = "key-1"

// Issuer is a running provider.
type Issuer struct {
	// URL is its issuer.
	URL string

	key *rsa.PrivateKey
	t   testing.TB

	mu     sync.Mutex
	claims map[string]any
	spoil  func(claims jwt.MapClaims) (jwt.SigningMethod, any)
	codes  map[string]url.Values // the authorization request of each code
	asked  int
}

// Start runs a provider until the test ends.
func Start(t testing.TB) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{key: key, t: t, codes: map[string]url.Values{}, claims: map[string]any{"sub": "1001"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

// As makes the provider sign everybody in with these claims, which must have a sub.
func (i *Issuer) As(claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = maps.Clone(claims)
}

// Spoil lets a test change the claims of ID tokens and choose what signs them; nil ends that. Returning
// no method keeps the provider's own.
func (i *Issuer) Spoil(with func(jwt.MapClaims) (jwt.SigningMethod, any)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.spoil = with
}

// Key is the provider's private key.
func (i *Issuer) Key() *rsa.PrivateKey { return i.key }

// Asked is how many sign-ins were begun.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"}}})
}

// authorize signs in whoever comes, and sends them back with a code.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" {
		http.Error(w, "this is no request for a code with PKCE and a nonce", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = q
	i.asked++
	i.mu.Unlock()
	answer := back.Query()
	answer.Set("code", code)
	answer.Set("state", q.Get("state"))
	answer.Set("iss", i.URL)
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	user, secret, basic := r.BasicAuth()
	if basic {
		user, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(secret)
	} else {
		user, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if user != ClientID || secret != ClientSecret {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	asked, known := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 60, "id_token": i.sign(asked.Get("nonce")),
	})
}

func (i *Issuer) sign(nonce string) string {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": ClientID, "nonce": nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, i.claims)
	var method jwt.SigningMethod = jwt.SigningMethodRS256
	var key any = i.key
	if i.spoil != nil {
		if m, k := i.spoil(claims); m != nil {
			method, key = m, k
		}
	}
	t := jwt.NewWithClaims(method, claims)
	t.Header["kid"] = keyID
	signed, err := t.SignedString(key)
	if err != nil {
		i.t.Errorf("sign: %v", err)
	}
	return signed
}
