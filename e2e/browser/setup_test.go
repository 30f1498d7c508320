package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/mail/mailtest"
)

const password = "correct horse battery"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need skips, or fails under CI=true, and says what is missing.
func need(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing; run scripts/tools e2e", what)
	}
	t.Skipf("%s is missing; run scripts/tools e2e", what)
}

// site is a server with mail, and people with passwords.
type site struct {
	*app.App
	server *app.Server
	mail   *mailtest.Sink
	admin  evidence.Actor
	pages  string
}

func start(t *testing.T, change ...func(*app.Config)) *site {
	t.Helper()
	sink := mailtest.Start(t, mailtest.Options{})
	c := app.Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Mail: &mail.Config{Server: sink.Address, Security: mail.None, From: "Hullmark <hullmark@example.com>"},
	}
	for _, f := range change {
		f(&c)
	}
	a, err := app.Open(t.Context(), c)
	must(t, err)
	server, err := a.Listen()
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
		must(t, a.Close())
	})
	s := &site{App: a, server: server, mail: sink, pages: a.Accounts.Pages()}
	s.admin, err = a.Accounts.AuthenticateSecret(t.Context(), "token", a.AdminToken, "127.0.0.1:1")
	must(t, err)
	return s
}

// user makes a user with a password, and a token of theirs.
func (s *site) user(t *testing.T, name string) (token string) {
	t.Helper()
	must(t, s.Accounts.CreateUser(t.Context(), s.admin, name, password))
	token, _, err := s.Accounts.CreateToken(t.Context(), s.admin, account.Token{
		Account: name, Description: "laptop of " + name, Scope: account.Scope{Permission: evidence.Own},
	})
	must(t, err)
	return token
}

// logTo sends the server's log to the test's.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// tab is a page in Chromium.
type tab struct {
	t       testing.TB
	in      io.WriteCloser
	out     *bufio.Reader
	pages   string
	allowed []string // complaints that the test expects
}

// browse starts a Chromium that knows nothing, until the test ends. In the end the browser must not have
// complained: about our content security policy, first of all.
func (s *site) browse(t *testing.T) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	node, err := exec.LookPath("node")
	need(t, err == nil, "node")
	playwright, err := filepath.Abs("../../.cache/tools/browser")
	must(t, err)
	_, err = os.Stat(filepath.Join(playwright, "node_modules/playwright-core"))
	need(t, err == nil, "playwright-core")
	cmd := exec.Command(node, "driver.mjs")
	cmd.Env = append(os.Environ(), "PLAYWRIGHT="+playwright, "CHROMIUM="+chromium)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	b := &tab{t: t, in: in, out: bufio.NewReader(out), pages: s.pages}
	t.Cleanup(func() {
		var complaints []string
		b.ask("complaints", nil, &complaints)
		for _, c := range complaints {
			if !slices.ContainsFunc(b.allowed, func(part string) bool { return strings.Contains(c, part) }) {
				t.Errorf("the browser complains: %s", c)
			}
		}
		in.Close()
		_ = cmd.Wait() // how it ends does not matter
	})
	b.do("profile", nil)
	return b
}

type args map[string]any

// ask sends a command and decodes what it answers into v, if that is not nil.
func (b *tab) ask(command string, a args, v any) {
	b.t.Helper()
	if a == nil {
		a = args{}
	}
	a["do"] = command
	line, err := json.Marshal(a)
	must(b.t, err)
	_, err = b.in.Write(append(line, '\n'))
	must(b.t, err)
	raw, err := b.out.ReadBytes('\n')
	must(b.t, err)
	var answer struct {
		OK    json.RawMessage
		Error string
	}
	must(b.t, json.Unmarshal(raw, &answer))
	if answer.Error != "" {
		b.t.Fatalf("%s: %s", line, answer.Error)
	}
	if v != nil {
		must(b.t, json.Unmarshal(answer.OK, v))
	}
}

func (b *tab) do(command string, a args) { b.t.Helper(); b.ask(command, a, nil) }

// open goes to a path, or an address, and checks the status.
func (b *tab) open(address string, status int) {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.pages + address
	}
	var got int
	b.ask("goto", args{"url": address}, &got)
	if got != status {
		b.t.Fatalf("%s answers %d, want %d", address, got, status)
	}
}

func (b *tab) fill(label, value string) {
	b.t.Helper()
	b.do("fill", args{"label": label, "value": value})
}
func (b *tab) press(name string)  { b.t.Helper(); b.do("press", args{"name": name}) }
func (b *tab) follow(name string) { b.t.Helper(); b.do("follow", args{"name": name}) }
func (b *tab) see(text string)    { b.t.Helper(); b.do("see", args{"text": text}) }

func (b *tab) text() (s string) { b.t.Helper(); b.ask("text", nil, &s); return s }

func (b *tab) texts(selector string) (all []string) {
	b.t.Helper()
	b.ask("texts", args{"selector": selector}, &all)
	return all
}

// picture keeps a screenshot where HULLMARK_PICTURES says, for people to look at.
func (b *tab) picture(name string) {
	b.t.Helper()
	if folder := os.Getenv("HULLMARK_PICTURES"); folder != "" {
		b.do("picture", args{"file": filepath.Join(folder, name+".png")})
	}
}

// signIn signs in with the password.
func (b *tab) signIn(user string) {
	b.t.Helper()
	b.open("/account/", 401)
	b.fill("User", user)
	b.fill("Password", password)
	b.press("Sign in")
}

// accessible checks that everything on the page that can be used has a name.
func (b *tab) accessible() {
	b.t.Helper()
	var bare []string
	b.ask("unlabelled", nil, &bare)
	if len(bare) > 0 {
		b.t.Errorf("these have no name for a screen reader: %s", strings.Join(bare, "\n"))
	}
}

// until calls f until it succeeds; a minute is for machines that are busy.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen within a minute", what)
		}
	}
}
