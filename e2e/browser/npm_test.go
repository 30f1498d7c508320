package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
)

// project is a folder with a package in it, and a home for npm.
type project struct {
	t        testing.TB
	folder   string
	env      []string
	registry string
}

// project makes @acme/ui at a version, for npm to publish as who holds the token.
func (s *site) project(t *testing.T, token, version string, more map[string]any) *project {
	t.Helper()
	for _, program := range []string{"npm", "script"} {
		_, err := exec.LookPath(program)
		need(t, err == nil, program)
	}
	p := &project{t: t, folder: t.TempDir(), registry: s.server.URL + "/npm/"}
	manifest := map[string]any{"name": "@acme/ui", "version": version, "license": "MIT"}
	for name, v := range more {
		manifest[name] = v
	}
	raw, err := json.Marshal(manifest)
	must(t, err)
	p.write("package.json", string(raw))
	p.write("index.js", "module.exports = 1\n")
	npmrc := "registry=" + p.registry + "\nupdate-notifier=false\nbrowser=/bin/true\n"
	if token != "" {
		npmrc += strings.TrimPrefix(p.registry, "http:") + ":_authToken=" + token + "\n"
	}
	home := t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, ".npmrc"), []byte(npmrc), 0o600))
	p.env = append(os.Environ(), "HOME="+home, "NO_COLOR=1", "CI=", "npm_config_cache="+filepath.Join(home, "cache"), "NPM_CONFIG_USERCONFIG="+filepath.Join(home, ".npmrc"))
	return p
}

func (p *project) write(name, text string) {
	p.t.Helper()
	must(p.t, os.WriteFile(filepath.Join(p.folder, name), []byte(text), 0o600))
}

// npm runs npm to its end and returns what it says.
func (p *project) npm(arguments ...string) (string, error) {
	cmd := exec.Command("npm", arguments...)
	cmd.Dir, cmd.Env = p.folder, p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// inTerminal runs a client in a terminal, hands the first address that it prints and that fits to visit, and
// returns what it says.
func (p *project) inTerminal(address *regexp.Regexp, visit func(url string), command ...string) (string, error) {
	p.t.Helper()
	cmd := exec.Command("script", "-qefc", strings.Join(command, " "), "/dev/null")
	cmd.Dir, cmd.Env = p.folder, p.env
	stdin, err := cmd.StdinPipe() // nobody presses a key
	must(p.t, err)
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	must(p.t, err)
	cmd.Stderr = cmd.Stdout
	must(p.t, cmd.Start())
	var said strings.Builder
	visited := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if url := address.FindString(lines.Text()); url != "" && !visited {
			visited = true
			visit(url)
		}
	}
	err = cmd.Wait()
	return said.String(), err
}

var (
	stepUpURL = regexp.MustCompile(`http://localhost:\d+/step-up/[0-9A-Za-z]+`)
	loginURL  = regexp.MustCompile(`http://localhost:\d+/login/[0-9A-Za-z]+`)
)

// acme makes the organisation acme, which owns @acme in npm, with alice as its owner and others as
// maintainers.
func (s *site) acme(t *testing.T, maintainers ...string) (tokens map[string]string) {
	t.Helper()
	tokens = map[string]string{"alice": s.user(t, "alice")}
	owner, err := s.Accounts.AuthenticateSecret(t.Context(), "token", tokens["alice"], "127.0.0.1:1")
	must(t, err)
	must(t, s.Accounts.CreateOrganisation(t.Context(), owner, "acme"))
	must(t, s.Accounts.ClaimNamespace(t.Context(), owner, "acme", "npm", "@acme", account.Public))
	for _, name := range maintainers {
		tokens[name] = s.user(t, name)
		must(t, s.Accounts.SetMember(t.Context(), owner, "acme", name, account.Maintainer))
	}
	return tokens
}

// ask sets how strong a second factor publishing to @acme takes.
func (s *site) ask(t *testing.T, token string, level account.Level) {
	t.Helper()
	owner, err := s.Accounts.AuthenticateSecret(t.Context(), "token", token, "127.0.0.1:1")
	must(t, err)
	must(t, s.Accounts.SetMFA(t.Context(), owner, account.MFARule{Ecosystem: "npm", Namespace: "@acme", Action: "publish", Level: level}))
}

func TestNpmPublishWaitsForAPasskeyInTheBrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := s.acme(t)
	s.ask(t, tokens["alice"], account.PhishingResistant)
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	enrol(b, "laptop")
	b.do("forget", nil) // the browser is closed and opened again

	p := s.project(t, tokens["alice"], "1.0.0", nil)
	out, err := p.npm("publish") // no terminal: nobody could be asked
	if err == nil || !strings.Contains(out, "EOTP") || !stepUpURL.MatchString(out) {
		t.Fatalf("npm publish without a terminal: %v\n%s", err, out)
	}
	visited := false
	out, err = p.inTerminal(stepUpURL, func(url string) {
		visited = true
		b.open(url, 200)
		b.see("publish @acme/ui")
		b.see("If somebody sent you this address")
		b.accessible()
		b.picture("step-up")
		b.follow("Sign in as alice")
		b.press("Sign in with a passkey")
		b.see("You proved your second factor")
		b.press("Approve")
		b.see("Go back to the terminal")
	}, "npm", "publish")
	if err != nil || !visited || !strings.Contains(out, "+ @acme/ui@1.0.0") {
		t.Fatalf("npm publish: %v\n%s", err, out)
	}
}

// Yarn is not among them: it asks for a code only.
func TestPnpmAndBunPublishWaitForAPasskeyInTheBrowserToo(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := s.acme(t)
	s.ask(t, tokens["alice"], account.PhishingResistant)
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	enrol(b, "laptop")
	for i, client := range []struct{ program, done string }{{"pnpm publish --no-git-checks", "Published package"}, {"bun publish", "+ @acme/ui"}} {
		command := strings.Fields(client.program)
		command[0] = tool(t, command[0])
		p := s.project(t, tokens["alice"], fmt.Sprintf("1.0.%d", i), nil)
		visited := false
		out, err := p.inTerminal(stepUpURL, func(url string) {
			visited = true
			b.open(url, 200)
			b.see("@acme/ui")
			b.see("You proved your second factor") // the enrolment did
			b.press("Approve")
			b.see("Go back to the terminal")
		}, command...)
		if err != nil || !visited || !strings.Contains(out, client.done) {
			t.Errorf("%s: %v\n%s", client.program, err, out)
		}
	}
}

// tool is a program that scripts/tools installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/tools/bin/" + name)
	must(t, err)
	_, err = os.Stat(path)
	need(t, err == nil, name)
	return path
}

func TestAStepUpIsApprovedByAPasskeyInASessionAndByNobodyElse(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := s.acme(t, "bob")
	s.ask(t, tokens["alice"], account.AnyFactor)
	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("alice")
	enrol(b, "laptop")
	p := s.project(t, tokens["alice"], "1.0.0", nil)
	out, _ := p.npm("publish")
	url := stepUpURL.FindString(out)
	if url == "" {
		t.Fatalf("npm printed no address:\n%s", out)
	}
	stranger := s.browse(t)
	stranger.do("authenticator", nil)
	stranger.signIn("bob")
	enrol(stranger, "bob's")
	stranger.open(url, 403)
	stranger.see("you are signed in as bob")

	b.press("Sign out")
	b.signIn("alice")
	b.see("This needs your second factor")
	b.open(url, 200)
	b.press("Approve with a passkey")
	b.see("Approved")
	b.open(url, 200)
	b.see("Approved") // and not to be approved again
}

func TestNpmLogsInThroughThePage(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.acme(t)
	b := s.browse(t)
	p := s.project(t, "", "1.0.0", nil)
	visited := false
	out, err := p.inTerminal(loginURL, func(url string) {
		visited = true
		b.open(url, 200)
		b.see(p.registry)
		b.accessible()
		b.picture("login")
		b.follow("Sign in first")
		b.fill("User", "alice")
		b.fill("Password", password)
		b.press("Sign in")
		b.press("Let it act as alice")
		b.see("Go back to the terminal")
	}, "npm", "login")
	if err != nil || !visited {
		t.Fatalf("npm login: %v\n%s", err, out)
	}
	if out, err := p.npm("whoami"); err != nil || strings.TrimSpace(out) != "alice" {
		t.Errorf("npm whoami: %v %s", err, out)
	}
}
