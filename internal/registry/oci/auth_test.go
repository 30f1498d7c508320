package oci_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/oci"
)

var nobody = []string{"Authorization", ""}

// bearer gets a token for the scopes; auth is an Authorization header, or empty for nobody.
func (s *server) bearer(t testing.TB, auth string, scopes ...string) string {
	t.Helper()
	q := url.Values{"service": {"hullmark"}, "scope": scopes}
	r := s.do(t, "GET", "/token?"+q.Encode(), nil, "Authorization", auth).want(t, http.StatusOK, "")
	var answer struct {
		Token, AccessToken string
		ExpiresIn          int    `json:"expires_in"`
		IssuedAt           string `json:"issued_at"`
		Access             string `json:"access_token"`
	}
	must(t, json.Unmarshal(r.body, &answer))
	if answer.Token == "" || answer.Token != answer.Access || answer.ExpiresIn != 300 || answer.IssuedAt == "" {
		t.Fatalf("token answer: %s", r.body)
	}
	return "Bearer " + answer.Token
}

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

func (s *server) owner() string { return basic("admin", s.token) }

// member makes a user with a role in acme and returns their login.
func (s *server) member(t testing.TB, name string, role account.Role) string {
	t.Helper()
	must(t, s.accounts.CreateUser(t.Context(), s.admin, name, ""))
	if role != "" {
		must(t, s.accounts.SetMember(t.Context(), s.admin, "acme", name, role))
	}
	secret, _, err := s.accounts.CreateToken(t.Context(), s.admin,
		account.Token{Account: name, Scope: account.Scope{Permission: evidence.Own}})
	must(t, err)
	return basic(name, secret)
}

func TestChallengeSaysWhereToGetATokenAndForWhat(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for path, scope := range map[string]string{
		"GET /v2/":                         "",
		"GET /v2/acme/app/tags/list":       `,scope="repository:acme/app:pull"`,
		"POST /v2/acme/app/blobs/uploads/": `,scope="repository:acme/app:pull,push"`,
		"DELETE /v2/acme/app/blobs/sha256:" + strings.Repeat("0", 64): `,scope="repository:acme/app:pull,push,delete"`,
		"GET /v2/_catalog": `,scope="registry:catalog:*"`,
	} {
		method, path, _ := strings.Cut(path, " ")
		r := s.do(t, method, path, nil, nobody...).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
		want := `Bearer realm="` + s.URL + `/token",service="hullmark"` + scope
		if got := r.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s %s: challenge %s, want %s", method, path, got, want)
		}
	}
	public := newServer(t, func(c *oci.Config) { c.PublicURL = "https://registry.example.com/" })
	r := public.do(t, "GET", "/v2/", nil, nobody...)
	if got := r.Header.Get("WWW-Authenticate"); !strings.Contains(got, `realm="https://registry.example.com/token"`) {
		t.Errorf("with a public URL the challenge is %s", got)
	}
}

func TestTokenIsForWhatWasAskedAndNoMore(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.push(t, "acme/app", []byte("x"))
	pull := s.bearer(t, s.owner(), "repository:acme/app:pull")
	s.do(t, "GET", "/v2/", nil, "Authorization", pull).want(t, http.StatusOK, "")
	s.do(t, "GET", "/v2/acme/app/tags/list", nil, "Authorization", pull).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	r := s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", pull).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	if !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("challenge: %s", r.Header.Get("WWW-Authenticate"))
	}
	s.do(t, "GET", "/v2/acme/other/tags/list", nil, "Authorization", pull).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	s.do(t, "GET", "/v2/_catalog", nil, "Authorization", pull).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	push := s.bearer(t, s.owner(), "repository:acme/app:pull,push", "registry:catalog:*")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", push).want(t, http.StatusAccepted, "")
	s.do(t, "GET", "/v2/_catalog", nil, "Authorization", push).want(t, http.StatusOK, "")
}

func TestTokenGivesNoRightThatItsOwnerLacks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.push(t, "acme/app", []byte("x"))
	reader := s.member(t, "rita", account.Reader)
	token := s.bearer(t, reader, "repository:acme/app:pull,push", "repository:acme/app:*")
	s.do(t, "GET", "/v2/acme/app/tags/list", nil, "Authorization", token).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", token).want(t, http.StatusForbidden, "DENIED")
	stranger := s.bearer(t, s.member(t, "sam", ""), "repository:acme/app:pull")
	s.do(t, "GET", "/v2/acme/app/tags/list", nil, "Authorization", stranger).want(t, http.StatusNotFound, "NAME_UNKNOWN")
}

func TestRevokingACredentialEndsItsTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secret, made, err := s.accounts.CreateToken(t.Context(), s.admin, account.Token{Scope: account.Scope{Permission: evidence.Own}})
	must(t, err)
	token := s.bearer(t, basic("admin", secret), "repository:acme/app:pull,push")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", token).want(t, http.StatusAccepted, "")
	must(t, s.accounts.RevokeToken(t.Context(), s.admin, made.ID))
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", token).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
}

func TestNobodyMayPullWhatIsPublicAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	open, closed := s.push(t, "open/app", []byte("open")), s.push(t, "acme/app", []byte("closed"))
	token := s.bearer(t, "", "repository:open/app:pull,push", "repository:acme/app:pull")
	for _, auth := range []string{"", token} {
		s.do(t, "GET", "/v2/open/app/blobs/"+string(open), nil, "Authorization", auth).want(t, http.StatusOK, "")
		s.do(t, "GET", "/v2/acme/app/blobs/"+string(closed), nil, "Authorization", auth).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
		s.do(t, "POST", "/v2/open/app/blobs/uploads/", nil, "Authorization", auth).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	}
	s.do(t, "GET", "/v2/", nil, "Authorization", token).want(t, http.StatusOK, "")
}

func TestTokenServiceTakesFormsToo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, tc := range map[string]struct {
		form   url.Values
		status int
	}{
		"a password grant":         {url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {s.token}}, 200},
		"an access token":          {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.token}}, 200},
		"a wrong password":         {url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"hm_wrong"}}, 401},
		"another grant":            {url.Values{"grant_type": {"client_credentials"}}, 400},
		"a form larger than forms": {url.Values{"grant_type": {strings.Repeat("x", 100_000)}}, 400},
	} {
		tc.form.Set("scope", "repository:acme/app:pull,push")
		r := s.do(t, "POST", "/token", []byte(tc.form.Encode()), "Authorization", "", "Content-Type", "application/x-www-form-urlencoded")
		if r.StatusCode != tc.status {
			t.Errorf("%s: %d %s, want %d", name, r.StatusCode, r.body, tc.status)
		}
	}
	r := s.do(t, "GET", "/token", nil, "Authorization", basic("admin", "hm_wrong")).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	if r.Header.Get("WWW-Authenticate") != `Basic realm="hullmark"` {
		t.Errorf("challenge: %s", r.Header.Get("WWW-Authenticate"))
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	s, other := newServer(t), newServer(t, func(c *oci.Config) { c.Key = []byte(strings.Repeat("o", 32)) })
	foreign := other.bearer(t, other.owner(), "repository:acme/app:pull")
	parts := strings.Split(strings.TrimPrefix(s.bearer(t, s.owner()), "Bearer "), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for name, token := range map[string]string{
		"of another server": foreign,
		"without signature": "Bearer " + none + "." + parts[1] + ".",
		"cut":               "Bearer " + parts[0] + "." + parts[1] + "." + parts[2][1:],
		"rubbish":           "Bearer a.b.c",
	} {
		r := s.do(t, "GET", "/v2/", nil, "Authorization", token)
		if r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %d, %s", name, r.StatusCode, r.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestRefusedWriteIsOnTheRecord(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	stranger := s.member(t, "sam", "")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, "Authorization", stranger).want(t, http.StatusForbidden, "DENIED")
	s.do(t, "POST", "/v2/acme/app/blobs/uploads/", nil, nobody...).want(t, http.StatusUnauthorized, "UNAUTHORIZED")
	var verdict, code, by string
	var n int
	err := s.core.Record().DB().Query().QueryRow(`SELECT verdict, code, account, count(*) OVER () FROM decision`).Scan(&verdict, &code, &by, &n)
	if err != nil || verdict != "deny" || code != "namespace-not-yours" || by != "sam" || n != 1 {
		t.Errorf("decision = %s %s by %s, %d of them, %v", verdict, code, by, n, err)
	}
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// Every row of the table is tried as nobody: a route that forgets to ask would answer otherwise.
func TestEveryRouteButTheTokenServiceAsksWhoCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	fill := map[string]string{
		"{name}": "acme/app", "{tag}": "latest", "{digest}": "sha256:" + strings.Repeat("0", 64), "{upload}": "x.y",
	}
	routes := s.registry.Routes()
	if len(routes) < 20 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		if r.Access == registry.AccessAnyone {
			continue
		}
		if r.Access == registry.AccessNamespace && r.Permission == "" {
			t.Errorf("%s %s asks for no permission", r.Method, r.Pattern)
		}
		path := placeholder.ReplaceAllStringFunc(r.Pattern, func(p string) string { return fill[p] })
		got := s.do(t, r.Method, path, nil, nobody...)
		if got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s %s = %d for nobody", r.Method, path, got.StatusCode)
		}
	}
}

func TestImpossibleConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, config := range map[string]oci.Config{
		"a short key": {Key: []byte("short"), Accounts: s.accounts},
		"no accounts": {Key: []byte(strings.Repeat("k", 32))},
	} {
		if _, err := oci.New(s.core, config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestUnknownPathsAndMethodsAreSaidToBe(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do(t, "GET", "/v2/acme/app/nothing/here", nil).want(t, http.StatusNotFound, "NAME_UNKNOWN")
	s.do(t, "GET", "/v2/Acme/tags/list", nil).want(t, http.StatusBadRequest, "NAME_INVALID")
	r := s.do(t, "POST", "/v2/acme/tags/list", nil).want(t, http.StatusMethodNotAllowed, "UNSUPPORTED")
	if r.Header.Get("Allow") != "GET" {
		t.Errorf("Allow: %s", r.Header.Get("Allow"))
	}
}
