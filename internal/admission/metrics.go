package admission

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/admission/snapshot"
)

// buckets are upper bounds of durations, in seconds.
var buckets = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}

// Metrics counts reviews, in the text format of Prometheus. It is safe for concurrent use.
type Metrics struct {
	// Waiting and Lost tell of the decisions' way to the server.
	Waiting, Lost func() int64
	// Expires is when the serving certificate does.
	Expires func() time.Time

	mu      sync.Mutex
	reviews map[series]*histogram
}

type series struct{ webhook, outcome string }

type histogram struct {
	counts [len(buckets) + 1]uint64
	sum    float64
}

func (m *Metrics) observe(webhook, outcome string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reviews == nil {
		m.reviews = map[series]*histogram{}
	}
	s := series{webhook, outcome}
	if m.reviews[s] == nil {
		m.reviews[s] = &histogram{}
	}
	h, seconds := m.reviews[s], took.Seconds()
	i := 0
	for i < len(buckets) && seconds > buckets[i] {
		i++
	}
	h.counts[i]++
	h.sum += seconds
}

func (m *Metrics) write(w io.Writer, s snapshot.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintln(w, "# TYPE hullmark_admission_review_duration_seconds histogram")
	for _, key := range slices.SortedFunc(maps.Keys(m.reviews), func(a, b series) int {
		return cmp.Or(cmp.Compare(a.webhook, b.webhook), cmp.Compare(a.outcome, b.outcome))
	}) {
		m.reviews[key].write(w, fmt.Sprintf("webhook=%q,outcome=%q", key.webhook, key.outcome))
	}
	gauge := func(name string, value float64) {
		fmt.Fprintf(w, "# TYPE hullmark_admission_%[1]s gauge\nhullmark_admission_%[1]s %[2]g\n", name, value)
	}
	gauge("snapshot_age_seconds", s.Age)
	gauge("snapshot_head", float64(s.Head))
	gauge("snapshot_images", float64(s.Images))
	degraded := 0.0
	if s.Degraded != "" {
		degraded = 1
	}
	gauge("policy_degraded", degraded)
	if m.Waiting != nil {
		gauge("decisions_waiting", float64(m.Waiting()))
	}
	if m.Lost != nil {
		gauge("decisions_lost", float64(m.Lost()))
	}
	if m.Expires != nil {
		gauge("certificate_expires_timestamp_seconds", float64(m.Expires().Unix()))
	}
}

func (h *histogram) write(w io.Writer, labels string) {
	const name = "hullmark_admission_review_duration_seconds"
	var total uint64
	for i, n := range h.counts {
		total += n
		le := "+Inf"
		if i < len(buckets) {
			le = fmt.Sprint(buckets[i])
		}
		fmt.Fprintf(w, "%s_bucket{%s,le=%q} %d\n", name, labels, le, total)
	}
	fmt.Fprintf(w, "%[1]s_sum{%[2]s} %[3]g\n%[1]s_count{%[2]s} %[4]d\n", name, labels, h.sum, total)
}
