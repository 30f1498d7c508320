package trace_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// scale is the full company, or a part of it: HULLMARK_TRACE_PART=10 is a tenth.
func scale(b *testing.B) tracetest.Scale {
	part, err := strconv.Atoi(os.Getenv("HULLMARK_TRACE_PART"))
	if err != nil || part < 1 {
		return tracetest.Full()
	}
	return tracetest.Full().Part(part)
}

// BenchmarkTrace measures every direction on the generated company and reports the median and the
// 99th percentile. Run it with -benchtime 500x: percentiles need that many, and generating once
// takes about a minute at full scale.
func BenchmarkTrace(b *testing.B) {
	record, db := tracetest.Open(b)
	start := time.Now()
	world, err := tracetest.Generate(b.Context(), record, scale(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d statements generated in %v", record.Head(), time.Since(start).Round(time.Second))
	tracer := trace.New(db, everyone{})
	for _, c := range []struct {
		name string
		pick func() string
	}{
		{"release by popularity", world.Popular},
		{"component by popularity", world.Component},
		{"distribution package", world.Distribution},
		{"file by popularity", world.File},
		{"image", world.Image},
		{"publisher", world.Publisher},
	} {
		b.Run(c.name, func(b *testing.B) { measure(b, tracer, c.pick) })
	}
	b.Run("the 100 most popular releases", func(b *testing.B) {
		rank := 0
		measure(b, tracer, func() string { rank++; return world.Ranked(rank % 100) })
	})
}

func measure(b *testing.B, tracer *trace.Tracer, pick func() string) {
	var took []time.Duration
	for b.Loop() {
		query := pick()
		start := time.Now()
		if _, err := tracer.Trace(b.Context(), tracetest.By("somebody"), query); err != nil {
			b.Fatalf("%s: %v", query, err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	for name, q := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*q/100].Microseconds())/1000, name)
	}
}

type everyone struct{}

func (everyone) Authorize(context.Context, evidence.Actor, evidence.Permission, string, string) error {
	return nil
}
