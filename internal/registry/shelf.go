package registry

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Shelf keeps what somebody comes back for with a secret, for a while and not over a restart. It forgets everything
// rather than hold more than its limit. It is safe for concurrent use.
type Shelf[V any] struct {
	limit int
	now   func() time.Time

	mu  sync.Mutex
	all map[[sha256.Size]byte]shelved[V] // by the secret's hash
}

type shelved[V any] struct {
	value V
	until time.Time
}

// NewShelf returns an empty shelf of up to limit values.
func NewShelf[V any](limit int, now func() time.Time) *Shelf[V] {
	return &Shelf[V]{limit: limit, now: now, all: map[[sha256.Size]byte]shelved[V]{}}
}

// Put keeps v under a secret for a while, and returns until when.
func (s *Shelf[V]) Put(secret string, v V, life time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for key, old := range s.all {
		if !now.Before(old.until) || len(s.all) >= s.limit {
			delete(s.all, key)
		}
	}
	s.all[sha256.Sum256([]byte(secret))] = shelved[V]{v, now.Add(life)}
	return now.Add(life)
}

// Get returns what is kept under a secret.
func (s *Shelf[V]) Get(secret string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.all[sha256.Sum256([]byte(secret))]
	return v.value, ok && s.now().Before(v.until)
}

// Take is Get for the last time: the secret is for nothing any more.
func (s *Shelf[V]) Take(secret string) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(secret))
	v, ok := s.all[key]
	delete(s.all, key)
	return v.value, ok && s.now().Before(v.until)
}
