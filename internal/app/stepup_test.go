package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// asks is an answer that asks for a second factor.
type asks struct{ AuthURL, DoneURL, Code string }

// challenged sends a request that lacks a factor and returns what the answer asks for.
func (w *pathWorld) challenged(r *http.Request, authorization string) asks {
	w.t.Helper()
	_, answer := w.send(r, authorization, inside)
	var a asks
	must(w.t, json.Unmarshal(answer.Body.Bytes(), &a))
	if answer.Code != http.StatusUnauthorized || !strings.HasPrefix(a.AuthURL, "http://localhost:") || a.DoneURL == "" {
		w.t.Fatalf("got %d %s", answer.Code, answer.Body)
	}
	return a
}

// confirm completes a challenge as ada and returns what the client fetches.
func (w *pathWorld) confirm(a asks) string {
	w.t.Helper()
	done, err := url.Parse(a.DoneURL)
	must(w.t, err)
	if _, waiting := w.send(w.request("GET", done.Path, ""), "", inside); waiting.Code != http.StatusAccepted || waiting.Header().Get("Retry-After") == "" {
		w.t.Fatalf("before the confirmation: %d %s", waiting.Code, waiting.Body)
	}
	_, code, _ := strings.Cut(a.AuthURL, "/step-up/")
	must(w.t, w.app.Accounts.CompleteChallenge(w.t.Context(), code, with(w.ada)))
	_, answer := w.send(w.request("GET", done.Path, ""), "", inside)
	return tokenIn(w.t, answer)
}

func TestAWaitingClientGoesOnOnceAPersonHasConfirmed(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	w.rule(account.AnyFactor)

	publish := func(name string) *http.Request {
		r := w.request("PUT", "/npm/"+url.PathEscape(name), npmDocument(t, name))
		r.Header.Set("Npm-Command", "publish")
		return r
	}
	a := w.challenged(publish("@acme/ui"), w.own)
	_, code, _ := strings.Cut(a.AuthURL, "/step-up/")
	ch, err := w.app.Accounts.Challenge(t.Context(), code)
	must(t, err)
	if !strings.HasPrefix(ch.What, "npm publish @acme/ui (token:") {
		t.Errorf("the page says %q", ch.What)
	}
	r := publish("@acme/ui")
	r.Header.Set("Npm-Otp", w.confirm(a))
	if code, answer := w.send(r, w.own, inside); code != "" {
		t.Errorf("npm after the confirmation: %d %s", answer.Code, answer.Body)
	}

	body := `{"permission": "read"}`
	a = w.challenged(w.request("POST", "/api/v1/tokens", body), w.own)
	r = w.request("POST", "/api/v1/tokens", body)
	r.Header.Set("Hullmark-Otp", w.confirm(a))
	if code, answer := w.send(r, w.own, inside); code != "" {
		t.Errorf("REST after the confirmation: %d %s", answer.Code, answer.Body)
	}
}

func TestACodeIsNotUsedUpWhereNoRuleAsksForOne(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	accounts, ctx := w.app.Accounts, t.Context()
	begun, err := accounts.BeginTOTP(ctx, w.ada)
	must(t, err)
	code, err := totp.GenerateCode(begun.Secret, w.clock.Now())
	must(t, err)
	_, err = accounts.ConfirmTOTP(ctx, w.ada, code, inside)
	must(t, err)
	w.clock.advance(thaw)
	code, err = totp.GenerateCode(begun.Secret, w.clock.Now())
	must(t, err)

	for _, r := range []*http.Request{
		w.request("GET", "/npm/@acme%2fui", ""), w.request("GET", "/npm/-/whoami", ""),
		w.request("PUT", "/npm/@acme%2fui", npmDocument(t, "@acme/ui")),
	} {
		r.Header.Set("Npm-Otp", code)
		w.send(r, w.own, inside)
	}
	other := evidence.Actor{Account: "ada", Credential: "password:ada", Method: "password"}
	if _, err := accounts.Prove(ctx, other, code, inside); err != nil {
		t.Errorf("the code was used up: %v", err)
	}
	r := w.request("POST", "/npm/-/npm/v1/tokens", `{"readonly": true}`)
	r.Header.Set("Npm-Otp", code)
	if refusal, _ := w.send(r, w.own, inside); refusal != "otp-invalid" {
		t.Errorf("after another credential used it: %q", refusal)
	}
}

func TestALegacyLoginTakesTheFactorOfAnAccountThatHasOne(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	w.rule(account.AnyFactor)
	login := func(otp string) (string, asks) {
		r := w.request("PUT", "/npm/-/user/org.couchdb.user:ada", `{"name": "ada", "password": "`+password+`"}`)
		if otp != "" {
			r.Header.Set("Npm-Otp", otp)
		}
		code, answer := w.send(r, "", inside)
		var a asks
		must(t, json.Unmarshal(answer.Body.Bytes(), &a))
		return code, a
	}
	code, a := login("")
	if code != "otp-required" || a.AuthURL == "" {
		t.Fatalf("without a code: %q, %+v", code, a)
	}
	if code, _ := login("000000"); code != "otp-invalid" {
		t.Errorf("with a wrong code: %q", code)
	}
	if code, _ := login(w.confirm(a)); code != "" {
		t.Errorf("after the confirmation: %q", code)
	}
}

func TestASecretScannerReportsAndLearnsWhatWasOurs(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	file := filepath.Join(t.TempDir(), "scanner.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	a := open(t, app.Config{Data: t.TempDir(), SecretScanners: map[string]string{"k1": file}})
	w := &pathWorld{t: t, app: a, srv: listen(t, a)}

	body := `[{"token": "` + a.AdminToken + `", "type": "hullmark", "url": "https://code.example/x", "source": "content"},
		{"token": "hm_nothing", "type": "hullmark", "url": "", "source": "content"}]`
	report := func(signed bool) (string, string) {
		sum := sha256.Sum256([]byte(body))
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		must(t, err)
		r := w.request("POST", "/-/secrets/report", body)
		r.Header.Set("Github-Public-Key-Identifier", "k1")
		if signed {
			r.Header.Set("Github-Public-Key-Signature", base64.StdEncoding.EncodeToString(signature))
		}
		code, answer := w.send(r, "", inside)
		return code, answer.Body.String()
	}
	if code, _ := report(false); code != "reporter-unknown" {
		t.Errorf("unsigned: %q", code)
	}
	_, answer := report(true)
	if strings.Count(answer, `"true_positive"`) != 1 || strings.Count(answer, `"false_positive"`) != 1 {
		t.Errorf("answer %s", answer)
	}
	_, err = a.Accounts.AuthenticateSecret(t.Context(), "admin", a.AdminToken, inside)
	if err == nil || fault.As(err).Code != "credential-invalid" {
		t.Errorf("the reported token: %v", err)
	}
}

// TestNpmEnrolsAnAppWithThePasswordAlsoByATokenThatManagesNothing sends what npm profile enable-2fa and
// disable-2fa send. Source: npm, profile.js.
func TestNpmEnrolsAnAppWithThePasswordAlsoByATokenThatManagesNothing(t *testing.T) {
	t.Parallel()
	w := newPathWorld(t)
	login := legacyLogin(w, password)
	set := func(otp string, tfa any) (code string, body []byte) {
		t.Helper()
		doc, err := json.Marshal(map[string]any{"tfa": tfa})
		must(t, err)
		r := w.request("POST", "/npm/-/npm/v1/user", string(doc))
		r.Header.Set("Npm-Otp", otp)
		code, answer := w.send(r, login, inside)
		return code, answer.Body.Bytes()
	}
	asked := map[string]string{"password": "a wrong password", "mode": "auth-and-writes"}
	if code, _ := set("", asked); code != "credential-invalid" {
		t.Errorf("with a wrong password: %q", code)
	}
	if code, _ := set("", []string{"123456"}); code != "totp-unknown" {
		t.Errorf("a code before a secret: %q", code)
	}
	asked["password"] = password
	var begun struct{ TFA string }
	code, body := set("", asked)
	if must(t, json.Unmarshal(body, &begun)); code != "" {
		t.Fatalf("%s", body)
	}
	uri, err := url.Parse(begun.TFA)
	must(t, err)
	secret := uri.Query().Get("secret")
	now := func() string {
		code, err := totp.GenerateCode(secret, w.clock.Now())
		must(t, err)
		return code
	}
	if code, _ := set("", []string{"000000"}); code != "otp-invalid" {
		t.Errorf("with a wrong code: %q", code)
	}
	var done struct{ TFA []string }
	code, body = set("", []string{now()})
	if must(t, json.Unmarshal(body, &done)); code != "" || len(done.TFA) < 8 {
		t.Fatalf("%s", body)
	}
	off := map[string]string{"password": password, "mode": "disable"}
	if code, _ := set("", off); code != "otp-required" {
		t.Errorf("removed without a code: %q", code)
	}
	w.clock.advance(time.Minute)
	if code, body := set(now(), off); code != "" {
		t.Errorf("removed with a code: %s", body)
	}
}
