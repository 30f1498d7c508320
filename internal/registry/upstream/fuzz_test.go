package upstream

import (
	"strings"
	"testing"
)

// FuzzChallenge: whatever a registry answers, no field of a challenge holds what could end a header or an address.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer realm="https://auth.test/token",service="registry.test",scope="repository:library/debian:pull"`,
		`bearer realm="a`, `Basic realm="x"`, `Bearer`, `Bearer realm="a\"b",realm="c"`, "Bearer realm=\"a\r\nb\"", strings.Repeat(`Bearer a="b",`, 40),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		fields := challenge(header)
		if len(fields) > 16 {
			t.Errorf("%d fields", len(fields))
		}
		for name, value := range fields {
			if name == "" || strings.ContainsAny(value, `"`) {
				t.Errorf("%q is %q", name, value)
			}
		}
	})
}
