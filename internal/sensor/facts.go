package sensor

import (
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// maxFacts bounds what is counted about one container; an image has some thousands of components at most.
const maxFacts = 16384

// tellAgain is how often a fact that was told is told again, with what was counted since.
const tellAgain = time.Hour

// fact is one bit: this component was loaded, or executed, in this container.
type fact struct{ key, what string }

type tally struct {
	count       int64 // since it was last told
	first, last time.Time
	told        time.Time // zero: never
}

// note sets the bit for the component of a file, and remembers which process has it.
func (a *Agent) note(b *box, ev *kernel.Event, c *content, what string) {
	if c.key == "" {
		return
	}
	a.processes.Load(ev, c)
	t := b.facts[fact{c.key, what}]
	if t == nil {
		if len(b.facts) >= maxFacts {
			a.missed++
			return
		}
		t = &tally{first: ev.Time}
		b.facts[fact{c.key, what}] = t
	}
	t.count++
	t.last = ev.Time
}

// takeFacts returns what is to be told about a container whose end it is. a.mu is held.
func (a *Agent) takeFacts(b *box) []evidence.Draft { return a.dueFacts(b, true) }

// dueFacts returns the facts that are new, or were told long ago and have gone on since. a.mu is held.
func (a *Agent) dueFacts(b *box, all bool) []evidence.Draft {
	if b.c == nil || a.Reporter == nil {
		return nil
	}
	now := a.Clock.Now()
	var out []evidence.Draft
	for f, t := range b.facts {
		since := now.Sub(t.told)
		if t.count == 0 || !all && !t.told.IsZero() && since >= 0 && since < tellAgain {
			continue
		}
		subject, ok := subjectOf(f.key)
		if !ok {
			continue // known by its path only: the record has no name for it
		}
		where := b.c.Workload
		where.Cluster = a.Cluster
		out = append(out, a.draft(evidence.Behaviour{
			Fact: f.what, Image: b.c.Image, WorkloadRef: where, Node: a.Node, First: t.first, Last: t.last, Count: t.count,
		}, subject))
		t.count, t.told, t.first = 0, now, now
	}
	return out
}

// subjectOf names a component: by its purl, or a file by its content.
func subjectOf(key string) (evidence.Subject, bool) {
	if sum, ok := strings.CutPrefix(key, "file:"); ok {
		return evidence.Subject{Name: key, Digest: map[string]string{digest.SHA256: sum}}, true
	}
	if strings.HasPrefix(key, "layer:") {
		return evidence.Subject{}, false
	}
	return evidence.About(purl.PURL(key), ""), true
}
