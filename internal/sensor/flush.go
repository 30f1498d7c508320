package sensor

import (
	"fmt"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// flush hands over what was counted: facts, repeats of alerts, what was lost. all is for the agent's end.
func (a *Agent) flush(all bool) {
	var drafts []evidence.Draft
	a.mu.Lock()
	running := map[digest.Digest]bool{}
	for _, b := range a.boxes {
		drafts = append(drafts, a.dueFacts(b, all)...)
		if b.c != nil && b.c.Image != "" {
			running[b.c.Image] = true
		}
	}
	a.learnt.watched(running, a.elapsed())
	learnt := a.learnt.encoded()
	missed := a.missed
	a.missed = 0
	a.mu.Unlock()

	a.aggregate(drafts)
	for _, al := range a.book.Repeats(a.Clock.Now(), all) {
		al.ID = a.Random()
		al.Sentence = fmt.Sprintf("%d more times: %s", al.Count, al.Sentence)
		a.tell(al)
	}
	if missed > 0 {
		a.gap("files and facts", fmt.Sprintf("%d could not be compared or counted, because the queue or the table was full", missed))
	}
	a.tellLost()
	if learnt != nil {
		if err := durable.WriteFile(a.learnt.file, learnt, 0o600); err != nil {
			a.Logger.Error("what was learnt is not kept", "error", err)
		}
	}
}

// elapsed is the time since it was last asked, by a clock that nobody sets. a.mu is held.
func (a *Agent) elapsed() time.Duration {
	now := time.Now()
	since := now.Sub(a.lastFlush)
	if a.lastFlush.IsZero() {
		since = 0
	}
	a.lastFlush = now
	return since
}

// tellLost makes a gap of what the kernel could not hand over.
func (a *Agent) tellLost() {
	now, err := a.Kernel.Counters()
	if err != nil {
		a.Logger.Warn("counters not read", "error", err)
		return
	}
	a.mu.Lock()
	before := a.lost
	a.lost = kernel.Counters{DroppedCritical: now.DroppedCritical, DroppedBulk: now.DroppedBulk, Throttled: now.Throttled}
	a.mu.Unlock()
	for _, lost := range []struct {
		what          string
		before, after uint64
	}{
		{"executions, connections and privileged calls", before.DroppedCritical, now.DroppedCritical},
		{"opened and mapped files", before.DroppedBulk, now.DroppedBulk},
		{"events of a control group that makes very many", before.Throttled, now.Throttled},
	} {
		if lost.after > lost.before {
			a.gap(lost.what, fmt.Sprintf("%d events were lost in the last %s: the ring was full, or the group over its rate", lost.after-lost.before, a.FlushEvery))
		}
	}
}

// exceptionUse is one admission under an exception.
type exceptionUse struct {
	id     int64
	images []string
	where  evidence.WorkloadRef
}

// SetExceptions replaces what is known about admissions under exceptions.
func (a *Agent) SetExceptions(list []policy.Exception) {
	var uses []exceptionUse
	for _, x := range list {
		for _, u := range x.Uses {
			uses = append(uses, exceptionUse{x.ID, u.Images, u.WorkloadRef})
		}
	}
	a.mu.Lock()
	a.excepts = uses
	boxes := a.known()
	a.mu.Unlock()
	for _, b := range boxes {
		a.contain(b)
	}
}

// exceptionFor returns the exception that a container's image was admitted under: the use for the same
// workload, or failing that the newest one for the image in the same namespace. 0 is none. a.mu is held.
func (a *Agent) exceptionFor(b *box) int64 {
	where := b.c.Workload
	found := int64(0)
	for _, u := range a.excepts {
		if !slices.Contains(u.images, string(b.c.Image)) || u.where.Namespace != where.Namespace ||
			u.where.Cluster != "" && a.Cluster != "" && u.where.Cluster != a.Cluster {
			continue
		}
		if u.where.Kind == where.Kind && u.where.Name == where.Name {
			return u.id
		}
		found = max(found, u.id)
	}
	return found
}
