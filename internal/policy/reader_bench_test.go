package policy_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// BenchmarkRecord reads the records of the images of a generated company, a tenth of the full one unless
// HULLMARK_TRACE_PART says otherwise, with one release recalled; and what a recall touches.
func BenchmarkRecord(b *testing.B) {
	part, err := strconv.Atoi(os.Getenv("HULLMARK_TRACE_PART"))
	if err != nil || part < 1 {
		part = 10
	}
	record, db := tracetest.Open(b)
	world, err := tracetest.Generate(b.Context(), record, tracetest.Full().Part(part))
	if err != nil {
		b.Fatal(err)
	}
	recalled, err := record.Append(b.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: world.Ranked(3)}}, Predicate: evidence.Recall{Reason: "worm"},
		Issuer: evidence.Issuer{Kind: evidence.Account, ID: "root"}, Assurance: evidence.Authenticated,
	})
	if err != nil {
		b.Fatal(err)
	}
	reader := policy.NewReader(db)
	images, err := reader.Images(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d images, %d statements", len(images), record.Head())
	for name, head := range map[string]int64{"now": inside.Newest, "at an older head": recalled[0].Seq - 5} {
		b.Run(name, func(b *testing.B) {
			next := 0
			report(b, func() error {
				next += 7919
				_, err := reader.Record(b.Context(), string(images[next%len(images)]), head)
				return err
			})
		})
	}
	b.Run("a hundred at once", func(b *testing.B) {
		next := 0
		report(b, func() error {
			next = (next + 100) % (len(images) - 100)
			return reader.Records(b.Context(), images[next:next+100], inside.Newest, func(policy.Record) error { return nil })
		})
	})
	b.Run("touched by a recall", func(b *testing.B) {
		found := 0
		report(b, func() error {
			all, err := reader.Touched(b.Context(), recalled[0].Seq, recalled[0].Seq+1)
			found = len(all)
			return err
		})
		b.ReportMetric(float64(found), "images")
	})
}

func report(b *testing.B, do func() error) {
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	for name, q := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*q/100].Microseconds())/1000, name)
	}
}
