package npm

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

func parse(t testing.TB, text string) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func viewOf(t testing.TB, text string) view {
	t.Helper()
	v, err := newView(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatNpmRewritesIsNoContradiction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, packed, sent string
		in                 inside
	}{
		{"bin as a string", `{"name":"@acme/ui","bin":"./cli.js"}`, `{"name":"@acme/ui","bin":{"ui":"cli.js"}}`, inside{}},
		{"bin as a list", `{"bin":["bin/a.js"]}`, `{"bin":{"a.js":"bin/a.js"}}`, inside{}},
		{"bin that leaves the folder", `{"bin":{"../../x":"../../y.js"}}`, `{"bin":{"x":"y.js"}}`, inside{}},
		{"directories.bin", `{"directories":{"bin":"./tools"}}`, `{"bin":{"a.js":"tools/a.js","sub":"tools/sub","b.js":"tools/sub/b.js"}}`,
			inside{files: []string{"tools/a.js", "tools/sub/b.js", "tools/.hidden", "x.js"}}},
		{"a gyp file", `{"scripts":{"test":"x"}}`, `{"scripts":{"test":"x","install":"node-gyp rebuild"},"gypfile":true}`, inside{gyp: true}},
		{"a gyp file that the client did not look for", `{"scripts":{"test":"x"}}`, `{"scripts":{"test":"x"}}`, inside{gyp: true}},
		{"a server", `{}`, `{"scripts":{"start":"node server.js"}}`, inside{serverJS: true}},
		{"a script's prefix", `{"scripts":{"x":"./node_modules/.bin/tsc -p ."}}`, `{"scripts":{"x":"tsc -p ."}}`, inside{}},
		{"scripts that are no text", `{"scripts":{"x":1,"y":"z"}}`, `{"scripts":{"y":"z"}}`, inside{}},
		{"a version with v and build", `{"version":" v1.2.3+b "}`, `{"version":"1.2.3"}`, inside{}},
		{"optional dependencies twice", `{"dependencies":{"a":"1","b":"1"},"optionalDependencies":{"a":"1"}}`,
			`{"dependencies":{"b":"1"},"optionalDependencies":{"a":"1"}}`, inside{}},
		{"a git address", `{"dependencies":{"a":"https://github.com/u/r.git#v1"}}`, `{"dependencies":{"a":"git+https://github.com/u/r.git#v1"}}`, inside{}},
		{"bundled true", `{"dependencies":{"b":"1","a":"1"},"bundledDependencies":true}`,
			`{"dependencies":{"b":"1","a":"1"},"bundleDependencies":["b","a"]}`, inside{}},
		{"development dependencies left out", `{"devDependencies":{"a":"1"}}`, `{}`, inside{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in.manifest = parse(t, c.packed)
			if _, err := reconcile(viewOf(t, c.sent), &c.in); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEveryContradictionIsFound(t *testing.T) {
	t.Parallel()
	const packed = `{"name":"a","version":"1.0.0","scripts":{"test":"x"},"bin":{"a":"a.js"},"dependencies":{"a":"1","g":"u/r"},
		"optionalDependencies":{"o":"1"},"peerDependencies":{"p":"1"},"devDependencies":{"d":"1"},"bundleDependencies":["a"],
		"engines":{"node":">=1"},"os":["linux"],"cpu":["x64"],"libc":["glibc"],"peerDependenciesMeta":{"p":{"optional":true}}}`
	for field, value := range map[string]string{
		"name": `"b"`, "version": `"1.0.1"`, "scripts": `{"test":"x","postinstall":"evil"}`, "bin": `{"a":"b.js"}`,
		"dependencies": `{"a":"1","g":"u/r","evil":"1"}`, "optionalDependencies": `{}`, "peerDependencies": `{"p":"2"}`,
		"devDependencies": `{"d":"2"}`, "bundleDependencies": `[]`, "engines": `{"node":">=2"}`, "os": `["win32"]`, "cpu": `[]`, "libc": `null`,
		"peerDependenciesMeta": `{}`, "acceptDependencies": `{"a":"*"}`,
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			sent := parse(t, packed)
			sent[field] = json.RawMessage(value)
			v, err := newView(sent)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reconcile(v, &inside{manifest: parse(t, packed)}); err == nil || fault.As(err).Code != "manifest-confusion" {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, deps := range map[string]string{"another repository": `{"a":"1","g":"u/other"}`, "another commit": `{"a":"1","g":"u/r#x"}`} {
		sent := parse(t, packed)
		sent["dependencies"] = json.RawMessage(deps)
		v, _ := newView(sent)
		if _, err := reconcile(v, &inside{manifest: parse(t, packed)}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestKeysOfOtherLetterCaseAreOtherKeys(t *testing.T) {
	t.Parallel()
	v := viewOf(t, `{"Scripts":{"postinstall":"x"},"NAME":"b","name":"a"}`)
	if len(v.scripts) != 0 || v.name != "a" {
		t.Errorf("got %+v", v)
	}
}

func TestGitReferencesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for _, spellings := range [][]string{
		{"u/r", "github:u/r", "git+ssh://git@github.com/u/r.git", "git@github.com:u/r.git", "https://github.com/u/r", "git://github.com/u/r.git"},
		{"u/r#v1", "github:u/r#v1", "git+https://github.com/u/r.git#v1"},
		{"gitlab:g/s/r", "git+https://gitlab.com/g/s/r.git"},
		{"bitbucket:u/r#semver:^1", "git+ssh://git@bitbucket.org/u/r.git#semver:^1"},
	} {
		for _, s := range spellings {
			if got, want := gitReference(s), gitReference(spellings[0]); got != want {
				t.Errorf("%q is %q, want %q", s, got, want)
			}
		}
	}
	for _, s := range []string{"^1.0.0", "*", "", "npm:a@1", "file:../x", "https://example.com/u/r", "workspace:*", "./u/r", "../u/r", "@a/b",
		"https://github.com/u/r/archive/v1.tar.gz", "latest", "%"} {
		if got := gitReference(s); got != s {
			t.Errorf("%q was taken for the repository %q", s, got)
		}
	}
}

// FuzzManifest checks that no manifest panics and that each agrees with itself.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a","bin":"x","scripts":{"a":"b"},"dependencies":{"a":"u/r"}}`, `{"bin":["a",1],"bundleDependencies":true}`,
		`{"directories":{"bin":".."},"engines":null}`, `{"bundledDependencies":{"a":1},"os":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var o object
		if json.Unmarshal(data, &o) != nil || o == nil {
			return
		}
		v, err := newView(o)
		if err != nil {
			return
		}
		in := &inside{manifest: o, inventory: &evidence.Inventory{}, files: []string{"bin/a", "x/y/z"}}
		if _, err := reconcile(v, in); err != nil {
			t.Fatalf("%s contradicts itself: %v", data, err)
		}
	})
}

func TestNewestPrefersReleasesToPrereleases(t *testing.T) {
	t.Parallel()
	for want, versions := range map[string][]string{
		"1.10.0": {"1.9.0", "1.10.0", "2.0.0-rc.1"}, "2.0.0-rc.2": {"2.0.0-rc.1", "2.0.0-rc.2"}, "": nil,
	} {
		var all []registry.Release
		for _, v := range versions {
			all = append(all, registry.Release{Version: v})
		}
		if got := newest(all); got != want {
			t.Errorf("newest of %v is %q, want %q", versions, got, want)
		}
	}
}

func TestDocumentsAreReadByExactKeys(t *testing.T) {
	t.Parallel()
	d, err := parseDocument([]byte(`{"Name":"b","name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{}},"_attachments":{"x":{}}}`))
	if err != nil || d.name != "a" || !reflect.DeepEqual(d.attachments, []string{"x"}) {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, doc := range []string{``, `[]`, `null1`, `{"name":1}`, `{"versions":[]}`, `{"dist-tags":{"latest":1}}`} {
		if _, err := parseDocument([]byte(doc)); err == nil {
			t.Errorf("%q was taken", doc)
		}
	}
}

func TestReadmesAreClippedAtARune(t *testing.T) {
	t.Parallel()
	long := string(bytes.Repeat([]byte("é"), maxReadme))
	if got := clipReadme("a" + long); len(got) != maxReadme-1 {
		t.Errorf("clipped to %d bytes", len(got))
	}
}
