package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	inside   = "192.0.2.7:4711"
	outside  = "198.51.100.9:4711"
	password = "correct horse battery"
	// thaw is shorter than what the paths acquire lives, so that a control can be tried after it.
	thaw = time.Minute
)

// movable is a clock that tests move.
type movable struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *movable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// pathWorld is a server on which ada, whose account is a week old, owns @acme and acme.
type pathWorld struct {
	t     *testing.T
	app   *app.App
	srv   *app.Server
	clock *movable
	ada   evidence.Actor // by an unrestricted token that no path uses
	own   string         // the same, as a header
	made  string         // the ID of the token that the path uses
	n     int
}

func newPathWorld(t *testing.T) *pathWorld { return pathWorldWith(t, account.Settings{Freeze: thaw}) }

func pathWorldWith(t *testing.T, st account.Settings) *pathWorld {
	t.Helper()
	w := &pathWorld{t: t, clock: &movable{now: time.Now()}}
	w.app = open(t, app.Config{Data: t.TempDir(), Clock: w.clock, Accounts: st})
	w.srv = listen(t, w.app)
	accounts, ctx := w.app.Accounts, t.Context()
	admin, err := accounts.AuthenticateSecret(ctx, "token", w.app.AdminToken, inside)
	must(t, err)
	must(t, accounts.CreateUser(ctx, admin, "ada", password))
	secret, _, err := accounts.CreateToken(ctx, admin, account.Token{Account: "ada", Scope: account.Scope{Permission: evidence.Own}})
	must(t, err)
	w.own = "Bearer " + secret
	w.ada, err = accounts.AuthenticateSecret(ctx, "token", secret, inside)
	must(t, err)
	must(t, accounts.CreateOrganisation(ctx, w.ada, "acme"))
	must(t, accounts.ClaimNamespace(ctx, w.ada, "acme", purl.NPM, "@acme", account.Private))
	must(t, accounts.ClaimNamespace(ctx, w.ada, "acme", purl.OCI, "acme", account.Private))
	w.clock.advance(7 * 24 * time.Hour)
	return w
}

// token makes the credential of the paths that use one: for ten minutes, from inside.
func (w *pathWorld) token() string {
	secret, made, err := w.app.Accounts.CreateToken(w.t.Context(), w.ada, account.Token{
		Scope: account.Scope{Permission: evidence.Own}, Expires: w.clock.Now().Add(10 * time.Minute),
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	must(w.t, err)
	w.made = made.ID
	return secret
}

// send answers a request and returns its status and the code of its refusal.
func (w *pathWorld) send(r *http.Request, authorization, from string) (code string, answer *httptest.ResponseRecorder) {
	r.RemoteAddr = from
	answer = send(w.srv.Handler(), r, authorization)
	if answer.Code < 300 {
		return "", answer
	}
	var body struct {
		Code   string
		Errors []struct {
			Message string
			Detail  json.RawMessage
		}
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &body)
	if body.Code == "" && len(body.Errors) > 0 {
		var detail struct{ Code string }
		_ = json.Unmarshal(body.Errors[0].Detail, &detail)
		body.Code = detail.Code
		if body.Code == "" {
			body.Code = body.Errors[0].Message
		}
	}
	return body.Code, answer
}

func (w *pathWorld) request(method, path, body string) *http.Request {
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (w *pathWorld) npmPublish(authorization, from string) string {
	w.n++
	name := fmt.Sprintf("@acme/p%d", w.n)
	code, _ := w.send(w.request("PUT", "/npm/"+url.PathEscape(name), npmDocument(w.t, name)), authorization, from)
	return code
}

func (w *pathWorld) ociPush(authorization, from string) string {
	for _, blob := range []string{"", noConfig} {
		path := "/v2/acme/app/blobs/uploads/?digest=" + url.QueryEscape(string(digest.FromBytes([]byte(blob))))
		if code, _ := w.send(w.request("POST", path, blob), authorization, from); code != "" {
			return code
		}
	}
	manifest := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": %q, "size": 2}, "layers": []}`, digest.FromBytes([]byte(noConfig)))
	r := w.request("PUT", "/v2/acme/app/manifests/v1", manifest)
	r.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	code, answer := w.send(r, authorization, from)
	if code == "" && answer.Header().Get("Warning") != "" {
		return held
	}
	return code
}

const (
	noConfig = "{}"
	// held is an image that waits for a second person: its client could not be asked for a factor.
	held = "held"
)

// restOwn recalls what [released] published.
func (w *pathWorld) restOwn(authorization, from string) string {
	code, _ := w.send(w.request("POST", "/api/v1/recalls", `{"subject": "pkg:npm/%40acme/p1@1.0.0", "reason": "test"}`), authorization, from)
	return code
}

// released publishes something for the owner's path before it is tried.
func released(acquire func(*pathWorld, string) string) func(*pathWorld, string) string {
	return func(w *pathWorld, secret string) string {
		if code := w.npmPublish(w.own, inside); code != "" {
			w.t.Fatalf("publish: %s", code)
		}
		return acquire(w, secret)
	}
}

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// authPath is a way in: acquire turns a secret into what is then used, before a control bites.
type authPath struct {
	name     string
	password bool // else a token
	acquire  func(w *pathWorld, secret string) string
	use      func(w *pathWorld, acquired, from string) string
}

func authPaths() []authPath {
	bearer := func(_ *pathWorld, secret string) string { return "Bearer " + secret }
	asBasic := func(_ *pathWorld, secret string) string { return basic("ada", secret) }
	npm, oci, rest := (*pathWorld).npmPublish, (*pathWorld).ociPush, (*pathWorld).restOwn
	return []authPath{
		{"npm bearer", false, bearer, npm},
		{"npm basic with a token", false, asBasic, npm},
		{"npm basic with a password", true, asBasic, npm},
		{"npm legacy login with a token", false, legacyLogin, npm},
		{"npm legacy login with a password", true, legacyLogin, npm},
		{"npm web login with a token", false, webLogin, npm},
		{"npm web login with a password", true, webLogin, npm},
		{"oci basic with a token", false, asBasic, oci},
		{"oci basic with a password", true, asBasic, oci},
		{"oci bearer with a token", false, ociBearer, oci},
		{"oci bearer with a password", true, ociBearer, oci},
		{"oci access token as bearer", false, bearer, oci},
		{"rest bearer", false, released(bearer), rest},
		{"rest basic with a password", true, released(asBasic), rest},
		{"session by password", true, passwordSession, sessionPublish},
	}
}

func legacyLogin(w *pathWorld, secret string) string {
	_, answer := w.send(w.request("PUT", "/npm/-/user/org.couchdb.user:ada", fmt.Sprintf(`{"name": "ada", "password": %q}`, secret)), "", inside)
	return "Bearer " + tokenIn(w.t, answer)
}

func webLogin(w *pathWorld, secret string) string {
	accounts, ctx := w.app.Accounts, w.t.Context()
	code, poll, err := accounts.StartLogin(ctx, inside)
	must(w.t, err)
	actor, err := accounts.AuthenticateSecret(ctx, "ada", secret, inside)
	must(w.t, err)
	must(w.t, accounts.CompleteLogin(ctx, code, actor))
	_, answer := w.send(w.request("GET", "/npm/-/v1/done/"+poll, ""), "", inside)
	return "Bearer " + tokenIn(w.t, answer)
}

func ociBearer(w *pathWorld, secret string) string {
	_, answer := w.send(w.request("GET", "/token?service=hullmark&scope=repository:acme/app:pull,push", ""), basic("ada", secret), inside)
	return "Bearer " + tokenIn(w.t, answer)
}

func tokenIn(t *testing.T, answer *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct{ Token string }
	must(t, json.Unmarshal(answer.Body.Bytes(), &body))
	if body.Token == "" {
		t.Fatalf("no token in %d %s", answer.Code, answer.Body)
	}
	return body.Token
}

func passwordSession(w *pathWorld, secret string) string {
	session, err := w.app.Accounts.SignInPassword(w.t.Context(), "ada", secret, account.Device{RemoteAddr: inside})
	must(w.t, err)
	return session
}

func sessionPublish(w *pathWorld, session, from string) string {
	ctx := w.t.Context()
	actor, err := w.app.Accounts.SessionActor(ctx, session, from)
	if err == nil {
		err = w.app.Accounts.Authorize(ctx, actor, evidence.Publish, purl.NPM, "@acme/ui")
	}
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

// control is what has to bite on every path. codes are the refusals that count: the protocols say the
// same thing in their own ways.
type control struct {
	name  string
	apply func(w *pathWorld, p authPath) (from string)
	codes []string
	// only says on which paths it can be tried; nil is all.
	only func(p authPath) bool
}

func controls() []control {
	token := func(p authPath) bool { return !p.password }
	return []control{
		{"nothing", func(*pathWorld, authPath) string { return inside }, []string{""}, nil},
		{"revoked", revoke, []string{"credential-invalid"}, nil},
		{"expired", func(w *pathWorld, _ authPath) string {
			w.clock.advance(10 * time.Minute)
			return inside
		}, []string{"token-expired", "bearer-invalid"}, token},
		{"another network", func(*pathWorld, authPath) string { return outside }, []string{"token-address"}, token},
		{"frozen", func(w *pathWorld, _ authPath) string {
			w.verify("ada@example.org") // the first does not freeze
			w.verify("other@example.org")
			return inside
		}, []string{"publishing-frozen"}, func(p authPath) bool { return !strings.HasPrefix(p.name, "rest ") }}, // that recalls: see freeze_test.go
		{"a rule, with an app", func(w *pathWorld, _ authPath) string {
			w.rule(account.AnyFactor)
			return inside
		}, []string{"otp-required", "factor-unaskable", held}, nil},
		{"a rule, without any factor", func(w *pathWorld, _ authPath) string {
			must(w.t, w.app.Accounts.SetMFA(w.t.Context(), w.ada, account.MFARule{Organisation: "acme", Action: "publish", Level: account.AnyFactor}))
			return inside
		}, []string{"factor-missing", "factor-unaskable", held}, nil},
		{"a rule for passkeys", func(w *pathWorld, _ authPath) string {
			w.rule(account.PhishingResistant)
			return inside
		}, []string{"factor-missing", "otp-required", "factor-unaskable", held}, nil},
	}
}

// revoke takes the credential away: the token, or the password with the sessions that it opened. A
// login token that a password approved lives on; it is revoked by itself.
func revoke(w *pathWorld, p authPath) string {
	accounts, ctx := w.app.Accounts, w.t.Context()
	if p.password {
		must(w.t, accounts.ChangePassword(ctx, with(w.ada), "", "seven purple ostriches", inside))
		w.clock.advance(thaw)
	}
	tokens, err := accounts.ListTokens(ctx, w.ada)
	must(w.t, err)
	for _, made := range tokens {
		if made.ID == w.made || made.Description == "npm login" {
			must(w.t, accounts.RevokeToken(ctx, w.ada, made.ID))
		}
	}
	return inside
}

// with is the actor with a fresh factor, as after Prove.
func with(a evidence.Actor) evidence.Actor {
	a.Factor = evidence.TOTP
	return a
}

// verify makes an address ada's.
func (w *pathWorld) verify(address string) {
	accounts, ctx := w.app.Accounts, w.t.Context()
	must(w.t, accounts.SetEmail(ctx, w.ada, address))
	notices, err := accounts.Notices(ctx, 1)
	must(w.t, err)
	var data struct{ Code string }
	must(w.t, json.Unmarshal(notices[0].Data, &data))
	must(w.t, accounts.VerifyEmail(ctx, w.ada, data.Code))
	must(w.t, accounts.NoticeSent(ctx, notices[0].ID))
}

// rule gives ada an app, asks for a factor, and waits until the new app no longer freezes her.
func (w *pathWorld) rule(level account.Level) {
	accounts, ctx := w.app.Accounts, w.t.Context()
	begun, err := accounts.BeginTOTP(ctx, w.ada)
	must(w.t, err)
	code, err := totp.GenerateCode(begun.Secret, w.clock.Now())
	must(w.t, err)
	_, err = accounts.ConfirmTOTP(ctx, w.ada, code, inside)
	must(w.t, err)
	must(w.t, accounts.SetMFA(ctx, with(w.ada), account.MFARule{Organisation: "acme", Action: "publish", Level: level}))
	w.clock.advance(thaw)
}

func TestEveryControlHoldsOnEveryAuthenticationPath(t *testing.T) {
	t.Parallel()
	for _, p := range authPaths() {
		for _, c := range controls() {
			if c.only != nil && !c.only(p) {
				continue
			}
			t.Run(p.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				w := newPathWorld(t)
				secret := password
				if !p.password {
					secret = w.token()
				}
				acquired := p.acquire(w, secret)
				from := c.apply(w, p)
				code := p.use(w, acquired, from)
				for _, want := range c.codes {
					if code == want {
						return
					}
				}
				t.Errorf("got %q, want one of %q", code, c.codes)
			})
		}
	}
}
