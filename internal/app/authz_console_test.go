package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/console"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/console/sso/ssotest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// consoleWorld makes the requests of the pages' table. Who asks has a session, in a cookie.
type consoleWorld struct {
	*npmWorld
	app    *app.App
	issuer *ssotest.Issuer
}

const (
	matrixUser     = "person"
	matrixPassword = "seven short words make one phrase"
)

func newConsoleWorld(t *testing.T) (*consoleWorld, *app.Server) {
	t.Helper()
	issuer := ssotest.Start(t)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte(ssotest.ClientSecret), 0o600))
	// Without freezes: the rows before those on releases change passwords and factors.
	a := open(t, app.Config{Data: t.TempDir(), Accounts: account.Settings{Freeze: -1}, SignOn: sso.Config{Providers: []sso.ProviderConfig{{
		ID: "corp", Label: "Corp", Issuer: issuer.URL, ClientID: ssotest.ClientID, ClientSecretFile: secret, CreateAccounts: true,
	}}}})
	s := listen(t, a)
	people := authztest.PopulateAs(t, a.Accounts, a.AdminToken)
	must(t, a.Accounts.CreateUser(t.Context(), people.Admin, matrixUser, matrixPassword))
	return &consoleWorld{npmWorld: newNPMWorld(people, s.Handler()), app: a, issuer: issuer}, s
}

// Authorization implements authztest.World: tokens open no page.
func (w *consoleWorld) Authorization(authztest.Role) string { return "" }

// session opens one for the role and returns its cookie and its actor.
func (w *consoleWorld) session(t *testing.T, role authztest.Role) (*http.Cookie, evidence.Actor) {
	t.Helper()
	if role == authztest.Anonymous {
		return nil, evidence.Actor{}
	}
	secret, err := w.Accounts.SignInSSO(t.Context(), string(role), account.Device{RemoteAddr: "192.0.2.1:1", Agent: "matrix"})
	must(t, err)
	actor, err := w.Accounts.SessionActor(t.Context(), secret, "192.0.2.1:1")
	must(t, err)
	return &http.Cookie{Name: "hullmark", Value: secret}, actor
}

// Request implements authztest.World.
func (w *consoleWorld) Request(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	cookie, actor := w.session(t, role)
	path := strings.TrimSuffix(row.Pattern, "{$}")
	for key, value := range w.values(t, row, role, target, actor) {
		path = strings.ReplaceAll(path, "{"+key+"}", url.PathEscape(value))
	}
	form, known := w.forms(t)[row.Method+" "+row.Pattern]
	if !known && row.Method != http.MethodGet || strings.Contains(path, "{") {
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, path, strings.NewReader(form))
	r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", w.n/250, w.n%250)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != nil {
		r.AddCookie(cookie)
	}
	if strings.HasSuffix(row.Pattern, "/callback") {
		w.comeBack(t, r)
	}
	return r
}

// values are what a row's path parameters are set to; what they name is made where the row needs it.
func (w *consoleWorld) values(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target, actor evidence.Actor) map[string]string {
	t.Helper()
	values := map[string]string{"file": "pages.css", "provider": "corp"}
	switch {
	case strings.HasPrefix(row.Pattern, "/login/"):
		code, _, err := w.Accounts.StartLogin(t.Context(), fmt.Sprintf("203.0.113.%d:1", w.n%250))
		must(t, err)
		values["code"] = code
	case strings.HasPrefix(row.Pattern, "/step-up/"):
		asks := actor
		if asks.Anonymous() {
			asks = w.Admin
		}
		code, _, err := w.Accounts.StartChallenge(t.Context(), asks, account.AnyFactor, "test", fmt.Sprintf("203.0.113.%d:1", w.n%250))
		must(t, err)
		values["code"] = code
	case strings.HasPrefix(row.Pattern, "/stage/{id"):
		values["id..."] = w.stage(t, role, target)
	case strings.Contains(row.Pattern, "{id}"):
		values["id"] = w.own(t, row, role, actor)
	case strings.HasPrefix(row.Pattern, "/account/totp/") && !actor.Anonymous():
		w.totp(t, actor, strings.HasSuffix(row.Pattern, "/removal"))
	}
	return values
}

// own makes something of the actor's account that the row takes away.
func (w *consoleWorld) own(t *testing.T, row authztest.Row, role authztest.Role, actor evidence.Actor) string {
	t.Helper()
	ctx := t.Context()
	if actor.Anonymous() {
		return "none"
	}
	switch {
	case strings.Contains(row.Pattern, "/tokens/"):
		return w.SpareToken(t, role)
	case strings.Contains(row.Pattern, "/sessions/"):
		_, other := w.session(t, role)
		_, id, _ := strings.Cut(other.Credential, ":")
		return id
	case strings.Contains(row.Pattern, "/identities/"):
		must(t, w.Accounts.LinkIdentity(ctx, actor, account.Assertion{Issuer: "https://id.example", Subject: string(role), Provider: "Example"}))
		all, err := w.Accounts.Identities(ctx, actor)
		must(t, err)
		return all[0].ID
	}
	return w.passkey(t, actor)
}

func (w *consoleWorld) passkey(t *testing.T, actor evidence.Actor) string {
	t.Helper()
	raw, state, err := w.Accounts.BeginPasskey(t.Context(), actor)
	must(t, err)
	options, err := virtualwebauthn.ParseAttestationOptions(string(raw))
	must(t, err)
	rp := virtualwebauthn.RelyingParty{Name: "Hullmark", ID: "localhost", Origin: w.Accounts.Pages()}
	auth := virtualwebauthn.NewAuthenticator()
	answer := virtualwebauthn.CreateAttestationResponse(rp, auth, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA), *options)
	made, _, err := w.Accounts.FinishPasskey(t.Context(), actor, state, "key", []byte(answer))
	must(t, err)
	return made.ID
}

// totp begins an enrolment, and ends it too where the row takes it away.
func (w *consoleWorld) totp(t *testing.T, actor evidence.Actor, enrol bool) {
	t.Helper()
	made, err := w.Accounts.BeginTOTP(t.Context(), actor)
	must(t, err)
	if !enrol {
		return
	}
	code, err := totp.GenerateCode(made.Secret, time.Now())
	must(t, err)
	_, err = w.Accounts.ConfirmTOTP(t.Context(), actor, code, "192.0.2.1:1")
	must(t, err)
}

// comeBack makes r what a browser sends when it comes back from the identity provider.
func (w *consoleWorld) comeBack(t *testing.T, r *http.Request) {
	t.Helper()
	w.issuer.As(map[string]any{"sub": fmt.Sprint(w.n), "preferred_username": fmt.Sprintf("visitor%d", w.n)})
	begun := send(w.handler, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/account/sign-on/corp", nil), "")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, begun.Header().Get("Location"), nil)
	must(t, err)
	answer, err := client.Do(ask)
	must(t, err)
	defer answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	must(t, err)
	r.URL.RawQuery = back.RawQuery
	for _, c := range begun.Result().Cookies() {
		r.AddCookie(c)
	}
}

// forms are the rows that change something, with what each sends.
func (w *consoleWorld) forms(t *testing.T) map[string]string {
	t.Helper()
	_, token, _ := strings.Cut(w.npmWorld.Authorization(authztest.Owner), " ")
	return map[string]string{
		"POST /account/sign-in":                 url.Values{"user": {matrixUser}, "password": {matrixPassword}}.Encode(),
		"POST /account/sign-in/options":         "",
		"POST /account/sign-in/passkey":         "state=x&response={}",
		"POST /account/recover":                 "user=owner",
		"POST /account/recover/code":            "code=x",
		"POST /account/recover/password":        "code=x&password=" + url.QueryEscape(matrixPassword),
		"POST /account/sign-out":                "",
		"POST /account/prove":                   "otp=000000",
		"POST /account/prove/options":           "",
		"POST /account/prove/passkey":           "state=x&response={}",
		"POST /account/passkeys":                "state=x&response={}&label=key",
		"POST /account/passkeys/options":        "",
		"POST /account/passkeys/{id}/removal":   "",
		"POST /account/totp":                    "",
		"POST /account/totp/confirmation":       "code=000000",
		"POST /account/totp/removal":            "",
		"POST /account/recovery-codes":          "",
		"POST /account/password":                "old=x&password=" + url.QueryEscape(matrixPassword),
		"POST /account/email":                   fmt.Sprintf("address=person%d%%40example.com", w.n),
		"POST /account/email/verification":      "code=x",
		"POST /account/recovery/cancellation":   "",
		"POST /account/sessions/{id}/end":       "",
		"POST /account/tokens/{id}/revocation":  "",
		"POST /account/identities/{provider}":   "",
		"POST /account/identities/{id}/removal": "",
		"POST /login/{code}":                    "user=owner&secret=" + token,
		"POST /step-up/{code}":                  "otp=000000",
		"POST /stage/{id...}":                   "action=approve&reason=test",
		"POST /report/{$}":                      "purl=pkg%3Anpm%2Fnothing%401.0.0&reason=test",
		"POST /report/{id}/outcome":             "outcome=upheld",
	}
}

// anyPath is a path that the route answers to.
func anyPath(r console.Route) string {
	return strings.NewReplacer("{$}", "", "{id...}", "x", "{id}", "x", "{provider}", "x", "{code}", "x", "{file}", "x").Replace(r.Pattern)
}

func TestTokensOpenNoPage(t *testing.T) {
	t.Parallel()
	_, s, people := matrixServer(t)
	for _, r := range s.Console.Routes() {
		if r.Access == registry.AccessAnyone {
			continue
		}
		for _, role := range []authztest.Role{authztest.Owner, authztest.Admin} {
			got := send(s.Handler(), httptest.NewRequestWithContext(t.Context(), r.Method, anyPath(r), nil), people.Authorization(role))
			if got.Code != http.StatusUnauthorized {
				t.Errorf("%s %s: %d for the token of %s", r.Method, r.Pattern, got.Code, role)
			}
		}
	}
}

func TestNoPageTakesAFormOfAnotherSite(t *testing.T) {
	t.Parallel()
	w, s := newConsoleWorld(t)
	cookie, _ := w.session(t, authztest.Owner)
	for _, row := range s.Console.Routes() {
		if row.Method == http.MethodGet {
			continue
		}
		r := httptest.NewRequestWithContext(t.Context(), row.Method, anyPath(row), nil)
		r.AddCookie(cookie)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if got := send(s.Handler(), r, ""); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "cross-origin") {
			t.Errorf("%s %s: %d %s", row.Method, row.Pattern, got.Code, got.Body)
		}
	}
}
