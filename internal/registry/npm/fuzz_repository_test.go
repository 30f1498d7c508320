package npm

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// FuzzRepository: what a manifest's "repository" stands for is nothing, or an address without user, query, fragment,
// suffix and final slash, which stands for itself: a provenance is compared with it.
func FuzzRepository(f *testing.F) {
	for _, seed := range []string{
		`"github:acme/ui"`, `"acme/ui"`, `"git@github.com:acme/ui.git"`, `{"url": "git+https://github.com/acme/ui.git"}`,
		`{"type": "git", "url": "git+ssh://git@gitlab.com/acme/team/ui.git", "directory": "packages/x"}`, `"https://user:pass@github.com/acme/ui/"`,
		`"https://github.com/acme/ui#main"`, `"git://git.sr.ht/~acme/ui"`, `{"url": 1}`, `[]`, `""`, `"https://github.com/acme/../mallory/ui"`,
		`"https://github.com\\@mallory.test/acme/ui"`, `"HTTPS://GitHub.com/acme/ui"`, `"https://github.com/acme%2fui"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !json.Valid([]byte(raw)) {
			t.Skip()
		}
		got := repository(json.RawMessage(raw))
		if got == "" {
			return
		}
		u, err := url.Parse(got)
		switch {
		case err != nil:
			t.Fatalf("%s stands for %q: %v", raw, got, err)
		case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			t.Errorf("%s stands for %q, which is no plain address", raw, got)
		case strings.HasSuffix(got, "/") || strings.HasSuffix(got, ".git"):
			t.Errorf("%s stands for %q", raw, got)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if second := repository(again); second != got {
			t.Errorf("%s stands for %q, and that for %q", raw, got, second)
		}
	})
}
