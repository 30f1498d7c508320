package npm_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
)

// client is an unmodified npm with a home of its own.
type client struct {
	t    testing.TB
	home string
	env  []string
}

// npmClient returns npm logged in as user ("" for nobody); the test is skipped where there is none.
func npmClient(t testing.TB, in *instance, user string) *client {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("npm is needed and not installed")
		}
		t.Skip("npm is not installed")
	}
	home := t.TempDir()
	rc := "registry=" + in.url + "\nfund=false\nupdate-notifier=false\nloglevel=notice\n"
	if user != "" {
		rc += strings.TrimPrefix(in.url, "http:") + ":_authToken=" + in.Tokens[user] + "\n"
	}
	write(t, filepath.Join(home, ".npmrc"), rc)
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "npm_config_cache=" + home + "/cache", "npm_config_userconfig=" + home + "/.npmrc",
		"npm_config_globalconfig=" + home + "/none"}
	return &client{t: t, home: home, env: env}
}

// point makes the client use another registry.
func (c *client) point(in *instance) {
	c.t.Helper()
	write(c.t, filepath.Join(c.home, ".npmrc"), "registry="+in.url+"\nfund=false\nupdate-notifier=false\nloglevel=notice\n"+
		strings.TrimPrefix(in.url, "http:")+":_authToken="+in.Tokens["alice"]+"\n")
}

// run runs npm in folder (relative to the home) and returns everything that it printed.
func (c *client) run(folder string, args ...string) string {
	c.t.Helper()
	out, err := c.try(folder, args...)
	if err != nil {
		c.t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fails runs npm, which must fail and say every text.
func (c *client) fails(folder string, args []string, texts ...string) {
	c.t.Helper()
	out, err := c.try(folder, args...)
	if err == nil {
		c.t.Fatalf("npm %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	contains(c.t, out, texts...)
}

func (c *client) try(folder string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), "npm", args...)
	cmd.Dir = filepath.Join(c.home, folder)
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return "", err
	}
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// pkg writes a package: manifest is its package.json, files are name, content pairs.
func (c *client) pkg(folder, manifest string, files ...string) {
	c.t.Helper()
	write(c.t, filepath.Join(c.home, folder, "package.json"), manifest)
	for i := 0; i < len(files); i += 2 {
		write(c.t, filepath.Join(c.home, folder, files[i]), files[i+1])
	}
}

func write(t testing.TB, file, content string) {
	t.Helper()
	accounttest.Check(t, os.MkdirAll(filepath.Dir(file), 0o700))
	accounttest.Check(t, os.WriteFile(file, []byte(content), 0o600))
}

func contains(t testing.TB, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing in:\n%s", text, out)
		}
	}
}

func TestNpmPublishesAndInstalls(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	alice.pkg("ui", `{"name":"@acme/ui","version":"1.0.0","bin":"cli.js","scripts":{"postinstall":"node cli.js"},"description":"<b>ui</b>"}`,
		"cli.js", "#!/usr/bin/env node\nconsole.log('hi')\n", "README.md", "# ui\n")
	contains(t, alice.run("ui", "publish", "--access", "public"), "+ @acme/ui@1.0.0")

	nobody := npmClient(t, in, "")
	nobody.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	contains(t, nobody.run("app", "install", "@acme/ui", "--ignore-scripts"), "added 1 package")
	if _, err := os.Stat(filepath.Join(nobody.home, "app/node_modules/@acme/ui/cli.js")); err != nil {
		t.Error(err)
	}
	contains(t, nobody.run("app", "view", "@acme/ui"), "@acme/ui@1.0.0", "integrity: sha512-")
}

func TestNpmManagesWhatItPublished(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	manifest := func(version string) string {
		return `{"name":"@acme/lib","version":"` + version + `","keywords":["k"],"dependencies":{"left":"^1.0.0"}}`
	}
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		alice.pkg("lib", manifest(v), "index.js", "module.exports = '"+v+"'\n")
		tag := "latest"
		if strings.Contains(v, "rc") {
			tag = "next"
		}
		alice.run("lib", "publish", "--tag", tag)
	}
	alice.fails("lib", []string{"publish", "--tag", "next", "--force"}, "You cannot publish over the previously published versions: 2.0.0-rc.1")

	contains(t, alice.run(".", "dist-tag", "ls", "@acme/lib"), "latest: 1.1.0", "next: 2.0.0-rc.1")
	alice.run(".", "dist-tag", "add", "@acme/lib@1.0.0", "stable")
	contains(t, alice.run(".", "view", "@acme/lib", "dist-tags"), "stable: '1.0.0'")
	alice.run(".", "dist-tag", "rm", "@acme/lib", "stable")
	alice.fails(".", []string{"dist-tag", "rm", "@acme/lib", "latest"}, "cannot be removed")

	alice.run(".", "deprecate", "@acme/lib@1.0.0", "use 1.1.0")
	contains(t, alice.run(".", "view", "@acme/lib@1.0.0", "deprecated"), "use 1.1.0")
	alice.run(".", "deprecate", "@acme/lib@1.0.0", "")
	if out := alice.run(".", "view", "@acme/lib@1.0.0", "deprecated"); strings.Contains(out, "use 1.1.0") {
		t.Errorf("still deprecated: %s", out)
	}

	contains(t, alice.run(".", "unpublish", "@acme/lib@1.0.0"), "- @acme/lib@1.0.0")
	alice.fails(".", []string{"view", "@acme/lib@1.0.0", "--json"}, "E404")
	alice.pkg("lib", manifest("1.0.0"))
	alice.fails("lib", []string{"publish", "--tag", "old"}, "You cannot publish over the previously published versions: 1.0.0")
	contains(t, alice.run(".", "unpublish", "@acme/lib", "--force"), "- @acme/lib")
	alice.fails(".", []string{"view", "@acme/lib"}, "E404")
}

func TestNpmManagesOwnersTokensAndSearch(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	alice.pkg("demo", `{"name":"wbdemo","version":"1.0.0","description":"a demo","keywords":["x"]}`)
	alice.run("demo", "publish")

	contains(t, alice.run(".", "owner", "ls", "wbdemo"), "alice <", "bob <")
	contains(t, alice.run(".", "owner", "add", "mallory", "wbdemo"), "+ mallory (wbdemo)")
	contains(t, alice.run(".", "owner", "ls", "wbdemo"), "mallory <")
	alice.run(".", "owner", "rm", "mallory", "wbdemo")
	if out := alice.run(".", "owner", "ls", "wbdemo"); strings.Contains(out, "mallory") {
		t.Errorf("mallory still owns wbdemo: %s", out)
	}
	alice.fails(".", []string{"owner", "add", "ghost", "wbdemo"}, "there is no user")
	npmClient(t, in, "bob").fails(".", []string{"owner", "add", "mallory", "wbdemo"}, "ask one of its owners")

	contains(t, alice.run(".", "whoami"), "alice")
	contains(t, alice.run(".", "ping"), "PONG")
	contains(t, alice.run(".", "search", "wbd"), "wbdemo")
	contains(t, alice.run(".", "access", "list", "collaborators", "wbdemo"), "alice: read-write")
	contains(t, alice.run(".", "access", "get", "status", "wbdemo"), "public")

	made := alice.run(".", "token", "create", "--name", "ci", "--password", "x", "--packages-and-scopes-permission", "read-only",
		"--scopes", "@acme", "--expires", "7", "--cidr", "127.0.0.0/8")
	contains(t, made, "Created token hm_", "expires:")
	list := alice.run(".", "token", "list", "--parseable")
	contains(t, list, "ci", "127.0.0.0/8", "true")
	for line := range strings.Lines(list) {
		if fields := strings.Split(line, "\t"); len(fields) > 3 && fields[3] == "ci" {
			contains(t, alice.run(".", "token", "revoke", fields[0]), "Removed 1 token")
		}
	}
	alice.run(".", "logout")
	alice.fails(".", []string{"whoami"}, "ENEEDAUTH")
}

func TestNpmIsToldWhyItMayNot(t *testing.T) {
	t.Parallel()
	in := start(t)
	for user, text := range map[string]string{
		"carol": "ask one of its owners", "mallory": "has no role there",
	} {
		c := npmClient(t, in, user)
		c.pkg("ui", `{"name":"@acme/ui","version":"1.0.0"}`)
		c.fails("ui", []string{"publish", "--access", "public"}, "403", text)
	}
	alice := npmClient(t, in, "alice")
	alice.pkg("free", `{"name":"unclaimed","version":"1.0.0"}`)
	alice.fails("free", []string{"publish"}, "403", "hullmark namespace claim npm unclaimed")
}

func TestNpmAuditNamesRecalledVersions(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	for _, v := range []string{"1.0.0", "1.0.1"} {
		alice.pkg("demo", `{"name":"wbdemo","version":"`+v+`"}`, "index.js", "1")
		alice.run("demo", "publish")
	}
	alice.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	alice.run("app", "install", "wbdemo@1.0.1")
	in.Recall("pkg:npm/wbdemo@1.0.1", "mines coins")

	out, err := alice.try("app", "audit")
	if err == nil {
		t.Error("npm audit found nothing")
	}
	contains(t, out, "Recalled: mines coins", "critical")
	alice.fails("app", []string{"ci", "--prefer-online", "--cache", alice.home + "/fresh"}, "403", "was recalled: mines coins")
	alice.run("app", "install", "wbdemo@^1.0.0", "--no-package-lock", "--no-save", "--cache", alice.home+"/fresh")
	contains(t, alice.run("app", "view", "wbdemo", "dist-tags"), "latest: '1.0.0'")
}

var loginURL = regexp.MustCompile(`http://pages.test/login/(\S+)`)

func TestNpmLogsInByWeb(t *testing.T) {
	t.Parallel()
	in := start(t)
	c := npmClient(t, in, "")
	cmd := exec.CommandContext(t.Context(), "npm", "login")
	cmd.Dir, cmd.Env = c.home, c.env
	out, err := cmd.StdoutPipe()
	accounttest.Check(t, err)
	accounttest.Check(t, cmd.Start())
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		m := loginURL.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		accounttest.Check(t, in.Accounts.CompleteLogin(t.Context(), m[1], in.actor(t, "alice")))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("npm login: %v\n%s", err, said.String())
	}
	contains(t, c.run(".", "whoami"), "alice")
}
