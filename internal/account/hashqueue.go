package account

import (
	"context"
	"fmt"
	"sync/atomic"
)

const (
	// Two hashes at a time bound the memory that guessing can take (2 × 19 MiB); one of the places is
	// kept for people who are known, so that they never wait behind guesses.
	knownPlaces   = 1
	unknownPlaces = 1
	// maxWaiting is how many wait from networks that are not known. More would only wait in vain: at
	// some 30 ms a hash the last of them gets there within a second.
	maxWaiting = 20
)

// hashQueue is where password hashes wait for memory and processor.
type hashQueue struct {
	known, unknown chan struct{}
	waiting        atomic.Int64 // from networks that are not known
}

func newHashQueue() *hashQueue {
	return &hashQueue{known: make(chan struct{}, knownPlaces), unknown: make(chan struct{}, unknownPlaces)}
}

// enter waits for a place, which leave gives back. It fails with code too-many-attempts when too many
// wait already, and when ctx ends.
func (q *hashQueue) enter(ctx context.Context, known bool) (leave func(), err error) {
	if known {
		select {
		case q.known <- struct{}{}:
			return func() { <-q.known }, nil
		case q.unknown <- struct{}{}:
			return func() { <-q.unknown }, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
		}
	}
	if q.waiting.Add(1) > maxWaiting {
		q.waiting.Add(-1)
		return nil, errTooMany()
	}
	defer q.waiting.Add(-1)
	select {
	case q.unknown <- struct{}{}:
		return func() { <-q.unknown }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}
