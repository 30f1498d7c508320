package npm

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// FuzzHooks: whatever a package.json says, the hooks are found in bounded time and name only files that
// the package has.
func FuzzHooks(f *testing.F) {
	f.Add(`{"scripts": {"postinstall": "npm run a", "a": "node ./x.js && yarn a", "prea": "sh -c 'run'"}}`, `{"scripts": {"install": "x"}}`)
	f.Add(`{"scripts": {"install": "node-gyp rebuild"}}`, `{`)
	f.Add(`{}`, `[]`)
	f.Fuzz(func(t *testing.T, manifest, bundled string) {
		var m object
		if json.Unmarshal([]byte(manifest), &m) != nil {
			t.Skip()
		}
		in := &inside{folder: "package", manifest: m, files: []string{"x.js", "run", "binding.gyp", "node_modules/b/package.json"}, gyp: true}
		if err := in.seeBundled("node_modules/b/package.json", strings.NewReader(bundled)); err != nil {
			t.Fatal(err)
		}
		for _, h := range in.hooks(strs(m["scripts"])) {
			for _, file := range h.Files {
				if !slices.Contains(in.files, strings.TrimPrefix(file, "package/")) {
					t.Errorf("%s runs %q, which is not there", h.Name, file)
				}
			}
		}
	})
}
