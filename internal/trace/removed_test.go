package trace_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// cleaners is a record in which every image has the same vendored copy of one release, of two
// files, below a layer that does something about it.
func cleaners(t *testing.T) *trace.Tracer {
	t.Helper()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	b.Release("alice", "f", "1.0.0", tracetest.Files(map[string]string{"package/1.js": "one", "package/2.js": "two"}, 100))
	vendored := b.Layer("srv", nil, tracetest.Files(map[string]string{"srv/f/1.js": "one", "srv/f/2.js": "two"}, 100))
	again := b.Layer("again", nil, tracetest.Files(map[string]string{"opt/1.js": "one"}, 100))
	other := func(contents map[string]string) []evidence.File { return tracetest.Files(contents, 100) }
	for tag, above := range map[string][]evidence.ImageLayer{
		"kept":      nil,
		"unrelated": {b.Removal("unrelated", []string{"srv/f/1", "srv/f1.js", "tmp"}, []string{"srv/f/1.js", "opt"}, nil)},
		"files":     {b.Removal("files", []string{"srv/f/1.js", "srv/f/2.js"}, nil, nil)},
		"apart":     {b.Removal("first", []string{"srv/f/1.js"}, nil, nil), b.Removal("second", []string{"srv/f/2.js"}, nil, nil)},
		"folder":    {b.Removal("folder", []string{"srv"}, nil, nil)},
		"opaque":    {b.Removal("opaque", nil, []string{"srv"}, nil)},
		"root":      {b.Removal("root", nil, []string{"."}, nil)},
		"replaced":  {b.Layer("replaced", nil, other(map[string]string{"srv/f/1.js": "new one", "srv/f/2.js": "new two"}))},
		"rewritten": {b.Layer("chmod", nil, other(map[string]string{"srv/f/1.js": "one", "srv/f/2.js": "two"}))},
		"part":      {b.Removal("part", []string{"srv/f/2.js"}, nil, nil)},
		"mixed":     {b.Removal("mixed", []string{"srv/f/2.js"}, nil, other(map[string]string{"srv/f/1.js": "new one"}))},
		"returned":  {b.Removal("gone", []string{"srv"}, nil, nil), again},
		"same":      {b.Removal("again removed", []string{"srv"}, nil, nil), vendored},
	} {
		b.Image("bob", "acme/"+tag, "1", nil, append([]evidence.ImageLayer{vendored}, above...)...)
	}
	// What is deleted below the copy does not reach it.
	b.Image("bob", "acme/below", "1", nil, b.Removal("below", []string{"srv"}, []string{"."}, nil), vendored)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	return trace.New(db, readers{})
}

// imagesBelow lists the images below n as "kind name files-removed", sorted.
func imagesBelow(n *trace.Node) (out []string) {
	if n.Kind == trace.KindImage || n.Kind == trace.KindRemoved {
		name, _, _ := strings.Cut(strings.TrimPrefix(n.Attributes["references"], "acme/"), ":")
		at := fmt.Sprintf("%s %s from %s", n.Kind, name, n.Attributes["instruction"])
		if gone := n.Attributes["filesRemoved"]; gone != "" {
			at += " without " + gone
		}
		out = append(out, at)
	}
	for _, c := range n.Children {
		out = append(out, imagesBelow(c)...)
	}
	slices.Sort(out)
	return out
}

func TestFilesThatUpperLayersRemovedAreNotContained(t *testing.T) {
	t.Parallel()
	tracer := cleaners(t)
	for _, c := range []struct {
		of, query, summary string
		images             []string
	}{
		{
			"release", "pkg:npm/f@1.0.0", "contained in 7 images (7 by content), removed again in 7 images",
			[]string{
				"image below from COPY srv", "image kept from COPY srv", "image part from COPY srv without 1",
				"image returned from COPY again", "image rewritten from COPY chmod", "image rewritten from COPY srv",
				"image same from COPY srv", "image unrelated from COPY srv",
				"removed apart from COPY srv", "removed files from COPY srv", "removed folder from COPY srv",
				"removed mixed from COPY srv", "removed opaque from COPY srv", "removed replaced from COPY srv", "removed root from COPY srv",
			},
		},
		{
			"file", tracetest.Digest("two").Hex(), "contained in 5 images, removed again in 9 images",
			[]string{
				"image below from COPY srv", "image kept from COPY srv", "image rewritten from COPY chmod",
				"image rewritten from COPY srv", "image same from COPY srv", "image unrelated from COPY srv",
				"removed apart from COPY srv", "removed files from COPY srv", "removed folder from COPY srv",
				"removed mixed from COPY srv", "removed opaque from COPY srv", "removed part from COPY srv",
				"removed replaced from COPY srv", "removed returned from COPY srv", "removed root from COPY srv",
			},
		},
	} {
		result, err := tracer.Trace(t.Context(), evidence.Actor{}, c.query)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(result.Summary, c.summary) {
			t.Errorf("%s: the summary is %q, want %q", c.of, result.Summary, c.summary)
		}
		if got := imagesBelow(result.Root); !slices.Equal(got, c.images) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.of, strings.Join(got, "\n"), strings.Join(c.images, "\n"))
		}
	}
}

// Both directions must tell the same story.
func TestAnImageDoesNotHoldWhatItsUpperLayersRemoved(t *testing.T) {
	t.Parallel()
	tracer := cleaners(t)
	holds, removed := "holds 1 release published here (1 by content)", "holds 0 releases published here"
	for image, want := range map[string]string{
		"kept": holds, "unrelated": holds, "rewritten": holds, "part": holds, "returned": holds, "same": holds, "below": holds,
		"files": removed, "apart": removed, "folder": removed, "opaque": removed, "root": removed, "replaced": removed, "mixed": removed,
	} {
		result, err := tracer.Trace(t.Context(), evidence.Actor{}, "acme/"+image+":1")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(result.Summary, want) {
			t.Errorf("acme/%s: %s; want %s", image, result.Summary, want)
		}
	}
}

func TestAnswersAboutRemovedFilesAreThoseOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	f := b.Release("alice", "f", "1.0.0", tracetest.Files(map[string]string{"package/1.js": "one", "package/2.js": "two"}, 100))
	shared := tracetest.Files(map[string]string{"package/1.js": "one"}, 100)
	b.Release("alice", "f", "1.1.0", shared)
	vendored := b.Layer("srv", nil, tracetest.Files(map[string]string{"srv/1.js": "one", "srv/2.js": "two"}, 100))
	named := b.Layer("named", tracetest.Components(f), tracetest.Files(map[string]string{"srv/1.js": "one", "srv/2.js": "two"}, 100))
	all, distinctive := b.Removal("rm all", []string{"srv"}, nil, nil), b.Removal("rm 2.js", []string{"srv/2.js"}, nil, nil)
	b.Image("bob", "acme/all", "1", nil, vendored, all)
	b.Image("bob", "acme/distinctive", "1", nil, vendored, distinctive)
	b.Image("bob", "acme/named", "1", nil, named, all)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	tracer := trace.New(db, readers{})
	for file, query := range map[string]string{
		"release whose files were removed":             string(f),
		"image that removed all vendored files":        "acme/all:1",
		"image that removed the distinctive file":      "acme/distinctive:1",
		"image that removed files that metadata names": "acme/named:1",
		"file that was removed":                        string(tracetest.Digest("two")),
		"layer whose files an image removed":           string(vendored.DiffID),
	} {
		result, err := tracer.Trace(t.Context(), evidence.Actor{}, query)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		out.WriteString(result.Summary + "\n")
		outline(&out, result.Root, 0)
		golden(t, strings.ReplaceAll(file, " ", "-"), out.String())
	}
}

// A file that only removed copies are of is still known: somebody asks whether it was there.
func TestAFileThatEveryImageRemovedIsKnown(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	lower := b.Layer("lower", nil, tracetest.Files(map[string]string{"srv/a.js": "a"}, 100))
	for _, repository := range []string{"acme/app", "secret/app"} {
		b.Image("bob", repository, "1", nil, lower, b.Removal("upper "+repository, []string{"srv/a.js"}, nil, nil))
	}
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	result, err := trace.New(db, readers{}).Trace(t.Context(), evidence.Actor{}, string(tracetest.Digest("a")))
	if err != nil {
		t.Fatal(err)
	}
	if want := "contained in 0 images, removed again in 1 image, 1 image in namespaces you may not read"; !strings.HasSuffix(result.Summary, want) {
		t.Errorf("got %q, want it to end in %q", result.Summary, want)
	}
	if result.Root.Title != "srv/a.js" {
		t.Errorf("it is called %q", result.Root.Title)
	}
}

// More files than one list of parameters takes: the few that are asked about first may be gone
// while others are there.
func TestOneFileOfManyIsEnough(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	shipped, copied := map[string]string{}, map[string]string{}
	var paths []string
	for i := range 450 {
		name := fmt.Sprintf("%03d.js", i)
		shipped["package/"+name], copied["srv/"+name] = name, name
		paths = append(paths, "srv/"+name)
	}
	p := b.Release("alice", "many", "1.0.0", tracetest.Files(shipped, 100))
	lower := b.Layer("lower", nil, tracetest.Files(copied, 100))
	b.Image("bob", "acme/one", "1", nil, lower, b.Removal("all but one", paths[:449], nil, nil))
	b.Image("bob", "acme/none", "1", nil, lower, b.Removal("all", paths, nil, nil))
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	result, err := trace.New(db, readers{}).Trace(t.Context(), evidence.Actor{}, string(p))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"image one from COPY lower", "removed none from COPY lower"}; !slices.Equal(imagesBelow(result.Root), want) {
		t.Errorf("got %q, want %q", imagesBelow(result.Root), want)
	}
}
