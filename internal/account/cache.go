package account

import "sync"

// maxCached bounds each table of the cache: names come from callers without account, too.
const maxCached = 1 << 14

// cache is what was read from the tables since the last change of a right.
type cache struct {
	byHash  table[string, *credential] // tokens by the hash of their secret
	byID    table[string, *credential] // every credential by its name in an actor
	granted table[grantKey, grant]
	members table[string, memberRow] // fleet members by the hash of their secret
	// standings are by account.
	standings table[string, standing]
	// everyone says which names of an ecosystem anyone may read.
	everyone table[string, func(string) bool]
}

func newCache() *cache { return new(cache) }

// table is a bounded map that is safe for concurrent use. The zero value is empty.
type table[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (t *table[K, V]) get(k K) (V, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.m[k]
	return v, ok
}

// put starts over when the table is full: cheaper than keeping an order, and right after it the
// busy entries are back.
func (t *table[K, V]) put(k K, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil || len(t.m) >= maxCached {
		t.m = make(map[K]V)
	}
	t.m[k] = v
}
