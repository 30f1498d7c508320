package npm

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// FuzzListing reads anything as an upstream's packument: it is refused as malformed, or every version that it lists is
// one of that name, once, with the digests that the document claims and no others.
func FuzzListing(f *testing.F) {
	for _, seed := range []string{
		`{"name": "ui", "dist-tags": {"latest": "1.0.0"}, "time": {"1.0.0": "2026-01-01T00:00:00Z"}, "versions": {"1.0.0": {"name": "ui", "version": "1.0.0",
			"dist": {"tarball": "https://r.test/ui/-/ui-1.0.0.tgz", "integrity": "sha512-AAAA sha1-AAAA?x", "shasum": "00"}, "_npmUser": {"name": "ada"}}}}`,
		`{"name": "ui", "versions": {"1.0.0": {"name": "other", "version": "1.0.0", "dist": {}}, "01.0": null, "2.0.0": []}, "time": {"unpublished": {}}}`,
		`{"name": "ui", "versions": [], "dist-tags": 1}`, `{"name": "other"}`, `[]`, `null`, ``, strings.Repeat("[", 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseListing("ui", &registry.Document{Body: raw, Base: "https://r.test/"})
		if err != nil {
			if code := fault.As(err).Code; code != "upstream-malformed" {
				t.Errorf("%v has code %q", err, code)
			}
			return
		}
		seen := map[string]bool{}
		for _, one := range l.listed {
			if seen[one.Version] || l.manifests[one.Version] == nil || !strings.HasPrefix(string(one.PURL), "pkg:npm/ui@") {
				t.Errorf("%s is listed as %s", one.Version, one.PURL)
			}
			seen[one.Version] = true
			for _, d := range one.Digests {
				if !strings.Contains(d, ":") {
					t.Errorf("%s has a digest %q", one.Version, d)
				}
			}
		}
	})
}
