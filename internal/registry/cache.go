package registry

import (
	"container/list"
	"sync"
)

// Cacheable is what a [Cache] keeps. Values are compared by identity.
type Cacheable interface {
	comparable
	CacheKey() string
	// CacheRevision orders values of one key: an older one never takes a newer one's place.
	CacheRevision() int64
	// CacheWeight estimates the value's bytes.
	CacheWeight() int64
}

// Cache keeps the values that were asked for last, up to a number of bytes. It is safe for concurrent use.
type Cache[V Cacheable] struct {
	limit int64

	// mu guards what follows. order has the most recently used value in front; each element of
	// it is a *cached that byKey finds.
	mu    sync.Mutex
	size  int64
	order *list.List
	byKey map[string]*list.Element
}

type cached[V any] struct {
	value V
	size  int64 // bytes, as counted into Cache.size
}

// NewCache returns a cache of limit bytes.
func NewCache[V Cacheable](limit int64) *Cache[V] {
	return &Cache[V]{limit: limit, order: list.New(), byKey: map[string]*list.Element{}}
}

// Get returns the value of a key, or the zero value.
func (c *Cache[V]) Get(key string) (value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return value
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[V]).value
}

// Put keeps v in place of an older value of its key; one that is newer stays.
func (c *Cache[V]) Put(v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[v.CacheKey()]; e != nil {
		if e.Value.(*cached[V]).value.CacheRevision() > v.CacheRevision() {
			return
		}
		c.remove(e)
	}
	entry := &cached[V]{value: v, size: v.CacheWeight()}
	c.byKey[v.CacheKey()] = c.order.PushFront(entry)
	c.grow(entry.size)
}

// Grown tells the cache that v, if it is kept, became bigger by some bytes.
func (c *Cache[V]) Grown(v V, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[v.CacheKey()]
	if e == nil || e.Value.(*cached[V]).value != v {
		return
	}
	e.Value.(*cached[V]).size += bytes
	c.grow(bytes)
}

// Forget drops a key.
func (c *Cache[V]) Forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
}

// grow adds to the size and drops what was not used for longest. c.mu is held.
func (c *Cache[V]) grow(bytes int64) {
	c.size += bytes
	for c.size > c.limit && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *Cache[V]) remove(e *list.Element) {
	entry := c.order.Remove(e).(*cached[V])
	delete(c.byKey, entry.value.CacheKey())
	c.size -= entry.size
}
