package registry

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxPulls bounds the different pull decisions that are counted between two flushes, and with
// them memory and the growth of the record. What goes beyond becomes a gap statement.
const maxPulls = 10_000

// pull is one sort of pull decision: equal ones are counted, not listed.
type pull struct {
	release    purl.PURL
	verdict    string
	code       string
	account    string
	credential string
	exception  int64  // by which it was allowed, or none
	reason     string // why it did not have to wait
}

// tally counts pull decisions until they are flushed into the record.
type tally struct {
	mu       sync.Mutex
	counts   map[pull]int64
	overflow int64
}

func (t *tally) add(p pull, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.counts[p]; !known && len(t.counts) >= maxPulls {
		t.overflow += n
		return
	}
	if t.counts == nil {
		t.counts = map[pull]int64{}
	}
	t.counts[p] += n
}

// take empties the tally.
func (t *tally) take() (counts map[pull]int64, overflow int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts, overflow = t.counts, t.overflow
	t.counts, t.overflow = nil, 0
	return counts, overflow
}

// back returns what take took.
func (t *tally) back(counts map[pull]int64, overflow int64) {
	for p, n := range counts {
		t.add(p, n)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.overflow += overflow
}

// FlushPulls writes the pull decisions since the last flush into the record, one statement for
// all equal ones. Decisions of a process that is killed before are lost: a download is not held
// up for them.
func (c *Core) FlushPulls(ctx context.Context) error {
	counts, overflow := c.pulls.take()
	if len(counts) == 0 && overflow == 0 {
		return nil
	}
	var drafts []evidence.Draft
	for _, p := range slices.SortedFunc(maps.Keys(counts), comparePulls) {
		drafts = append(drafts, c.pullDecision(p, counts[p]))
	}
	if overflow > 0 {
		drafts = append(drafts, gapOfPulls(overflow))
	}
	if _, err := c.record.Append(ctx, nil, drafts...); err != nil {
		c.pulls.back(counts, overflow) // the next flush tries again
		return fmt.Errorf("record pull decisions: %w", err)
	}
	return nil
}

func comparePulls(a, b pull) int {
	return cmp.Or(cmp.Compare(a.release, b.release), cmp.Compare(a.account, b.account),
		cmp.Compare(a.credential, b.credential), cmp.Compare(a.verdict, b.verdict), cmp.Compare(a.code, b.code), cmp.Compare(a.exception, b.exception), cmp.Compare(a.reason, b.reason))
}

func (c *Core) pullDecision(p pull, n int64) evidence.Draft {
	var exceptions []int64
	var reasons []string
	if p.reason != "" {
		reasons = []string{p.reason}
	}
	if p.exception != none {
		exceptions = []int64{p.exception}
	}
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.Pulls(p.release)},
		Predicate: evidence.Decision{
			Gate: "pull", Action: "download", Verdict: p.verdict, Code: p.code, Policy: PolicyRevision, Head: c.record.Head(),
			Actor: evidence.Actor{Account: p.account, Credential: p.credential}, Count: n, Exceptions: exceptions, Reasons: reasons,
		},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "pull"}, Assurance: evidence.Observed,
	}
}

func gapOfPulls(n int64) evidence.Draft {
	return evidence.Draft{
		Subjects:  []evidence.Subject{{Name: "gate:pull"}},
		Predicate: evidence.Gap{What: fmt.Sprintf("%d pull decisions", n), Reason: "more different downloads than are counted at a time"},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "pull"}, Assurance: evidence.Observed,
	}
}
