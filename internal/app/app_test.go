package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/fault"
)

// code fails the test unless err is a fault with the code.
func code(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || fault.As(err).Code != want {
		t.Errorf("got %v; want the code %s", err, want)
	}
}

func TestOneProcessAtATimeWorksOnAFolder(t *testing.T) {
	t.Parallel()
	c := app.Config{Data: t.TempDir()}
	a := open(t, c)
	_, err := app.Open(t.Context(), c)
	code(t, err, "data-in-use")
	must(t, a.Close())
	must(t, open(t, c).Close())
}

func TestTheFirstTokenIsShownOnceAndTheLogKeyStays(t *testing.T) {
	t.Parallel()
	c := app.Config{Data: filepath.Join(t.TempDir(), "data")}
	first := open(t, c)
	must(t, first.Close())
	second := open(t, c)
	if !strings.HasPrefix(first.AdminToken, "hm_") || second.AdminToken != "" {
		t.Errorf("the starts showed %d and %d bytes of token; want one at the first and none at the second", len(first.AdminToken), len(second.AdminToken))
	}
	if first.LogKey == "" || first.LogKey != second.LogKey {
		t.Errorf("the log's key was %q and is %q", first.LogKey, second.LogKey)
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"log.key": "key-exposed", "npm.key": "key-exposed", "oci.key": "key-exposed"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := app.Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"}
			must(t, start(t, c))
			mode(t, c.Data, 0o700)
			mode(t, filepath.Join(c.Data, file), 0o600)
			must(t, os.Chmod(filepath.Join(c.Data, file), 0o640))
			code(t, start(t, c), want)
		})
	}
}

// start opens and builds a server as the command does, and closes it again.
func start(t *testing.T, c app.Config) error {
	t.Helper()
	a, err := app.Open(t.Context(), c)
	if err != nil {
		return err
	}
	defer a.Close()
	s, err := a.Listen()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	stop() // told to end before it began
	return s.Run(ctx)
}

func mode(t *testing.T, file string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o; want %04o", filepath.Base(file), got, want)
	}
}

// events collects a server's log.
type events struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

func TestNoSecretIsLoggedOrStored(t *testing.T) {
	t.Parallel()
	var log events
	c := app.Config{Data: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	a := open(t, c)
	a.Config.Listen = "127.0.0.1:0"
	s, err := a.Listen()
	must(t, err)
	people := authztest.PopulateAs(t, a.Accounts, a.AdminToken)
	secrets := session(t, s.Handler(), people)
	must(t, people.Accounts.CreateUser(t.Context(), people.Admin, "typist", "correct horse battery"))
	secrets["password"], secrets["first token"] = "correct horse battery", a.AdminToken
	_, err = a.Log.Sequence(t.Context())
	must(t, err)
	failures(t, a, s.Handler(), secrets)

	stored := everything(t, c.Data)
	if !bytes.Contains(stored, []byte("@own/cell1")) {
		t.Fatal("the package's name is not found either: the search is broken")
	}
	if !strings.Contains(log.text.String(), "npm request failed") || !strings.Contains(log.text.String(), "oci request failed") {
		t.Fatalf("the failures were not logged:\n%s", &log.text)
	}
	for what, secret := range secrets {
		if len(secret) < 20 {
			t.Errorf("%s: %q is no secret", what, secret)
		}
		if bytes.Contains(stored, []byte(secret)) {
			t.Errorf("%s is in the data folder", what)
		}
		if strings.Contains(log.text.String(), secret) {
			t.Errorf("%s is in the log", what)
		}
	}
}

// session publishes to both registries, logs in to both and makes a token. It returns every secret
// that was sent or handed out.
func session(t *testing.T, h http.Handler, people *authztest.People) map[string]string {
	t.Helper()
	npm, oci := newNPMWorld(people, h), newOCIWorld(t, people, h)
	npm.publish(t, authztest.Own, "@own/cell1")
	_, token, _ := strings.Cut(people.Authorization(authztest.Owner), " ")
	_, bearer, _ := strings.Cut(withBearers(t, oci).Authorization(authztest.Owner), " ")
	secrets := map[string]string{"token": token, "bearer token": bearer}

	made := ask(t, h, "POST", "/npm/-/npm/v1/tokens", `{"readonly": true}`, "Bearer "+token)
	secrets["token made over npm"] = made["token"]
	login := ask(t, h, "POST", "/npm/-/v1/login", `{}`, "")
	secrets["login code"], secrets["poll secret"] = last(t, login["loginUrl"]), last(t, login["doneUrl"])
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/login/"+secrets["login code"],
		strings.NewReader(url.Values{"user": {"owner"}, "secret": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := send(h, r, ""); got.Code != http.StatusOK {
		t.Fatalf("web login: %d %s", got.Code, got.Body)
	}
	secrets["token of the web login"] = ask(t, h, "GET", "/npm/-/v1/done/"+secrets["poll secret"], "", "")["token"]
	legacy := ask(t, h, "PUT", "/npm/-/user/org.couchdb.user:owner", `{"name": "owner", "password": "`+token+`"}`, "")
	secrets["token of the legacy login"] = legacy["token"]
	return secrets
}

// failures sends the secrets again when nothing works any more: what fails is logged.
func failures(t *testing.T, a *app.App, h http.Handler, secrets map[string]string) {
	t.Helper()
	must(t, a.DB.Close())
	for _, r := range []struct{ method, path, body, bearer string }{
		{"DELETE", "/npm/-/user/token/" + secrets["token made over npm"], "", secrets["token"]},
		{"GET", "/npm/-/v1/done/" + secrets["poll secret"], "", ""},
		{"PUT", "/npm/-/user/org.couchdb.user:owner", `{"name": "owner", "password": "` + secrets["token of the legacy login"] + `"}`, ""},
		{"POST", "/api/v1/logins/" + secrets["login code"] + "/approval", "", secrets["token"]},
		{"GET", "/v2/own/app/tags/list", "", secrets["bearer token"]},
		{"GET", "/v2/own/app/tags/list", "", secrets["token of the web login"]},
	} {
		authorization := ""
		if r.bearer != "" {
			authorization = "Bearer " + r.bearer
		}
		got := send(h, httptest.NewRequestWithContext(t.Context(), r.method, r.path, strings.NewReader(r.body)), authorization)
		if got.Code != http.StatusInternalServerError {
			t.Errorf("%s: got %d with the database closed; want 500", strings.SplitN(r.path, "/", 4)[1], got.Code)
		}
	}
}

// ask sends a request that must succeed and returns the strings of the answer.
func ask(t *testing.T, h http.Handler, method, path, body, authorization string) map[string]string {
	t.Helper()
	got := send(h, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)), authorization)
	if got.Code/100 != 2 {
		t.Fatalf("%s: %d %s", path, got.Code, got.Body)
	}
	var answer map[string]any
	must(t, json.Unmarshal(got.Body.Bytes(), &answer))
	texts := map[string]string{}
	for key, value := range answer {
		texts[key], _ = value.(string)
	}
	return texts
}

// last returns the last element of an address.
func last(t *testing.T, address string) string {
	t.Helper()
	return address[strings.LastIndexByte(address, '/')+1:]
}

// everything returns the content of every file below folder.
func everything(t *testing.T, folder string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(file)
		all = append(all, raw...)
		return err
	})
	must(t, err)
	return all
}

func TestANameServerIsAnAddress(t *testing.T) {
	t.Parallel()
	_, err := app.Open(t.Context(), app.Config{Data: t.TempDir(), DNS: "garbage"})
	if fault.As(err).Code != "dns-invalid" {
		t.Errorf("got %v", err)
	}
}
