package trace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// layersBelow returns the instruction of each layer below n.
func layersBelow(n *trace.Node) (out []string) {
	for _, c := range n.Children {
		if c.Kind != trace.KindLayer {
			continue
		}
		for _, image := range c.Children {
			if image.Kind == trace.KindImage {
				out = append(out, image.Attributes["instruction"])
			}
		}
	}
	slices.Sort(out)
	return out
}

// An image with an installed package and a vendored copy of it ships both: who removes the first
// must still be shown the second.
func TestEveryCopyInAnImageIsShown(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	shipped := tracetest.Files(map[string]string{"package/a.js": "ui a", "package/b.js": "ui b"}, 100)
	ui := b.Release("alice", "@acme/ui", "1.0.0", shipped)
	installed := b.Layer("installed", tracetest.Components(ui), tracetest.Files(map[string]string{
		"app/node_modules/ui/a.js": "ui a", "app/node_modules/ui/b.js": "ui b"}, 100))
	vendored := b.Layer("vendored", nil, tracetest.Files(map[string]string{"srv/a.js": "ui a"}, 100))
	listed := b.Layer("lists it again", tracetest.Components(ui), nil)
	b.Image("bob", "acme/shop", "1", nil, installed, vendored, listed, vendored)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	tracer := trace.New(db, readers{})

	down, err := tracer.Trace(t.Context(), evidence.Actor{}, string(ui))
	if err != nil {
		t.Fatal(err)
	}
	if got := layersBelow(down.Root); !slices.Equal(got, []string{"COPY installed", "COPY vendored"}) {
		t.Errorf("a trace of the release shows copies of %q", got)
	}
	if !strings.Contains(down.Summary, "contained in 1 image (1 by both)") {
		t.Errorf("an image with two copies is counted as %q", down.Summary)
	}

	up, err := tracer.Trace(t.Context(), evidence.Actor{}, "acme/shop:1")
	if err != nil {
		t.Fatal(err)
	}
	var holders []string
	for _, layer := range up.Root.Children {
		for _, inside := range layer.Children {
			if inside.ID == string(ui) {
				holders = append(holders, layer.Attributes["instruction"]+" "+inside.Attributes["grounds"])
			}
		}
	}
	if want := []string{"COPY installed both", "COPY vendored content", "COPY vendored content"}; !slices.Equal(holders, want) {
		t.Errorf("a trace of the image shows %q, want %q", holders, want)
	}
	if !strings.Contains(up.Summary, "holds 1 release published here (1 by both)") {
		t.Errorf("two copies are counted as %q", up.Summary)
	}
}
