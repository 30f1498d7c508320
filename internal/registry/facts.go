package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
)

// Facts reads what an adapter has stored of its releases besides their bytes, as JSON: see [Core.Store]. What was
// read is kept in memory: under its digest it never changes, and so nobody may change it. It is safe for
// concurrent use.
type Facts[T any] struct {
	core  *Core
	cache *Cache[*fact[T]]
}

// NewFacts returns facts of up to limit bytes in memory.
func NewFacts[T any](core *Core, limit int64) *Facts[T] {
	return &Facts[T]{core: core, cache: NewCache[*fact[T]](limit)}
}

// Get returns what is stored under d. Without d that is nothing.
func (f *Facts[T]) Get(ctx context.Context, d digest.Digest) (*T, error) {
	if d == "" {
		return new(T), nil
	}
	if known := f.cache.Get(string(d)); known != nil {
		return &known.value, nil
	}
	raw, err := blob.Get(ctx, f.core.blobs, d)
	if err != nil {
		return nil, err
	}
	read := &fact[T]{digest: string(d), weight: 300 + 2*int64(len(raw))}
	if err := json.Unmarshal(raw, &read.value); err != nil {
		return nil, fmt.Errorf("stored metadata %s: %w", d, err)
	}
	f.cache.Put(read)
	return &read.value, nil
}

type fact[T any] struct {
	digest string
	weight int64
	value  T
}

// CacheKey, CacheRevision and CacheWeight implement Cacheable.
func (f *fact[T]) CacheKey() string     { return f.digest }
func (f *fact[T]) CacheRevision() int64 { return 0 }
func (f *fact[T]) CacheWeight() int64   { return f.weight }
