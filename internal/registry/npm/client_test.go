package npm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
		rc += strings.TrimPrefix(in.url, "http:") + ":_authToken=" + in.tokens[user] + "\n"
	}
	write(t, filepath.Join(home, ".npmrc"), rc)
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "npm_config_cache=" + home + "/cache", "npm_config_userconfig=" + home + "/.npmrc",
		"npm_config_globalconfig=" + home + "/none"}
	return &client{t: t, home: home, env: env}
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
	check(t, os.MkdirAll(filepath.Dir(file), 0o700))
	check(t, os.WriteFile(file, []byte(content), 0o600))
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
