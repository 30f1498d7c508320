package trace_test

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/trace"
)

func TestQueriesAreReadAsWhatTheyLookLike(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	for text, want := range map[string]trace.Query{
		"pkg:npm/@acme/ui@1.0.0":    {PURL: "pkg:npm/%40acme/ui@1.0.0"},
		sum:                         {Digest: "sha256:" + "abababababababababababababababababababababababababababababababab"},
		"acme/app":                  {Repository: "acme/app", Tag: "latest"},
		"acme/app:1.0":              {Repository: "acme/app", Tag: "1.0"},
		"localhost/acme/app:1.0":    {Host: "localhost", Repository: "acme/app", Tag: "1.0"},
		"registry.example:5000/app": {Host: "registry.example:5000", Repository: "app", Tag: "latest"},
		"[::1]:5000/app:x":          {Host: "[::1]:5000", Repository: "app", Tag: "x"},
		"docker://acme/app:1.0":     {Repository: "acme/app", Tag: "1.0"},
		"oci://r.example/app":       {Host: "r.example", Repository: "app", Tag: "latest"},
		"acme/app@sha256:" + sum:    {Repository: "acme/app", Digest: "sha256:abababababababababababababababababababababababababababababababab"},
		"publisher:alice":           {Publisher: "alice"},
		"alice":                     {Publisher: "alice", Repository: "alice", Tag: "latest"},
		"Alice":                     {Publisher: "Alice"},
		"alice@example.com":         {Publisher: "alice@example.com"},
	} {
		want.Text = text
		got, err := trace.Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestWhatNamesNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "publisher:", "publisher:a b", "acme/App:1", "acme/app:", "acme/app@sha256:12", "docker://", "https://r.example/app", "a//b", "sha256:12",
		"pkg:", strings.Repeat("a", 2000), "-"} {
		if q, err := trace.Parse(text); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40q: got %+v, %v", text, q, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"pkg:npm/a@1", "acme/app:1.0", "a@sha256:00", "publisher:x", "[::1]:5/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := trace.Parse(text)
		if err == nil && q.PURL == "" && q.Digest == "" && q.Repository == "" && q.Publisher == "" {
			t.Errorf("%q was accepted and means nothing", text)
		}
	})
}
