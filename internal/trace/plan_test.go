package trace

import (
	"context"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

type everyone struct{}

func (everyone) Authorize(context.Context, evidence.Actor, evidence.Permission, string, string) error {
	return nil
}

// TestNoQueryReadsAWholeTable asks the engine how it would run every query that the traces of a
// small company prepare. What is fast there because it is small must not be a scan in a large one.
func TestNoQueryReadsAWholeTable(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	world, err := tracetest.Generate(t.Context(), record, tracetest.Full().Part(200))
	if err != nil {
		t.Fatal(err)
	}
	tracer := New(db, everyone{})
	queries := map[string]bool{}
	for _, text := range []string{
		world.Ranked(0), world.Component(), world.Distribution(), world.File(), world.Image(), "publisher:team000-ci",
		"pkg:npm/%40team000/lib0000", string(tracetest.Digest("diff dependencies 0")), string(tracetest.Digest("blob dependencies 0")),
	} {
		err := tracer.snapshot(t.Context(), evidence.Actor{}, func(r *reader) error {
			q, err := Parse(text)
			if err != nil {
				return err
			}
			if err := r.answer(q, new(Result)); err != nil {
				return err
			}
			if _, err := r.mayReadDigest(string(tracetest.Digest("diff dependencies 0"))); err != nil {
				return err
			}
			for _, query := range r.Queries() {
				queries[query] = true
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for query := range queries {
		for _, step := range plan(t, tracer, query) {
			if strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "CONSTANT ROW") {
				t.Errorf("%s\nin %s", step, query)
			}
		}
	}
	if len(queries) < 20 {
		t.Errorf("only %d queries were seen", len(queries))
	}
}

func plan(t *testing.T, tracer *Tracer, query string) []string {
	t.Helper()
	args := make([]any, strings.Count(query, "$"))
	rows, err := tracer.db.Query().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	return steps
}

func TestAnImageListsWhatTheFinishedImageHolds(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	gone, kept := tracetest.Components("pkg:npm/gone@1"), tracetest.Components("pkg:npm/kept@1")
	lower := b.Layer("lower", append(gone, kept...), nil)
	upper := b.Layer("upper", kept, nil) // a package database lists again what is below it
	hidden := []evidence.HiddenComponent{{Position: 0, PURL: "pkg:npm/gone@1"}}
	d := b.Image("bob", "acme/app", "1", hidden, lower, upper)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	im, err := New(db, everyone{}).Image(t.Context(), evidence.Actor{}, d)
	if err != nil {
		t.Fatal(err)
	}
	if len(im.Layers) != 2 || im.Layers[1].CreatedBy != "COPY upper" || im.References[0] != "acme/app:1" {
		t.Errorf("%+v", im)
	}
	if len(im.Components) != 1 || im.Components[0].PURL != "pkg:npm/kept@1" || im.Components[0].Position != 0 {
		t.Errorf("%+v", im.Components)
	}
	if _, err := New(db, everyone{}).Image(t.Context(), evidence.Actor{}, digest.FromBytes(nil)); err == nil {
		t.Error("an image that is not there was found")
	}
}
