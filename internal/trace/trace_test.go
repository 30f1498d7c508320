package trace_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/trace"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

var update = flag.Bool("update", false, "write the golden files")

// readers lets everybody read everything but what is below "secret" and "@secret", which only
// alice may.
type readers struct{}

func (readers) Authorize(_ context.Context, a evidence.Actor, _ evidence.Permission, _, name string) error {
	if strings.Contains(name, "secret") && a.Account != "alice" {
		return fault.New(fault.NotFound, "name-unknown", "there is no %s", name)
	}
	return nil
}

// company is a record with one of everything: a package in four versions, images that hold it by
// metadata, by content and by both, one that removed it again, and one that few may see.
func company(t *testing.T) *trace.Tracer {
	t.Helper()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	files := func(version string) []evidence.File {
		return tracetest.Files(map[string]string{
			"package/index.js": "ui index", "package/lib/a.js": "ui a", "package/lib/b.js": "ui b " + version,
			"package/README.md": "read me " + version, "package/lib/c.js": "ui c",
		}, 100)
	}
	var ui [4]purl.PURL
	for i := range ui {
		v := fmt.Sprintf("1.%d.0", i)
		ui[i] = b.Release("alice", "@acme/ui", v, files(v))
	}
	hush := b.Release("alice", "@secret/hush", "1.0.0", tracetest.Files(map[string]string{"package/hush.js": "hush"}, 100))
	openssl := purl.New(purl.Debian, "debian/openssl", "3.0.15")

	base := b.Layer("base", tracetest.Components(openssl), nil)
	npm := b.Layer("npm install", tracetest.Components(ui[1], hush), tracetest.Files(map[string]string{
		"app/node_modules/ui/index.js": "ui index", "app/node_modules/ui/lib/a.js": "ui a", "app/node_modules/ui/lib/b.js": "ui b 1.1.0",
	}, 100))
	named := b.Layer("manifest only", tracetest.Components(ui[0]), nil)
	vendored := b.Layer("vendored", nil, tracetest.Files(map[string]string{
		"srv/vendor/ui.js": "ui index", "srv/vendor/b.js": "ui b 1.0.0", "srv/main.js": "main",
	}, 100))
	top := b.Layer("rm", nil, nil)
	b.Release("carol", "plain", "1.0.0", tracetest.Files(map[string]string{"package/README.md": "words"}, 100))
	b.Image("bob", "acme/app", "1.0", nil, base, npm)
	b.Image("bob", "acme/named", "latest", nil, base, named)
	b.Image("bob", "acme/vendored", "2.0", nil, base, vendored)
	b.Image("bob", "acme/cleaned", "latest", []evidence.HiddenComponent{{Position: 1, PURL: ui[0]}}, base, named, top)
	b.Image("bob", "secret/app", "latest", nil, npm)
	b.Index("bob", "acme/many", "3.0",
		b.Image("bob", "acme/many", "", nil, base, npm, top), b.Image("bob", "acme/many", "", nil, base, vendored, top))
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	recall := evidence.Recall{Reason: "worm", Actor: tracetest.By("alice")}
	_, err := record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: string(ui[3])}}, Predicate: recall,
		Issuer: recall.Actor.Issuer(), Assurance: evidence.Authenticated,
	})
	if err != nil {
		t.Fatal(err)
	}
	return trace.New(db, readers{})
}

// outline renders a tree for a golden file.
func outline(b *strings.Builder, n *trace.Node, depth int) {
	fmt.Fprintf(b, "%s%s: %s", strings.Repeat("  ", depth), n.Kind, n.Title)
	for _, name := range []string{"position", "instruction", "grounds", "path"} {
		if v := n.Attributes[name]; v != "" {
			fmt.Fprintf(b, " {%s %s}", name, v)
		}
	}
	if len(n.Evidence) > 0 {
		fmt.Fprintf(b, " %v", n.Evidence)
	}
	b.WriteByte('\n')
	for _, c := range n.Children {
		outline(b, c, depth+1)
	}
}

func TestAnswersAreThoseOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	tracer := company(t)
	for file, c := range map[string]struct{ account, query string }{
		"release by metadata and removed":       {"", "pkg:npm/%40acme/ui@1.0.0"},
		"release by both and one image hidden":  {"bob", "pkg:npm/%40acme/ui@1.1.0"},
		"the same for who may see it":           {"alice", "pkg:npm/%40acme/ui@1.1.0"},
		"release in no image":                   {"", "pkg:npm/%40acme/ui@1.2.0"},
		"recalled release":                      {"", "pkg:npm/%40acme/ui@1.3.0"},
		"archive digest":                        {"", string(tracetest.Digest("@acme/ui@1.0.0"))},
		"package":                               {"", "pkg:npm/%40acme/ui"},
		"component that was not published here": {"", "pkg:deb/debian/openssl@3.0.15"},
		"image by tag":                          {"", "127.0.0.1:8080/acme/app:1.0"},
		"image with a vendored copy":            {"", "acme/vendored:2.0"},
		"image that removed a component":        {"", "acme/cleaned"},
		"image for several platforms":           {"", "acme/many:3.0"},
		"layer":                                 {"", string(tracetest.Digest("diff npm install"))},
		"layer blob":                            {"alice", string(tracetest.Digest("blob npm install"))},
		"file":                                  {"", string(tracetest.Digest("ui index"))},
		"file that no release ships":            {"", tracetest.Digest("main").Hex()},
		"publisher":                             {"", "publisher:alice"},
		"release that only metadata can find":   {"", "pkg:npm/plain@1.0.0"},
		"publisher as a bare word":              {"", "bob"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			result, err := tracer.Trace(t.Context(), evidence.Actor{Account: c.account}, c.query)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			b.WriteString(result.Summary + "\n")
			outline(&b, result.Root, 0)
			golden(t, strings.ReplaceAll(file, " ", "-"), b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatIsNotThereOrNotReadableIsUnknownAlike(t *testing.T) {
	t.Parallel()
	tracer := company(t)
	for title, query := range map[string]string{
		"a release nobody published":    "pkg:npm/%40acme/ui@9.0.0",
		"a release in a private scope":  "pkg:npm/%40secret/hush@1.0.0",
		"a private package":             "pkg:npm/%40secret/hush",
		"a private image":               "secret/app:latest",
		"a private release's archive":   string(tracetest.Digest("@secret/hush@1.0.0")),
		"a file of a private release":   string(tracetest.Digest("hush")),
		"a digest of nothing":           string(tracetest.Digest("nothing")),
		"a layer blob of nothing":       strings.Repeat("0", 64),
		"a tag that is not there":       "acme/app:9",
		"an account without releases":   "publisher:eve",
		"a word that names nothing":     "nothing",
		"a sha512 that names nothing":   "sha512:" + strings.Repeat("0", 128),
		"a component that is not there": "pkg:deb/debian/nothing@1",
	} {
		_, err := tracer.Trace(t.Context(), evidence.Actor{Account: "eve"}, query)
		if fault.As(err).Code != "trace-unknown" {
			t.Errorf("%s: %v", title, err)
		}
	}
}

func TestEveryAnswerIsTheSameTwice(t *testing.T) {
	t.Parallel()
	tracer := company(t)
	for _, query := range []string{"pkg:npm/%40acme/ui", "acme/app:1.0", "publisher:alice", string(tracetest.Digest("ui index"))} {
		var first []byte
		for range 5 {
			result, err := tracer.Trace(t.Context(), evidence.Actor{}, query)
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = body
			}
			if !reflect.DeepEqual(first, body) {
				t.Fatalf("%s:\n%s\n%s", query, first, body)
			}
		}
	}
}

func TestALongAnswerIsCutAndSaysByHowMuch(t *testing.T) {
	t.Parallel()
	tracer := company(t).WithLimits(trace.Limits{Images: 1, Layers: 1, Releases: 2})
	result, err := tracer.Trace(t.Context(), evidence.Actor{}, "pkg:deb/debian/openssl@3.0.15")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(result.Summary, "contained in 6 images") {
		t.Errorf("the summary counts everything: %s", result.Summary)
	}
	var b strings.Builder
	outline(&b, result.Root, 0)
	if !strings.Contains(b.String(), "truncated: 5 more images") || strings.Count(b.String(), "image: ") != 1 {
		t.Errorf("got\n%s", b.String())
	}
}

func TestAnAccessThatFailsFailsTheTrace(t *testing.T) {
	t.Parallel()
	_, db := tracetest.Open(t)
	_, err := trace.New(db, broken{}).Trace(t.Context(), evidence.Actor{}, "acme/app")
	if fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v; a name that could not be checked is not an unknown one", err)
	}
}

type broken struct{}

func (broken) Authorize(context.Context, evidence.Actor, evidence.Permission, string, string) error {
	return fmt.Errorf("the disk is gone")
}
