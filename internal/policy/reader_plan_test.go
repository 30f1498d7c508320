package policy

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// TestNoRecordReadsAWholeTable asks the engine how it would run every query of some records, now and at an
// older head, and of what statements touch. What is fast in a small company must not be a scan in a large one.
func TestNoRecordReadsAWholeTable(t *testing.T) {
	t.Parallel()
	record, db := tracetest.Open(t)
	world, err := tracetest.Generate(t.Context(), record, tracetest.Full().Part(200))
	if err != nil {
		t.Fatal(err)
	}
	middle := record.Head() / 2
	for _, subject := range []evidence.Subject{{Name: world.Ranked(0)}, evidence.About("", digest.Digest(world.File()))} {
		_, err := record.Append(t.Context(), nil, evidence.Draft{
			Subjects: []evidence.Subject{subject}, Predicate: evidence.Recall{Reason: "worm"},
			Issuer: evidence.Issuer{Kind: evidence.Account, ID: "root"}, Assurance: evidence.Authenticated,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	reader := NewReader(db)
	images, err := reader.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]bool{}
	for _, head := range []int64{inside.Newest, middle} {
		err := reader.read(t.Context(), head, func(s *session) error {
			for _, image := range images {
				if _, err := s.record(string(image)); err != nil {
					return err
				}
			}
			if _, err := s.exceptions(); err != nil {
				return err
			}
			touch := &touch{session: s, images: map[int64]bool{}, digests: map[digest.Digest]bool{}}
			if err := touch.statements(0, record.Head()); err != nil {
				return err
			}
			if _, err := touch.all(); err != nil {
				return err
			}
			for _, query := range s.Queries() {
				queries[query] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for query := range queries {
		rows, err := db.Query().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "$"))...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			small := strings.Contains(query, "FROM exception x") || // all are wanted
				strings.HasPrefix(query, "SELECT EXISTS") // the first row answers
			if strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "CONSTANT ROW") && !small {
				t.Errorf("%s\nin %s", step, query)
			}
		}
		rows.Close()
	}
	if len(queries) < 20 {
		t.Errorf("only %d queries were seen", len(queries))
	}
}
