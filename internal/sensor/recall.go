package sensor

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// Recall is a recall in force, with what the record knows to be meant by it.
type Recall struct {
	Seq        int64
	Subjects   []string // purls and digests, as in the statement
	Files      []string // "sha256:…"
	Components []string // purls
	Reason     string
	Account    string
	Gates      []string // that enforce it; none means all
	System     bool     // reaches system namespaces
	// Canary limits what is stopped to a workload; nil: everywhere that the agent may.
	Canary *evidence.WorkloadRef
}

// recall is a Recall in the form that files are matched with.
type recall struct {
	Recall
	wanted layer.Wanted
	images map[digest.Digest]bool // recalled as a whole
	// copies are meant too, by the name of the release; see covers.
	copies bool
}

func newRecall(r Recall) *recall {
	out := &recall{Recall: r, wanted: layer.Wanted{Files: map[[32]byte]bool{}, Components: map[string]bool{}}, images: map[digest.Digest]bool{}}
	for _, list := range [][]string{r.Files, r.Components, r.Subjects} {
		for _, name := range list {
			out.add(name)
		}
	}
	return out
}

// add takes a digest for a file's content or an image, whichever it is, and all else for a component.
func (r *recall) add(name string) {
	d, err := digest.Parse(name)
	if err != nil {
		r.wanted.Components[name] = true
		return
	}
	r.images[d] = true
	var sum [32]byte
	if raw, err := hex.DecodeString(d.Hex()); err == nil && len(raw) == len(sum) {
		copy(sum[:], raw)
		r.wanted.Files[sum] = true
	}
}

// recalls are those in force at this gate.
type recalls struct{ inForce []*recall }

// match returns the recall that content falls under.
func (rs *recalls) match(b *box, c *content) *recall {
	if c.file.DiffID == "" {
		return nil
	}
	for _, r := range rs.inForce {
		if r.covers(c) || r.wholeImage(b) {
			return r
		}
	}
	return nil
}

// covers reports whether the recall means this content. A release that nothing in the image names is reached
// by the files that the recall names: otherwise whoever publishes a copy of other people's files could
// stop their processes by recalling it.
func (r *recall) covers(c *content) bool {
	if c.release != nil && (r.copies || !c.byContent) && r.wanted.Components[c.release.PURL] {
		return true
	}
	raw, err := hex.DecodeString(c.file.SHA256.Hex())
	return err == nil && len(raw) == 32 && r.wanted.Files[[32]byte(raw)]
}

// in is the recall for the files of one image; see covers.
func (r *recall) in(img *layer.Image) *recall {
	if img == nil {
		return r
	}
	narrow := *r
	narrow.wanted.Components = map[string]bool{}
	for name := range r.wanted.Components {
		if !img.Releases[name].ByContent {
			narrow.wanted.Components[name] = true
		}
	}
	return &narrow
}

// wholeImage reports whether the container's image itself is recalled.
func (r *recall) wholeImage(b *box) bool {
	if b.c == nil || b.c.Image == "" {
		return false
	}
	return r.images[b.c.Image] || b.image != nil && b.image.Digest != "" && r.images[b.image.Digest]
}

// mayStop reports whether a recall may stop anything in a container: the node can, it is allowed to, and
// the container is in the recall's scope.
func (a *Agent) mayStop(b *box, r *recall) bool {
	if !a.StopRecalled || a.Level <= kernel.Observe || a.system(b.c) && !r.System {
		return false
	}
	where := b.c.Workload
	where.Cluster = a.Cluster
	return r.Canary == nil || within(*r.Canary, where)
}

// within reports whether a workload is in a scope: every field that the scope names is the workload's.
func within(scope, w evidence.WorkloadRef) bool {
	same := func(want, is string) bool { return want == "" || want == is }
	return same(scope.Cluster, w.Cluster) && same(scope.Namespace, w.Namespace) && same(scope.Kind, w.Kind) && same(scope.Name, w.Name)
}

// settleFor is how long a recall waits for containers that are still being looked up, so that its receipt
// speaks for them too. They are reached in any case, as soon as they are known.
const settleFor = time.Second

// settled waits until every container is known that there was at the start, and every one that there is
// now; for a bounded time.
func (a *Agent) settled() {
	bound := time.NewTimer(settleFor)
	defer bound.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	select {
	case <-a.scanned:
	case <-bound.C:
		return
	}
	for {
		a.mu.Lock()
		waiting := len(a.boxes) - len(a.known())
		a.mu.Unlock()
		if waiting == 0 {
			return
		}
		select {
		case <-again.C:
		case <-bound.C:
			return
		}
	}
}

// SetRecalls replaces the recalls in force. New ones are carried out before it returns, each with a
// receipt; lifted ones are undone. What is known is stopped at once: only the receipts wait for the rest.
func (a *Agent) SetRecalls(list []Recall) {
	a.recalling.Lock()
	defer a.recalling.Unlock()
	var fresh []*recall
	a.mu.Lock()
	old := map[int64]*recall{}
	for _, r := range a.recalls.inForce {
		old[r.Seq] = r
	}
	a.recalls.inForce = nil
	for _, r := range list {
		if len(r.Gates) > 0 && !slices.Contains(r.Gates, "run") {
			continue
		}
		made := newRecall(r)
		// What a recall means may grow: a vendored copy is pushed later. Then it is carried out again.
		if before := old[r.Seq]; before == nil || !before.wanted.Equal(made.wanted) {
			fresh = append(fresh, made)
		}
		delete(old, r.Seq)
		a.recalls.inForce = append(a.recalls.inForce, made)
	}
	boxes := a.known()
	for _, b := range boxes {
		clear(b.cache)
	}
	a.mu.Unlock()
	for seq := range old {
		a.lift(boxes, seq)
	}
	done := make([]outcome, len(fresh))
	owed := false
	for i, r := range fresh {
		done[i] = a.carryOut(boxes, r)
		owed = owed || a.Reporter != nil && !a.receipts.sent(r.Seq)
	}
	if owed {
		a.settled()
	}
	a.mu.Lock()
	reached := map[*box]bool{}
	for _, b := range boxes {
		reached[b] = true
	}
	late := slices.DeleteFunc(a.known(), func(b *box) bool { return reached[b] })
	a.mu.Unlock()
	for i, r := range fresh {
		a.receipt(r, done[i].and(a.carryOut(late, r)))
	}
}

// known are the boxes with a container. a.mu is held.
func (a *Agent) known() []*box {
	var out []*box
	for _, b := range a.boxes {
		if b.c != nil && b.ready {
			out = append(out, b)
		}
	}
	return out
}

// outcome is what a recall came to on this node.
type outcome struct {
	touched  bool // a container has recalled content
	observed bool // and one of them is not stopped
	stopped  int64
}

func (o outcome) and(p outcome) outcome {
	return outcome{o.touched || p.touched, o.observed || p.observed, o.stopped + p.stopped}
}

func (o outcome) String() string {
	switch {
	case o.observed:
		return "observed"
	case o.touched:
		return "enforced"
	}
	return "nothing here"
}

// carryOut applies a recall to containers.
func (a *Agent) carryOut(boxes []*box, r *recall) outcome {
	var o outcome
	for _, b := range boxes {
		e := a.applyTo(b, r)
		o = o.and(outcome{e.touched, e.touched && !e.enforced, e.stopped})
	}
	return o
}

// receipt tells the server once what a recall came to.
func (a *Agent) receipt(r *recall, o outcome) {
	a.Logger.Info("recall carried out", "recall", r.Seq, "outcome", o.String(), "stopped", o.stopped)
	if a.Reporter == nil || !a.receipts.first(r.Seq) {
		return
	}
	verdict := "allow"
	if o.String() == "enforced" {
		verdict = "deny"
	}
	var subjects []evidence.Subject
	for _, s := range r.Subjects {
		if d, err := digest.Parse(s); err == nil {
			subjects = append(subjects, evidence.About("", d))
		} else {
			subjects = append(subjects, evidence.Subject{Name: s})
		}
	}
	if len(subjects) == 0 {
		subjects = []evidence.Subject{a.self()}
	}
	a.Reporter.Urgent(a.draft(evidence.Decision{
		Gate: "run", Action: "recall", Verdict: verdict, Code: "recall", Count: 1,
		Reasons: []string{fmt.Sprintf("recall #%d (%s): %s; %d processes stopped", r.Seq, r.Reason, o, o.stopped)},
		Receipt: &evidence.Receipt{Recall: r.Seq, Receiver: "agent/" + a.Node, Outcome: o.String(), Stopped: o.stopped},
	}, subjects...))
	if err := a.receipts.save(); err != nil {
		a.Logger.Warn("receipt not noted", "error", err)
	}
}
