package npm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/registry"
)

// unpacked reads a package.json and files as a tarball's.
func unpacked(t *testing.T, manifest string, files map[string]string) *inside {
	t.Helper()
	in := &inside{folder: "package", manifest: parse(t, manifest)}
	for file, content := range files {
		in.files = append(in.files, file)
		in.note(file)
		if err := in.seeBundled(file, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(in.files)
	return in
}

func TestInstallHooksAreWhatNpmRunsWhenSomebodyInstalls(t *testing.T) {
	t.Parallel()
	files := map[string]string{"install.js": "", "lib/index.js": "", "binding.gyp": "{}", "x.gypi": "", "run.sh": ""}
	for _, c := range []struct {
		name, scripts string
		files         map[string]string
		want          []string // name: command [files]
	}{
		{"none", `{"test": "x", "prepare": "husky", "prepublishOnly": "make", "start": "node install.js"}`, nil, nil},
		{"the three of npm", `{"preinstall": "a", "install": "b", "postinstall": "c"}`, nil, []string{"install: b []", "postinstall: c []", "preinstall: a []"}},
		{"the file it runs", `{"install": "node ./install.js --x"}`, files, []string{"install: node ./install.js --x [package/install.js]"}},
		{"a file that Node completes", `{"install": "node install && node lib"}`, files, []string{"install: node install && node lib [package/install.js package/lib/index.js]"}},
		{"a file among a shell's signs", `{"install": "FOO=$(sh run.sh);node -e \"require('./lib')\""}`, files,
			[]string{`install: FOO=$(sh run.sh);node -e "require('./lib')" [package/lib/index.js package/run.sh]`}},
		{"a build that npm adds", `{"test": "x"}`, files, []string{"install: node-gyp rebuild [package/binding.gyp package/x.gypi]"}},
		{"scripts that a script starts", `{"postinstall": "npm run -s setup", "presetup": "curl x", "setup": "yarn two", "two": "node install.js", "three": "x"}`, files,
			[]string{"install: node-gyp rebuild [package/binding.gyp package/x.gypi]", "postinstall: npm run -s setup []", "presetup: curl x []",
				"setup: yarn two []", "two: node install.js [package/install.js]"}},
		{"scripts in a circle", `{"install": "npm run a", "a": "npm run b", "b": "npm run a && npm run install"}`, nil,
			[]string{"a: npm run b []", "b: npm run a && npm run install []", "install: npm run a []"}},
		{"bundled packages", `{}`, map[string]string{
			"node_modules/a/package.json":                      `{"scripts": {"postinstall": "x", "test": "y"}}`,
			"node_modules/a/lib/package.json":                  `{"scripts": {"postinstall": "no package"}}`,
			"node_modules/@s/b/node_modules/c/package.json":    `{"scripts": {"install": "z"}}`,
			"node_modules/d/package.json":                      `{`,
			"node_modules/e/package.json":                      `{"scripts": {"postinstall": 1}}`,
			"node_modules/f/binding.gyp":                       `{}`,
			"not_node_modules/g/package.json":                  `{"scripts": {"postinstall": "x"}}`,
			"vendor/node_modules/h/package.json":               `{"scripts": {"preinstall": "v"}}`,
			"node_modules/i/deep/node_modules/j/other.json":    `{"scripts": {"preinstall": "v"}}`,
			"node_modules/.package-lock.json":                  `{"scripts": {"preinstall": "v"}}`,
			"node_modules/k/" + strings.Repeat("x", 9) + ".js": "",
		}, []string{
			"node_modules/@s/b/node_modules/c install: z [package/node_modules/@s/b/node_modules/c/package.json]",
			"node_modules/a postinstall: x [package/node_modules/a/package.json]",
			"node_modules/d: (its package.json cannot be read) [package/node_modules/d/package.json]",
			"node_modules/f install: node-gyp rebuild [package/node_modules/f/binding.gyp]",
			"vendor/node_modules/h preinstall: v [package/vendor/node_modules/h/package.json]",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := unpacked(t, `{"scripts": `+c.scripts+`}`, c.files)
			var got []string
			for _, h := range in.hooks(strs(in.manifest["scripts"])) {
				got = append(got, fmt.Sprintf("%s: %s %v", h.Name, h.Command, h.Files))
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestAnyChangeAmongTooManyBundledHooksIsSeen(t *testing.T) {
	t.Parallel()
	last := func(command string) string {
		in := &inside{folder: "package"}
		for i := range maxBundledHooks + 10 {
			file := fmt.Sprintf("node_modules/p%d/package.json", i)
			content := `{"scripts": {"install": "x"}}`
			if i == maxBundledHooks+5 {
				content = `{"scripts": {"install": "` + command + `"}}`
			}
			if err := in.seeBundled(file, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		hooks := in.hooks(nil)
		if len(hooks) != maxBundledHooks+1 {
			t.Fatalf("%d hooks", len(hooks))
		}
		return hooks[maxBundledHooks].Command
	}
	if a, again, b := last("a"), last("a"), last("b"); a != again || a == b {
		t.Error("what is beyond the limit does not count")
	}
}

func TestATagStandsForTheHighestVersionBelowItThatIsOldEnough(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, ripe, want string }{
		{"2.0.0", "1.0.0 2.0.0 1.9.0", "2.0.0"},
		{"2.0.0", "1.0.0 1.9.0 2.1.0", "1.9.0"},
		{"1.0.5", "1.0.4 2.0.0", "1.0.4"},
		{"2.0.0", "1.0.0 2.0.0-rc.1", "1.0.0"},
		{"2.0.0-rc.2", "1.0.0 2.0.0-rc.1 1.9.9-rc.1", "2.0.0-rc.1"},
		{"2.0.0-rc.2", "1.0.0 1.9.9-rc.1", "1.0.0"},
		{"1.0.0", "2.0.0", ""},
		{"1.0.0", "", ""},
	} {
		var ripe []registry.Release
		for _, v := range strings.Fields(c.ripe) {
			ripe = append(ripe, registry.Release{Version: v})
		}
		if got := settled(c.target, ripe); got != c.want {
			t.Errorf("%s among %s stands for %q, want %q", c.target, c.ripe, got, c.want)
		}
	}
}
