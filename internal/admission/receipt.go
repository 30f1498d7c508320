package admission

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
)

// Receipts says of every recall, once, that this gate carries it out.
type Receipts struct {
	cluster  string
	snapshot *snapshot.Snapshot
	spool    *report.Spool
	clock    clock.Clock
	log      *slog.Logger
	wake     chan struct{}
}

// NewReceipts returns receipts that are given while Run runs.
func NewReceipts(cluster string, s *snapshot.Snapshot, spool *report.Spool, c clock.Clock, log *slog.Logger) *Receipts {
	return &Receipts{cluster: cluster, snapshot: s, spool: spool, clock: c, log: log, wake: make(chan struct{}, 1)}
}

// Wake tells that recalls may have changed. It does not wait.
func (r *Receipts) Wake(context.Context) {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run gives receipts until ctx ends. One that cannot be given is given with the next change.
func (r *Receipts) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		if err := r.give(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("receipts for recalls were not given", "error", err)
		}
	}
}

func (r *Receipts) give(ctx context.Context) error {
	recalls, err := r.snapshot.Unreceipted(ctx)
	if err != nil {
		return err
	}
	for _, recall := range recalls {
		// The receipt lies on the disk before it counts as given; after a crash in between it is given twice,
		// and the record keeps the first.
		if err := r.spool.Store(ctx, r.receipt(recall)); err != nil {
			return err
		}
		if err := r.snapshot.Receipted(ctx, recall.GetSeq()); err != nil {
			return err
		}
	}
	return nil
}

func (r *Receipts) receipt(recall *fleetv1.Recall) report.Statement {
	receiver := "admission/" + r.cluster
	view, err := r.snapshot.View(nil, func(string) bool { return false })
	outcome, verdict := "observed", "allow"
	if err == nil && enforces(view.Program, r.cluster, recall, r.clock) {
		outcome, verdict = "enforced", "deny"
	}
	return report.Statement{
		Subjects: subjectsOf(recall), Keep: true,
		Predicate: evidence.Decision{
			Gate: "admit", Action: "recall", Verdict: verdict, Policy: view.Revision, Head: view.Head,
			ID:      fmt.Sprintf("recall-%d-%s", recall.GetSeq(), receiver),
			Receipt: &evidence.Receipt{Recall: recall.GetSeq(), Receiver: receiver, Outcome: outcome},
		},
	}
}

// enforces tries the policies on an image of which nothing is known but the recall: a receipt that says
// "enforced" while the policy about recalls only warns would be a lie.
func enforces(p snapshot.Program, cluster string, recall *fleetv1.Recall, c clock.Clock) bool {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	request := policy.Request{
		ID: "receipt", Gate: "admit", Cluster: cluster, Namespace: "default", Kind: "Pod", Name: "receipt", Operation: "CREATE",
		Labels: map[string]string{"kubernetes.io/metadata.name": "default"}, At: c.Now(),
		Images: []policy.Image{{Container: "receipt", Role: "container", Reference: "receipt@" + digest, Digest: digest, Pinned: true}},
	}
	denials := func(recalls []policy.Recall) (n int) {
		record := policy.Record{Digest: digest, Known: true, Recalls: recalls}
		for _, f := range p.Decide(request, func(string) policy.Record { return record }, nil).Findings {
			if f.Denies() {
				n++
			}
		}
		return n
	}
	return denials([]policy.Recall{snapshot.RecallOf(recall, policy.Record{})}) > denials(nil)
}

func subjectsOf(recall *fleetv1.Recall) []evidence.Subject {
	var out []evidence.Subject
	for _, subject := range recall.GetSubjects() {
		if hex, ok := strings.CutPrefix(subject, "sha256:"); ok {
			out = append(out, evidence.Subject{Digest: map[string]string{"sha256": hex}})
		} else {
			out = append(out, evidence.Subject{Name: subject})
		}
	}
	return out
}
