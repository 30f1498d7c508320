package alert

import (
	"sync"
	"time"
)

// The bounds of a book. An alert is forgotten when it has not repeated for keepFor; then it is new again.
const (
	maxOpen    = 4096
	keepFor    = 10 * time.Minute
	tellRepeat = time.Minute
)

// Book counts equal alerts. It is safe for concurrent use.
type Book struct {
	mu   sync.Mutex
	open map[string]*line
}

type line struct {
	alert          Alert // the newest
	untold         int64 // repeats since it was last told
	last, lastTold time.Time
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{open: map[string]*line{}} }

// Raise takes an alert at now and reports whether it is to be told now: an equal one that was told is
// only counted. A book that is full tells every alert that is new to it.
func (b *Book) Raise(a *Alert, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := a.Key()
	if l := b.open[key]; l != nil {
		l.untold++
		l.alert, l.last = *a, now
		return false
	}
	if len(b.open) >= maxOpen {
		b.forget(now)
	}
	if len(b.open) < maxOpen {
		b.open[key] = &line{alert: *a, last: now, lastTold: now}
	}
	return true
}

// Repeats returns the alerts that repeated and were not told for a minute, each with its number of
// repeats as Count, and forgets those that are over. all returns every repeat, for the agent's end.
func (b *Book) Repeats(now time.Time, all bool) []Alert {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Alert
	for _, l := range b.open {
		since := now.Sub(l.lastTold)
		if l.untold == 0 || !all && since >= 0 && since < tellRepeat {
			continue
		}
		a := l.alert
		a.Count = l.untold
		l.untold, l.lastTold = 0, now
		out = append(out, a)
	}
	b.forget(now)
	return out
}

// forget drops what has not repeated for long. A clock that was set back makes nothing old.
func (b *Book) forget(now time.Time) {
	for key, l := range b.open {
		if l.untold == 0 && now.Sub(l.last) > keepFor {
			delete(b.open, key)
		}
	}
}
