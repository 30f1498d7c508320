package npm

import (
	"container/list"
	"sync"
)

// offerCache keeps the offers that were asked for last, up to a number of bytes.
type offerCache struct {
	limit int64

	// mu guards what follows. order has the most recently used offer in front; each element of
	// it is a *cached that byName finds.
	mu     sync.Mutex
	size   int64
	order  *list.List
	byName map[string]*list.Element
}

type cached struct {
	offer *offer
	size  int64 // bytes, as counted into offerCache.size
}

func newOfferCache(limit int64) *offerCache {
	return &offerCache{limit: limit, order: list.New(), byName: map[string]*list.Element{}}
}

func (c *offerCache) get(name string) *offer {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byName[name]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).offer
}

// put keeps o in place of an older offer of its name; one that is newer stays.
func (c *offerCache) put(o *offer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byName[o.name]; e != nil {
		if e.Value.(*cached).offer.revision > o.revision {
			return
		}
		c.remove(e)
	}
	entry := &cached{offer: o, size: o.weight()}
	c.byName[o.name] = c.order.PushFront(entry)
	c.grow(entry.size)
}

// grown tells the cache that o, if it is kept, became bigger by some bytes.
func (c *offerCache) grown(o *offer, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byName[o.name]
	if e == nil || e.Value.(*cached).offer != o {
		return
	}
	e.Value.(*cached).size += bytes
	c.grow(bytes)
}

// forget drops a name.
func (c *offerCache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byName[name]; e != nil {
		c.remove(e)
	}
}

// grow adds to the size and drops what was not used for longest. c.mu is held.
func (c *offerCache) grow(bytes int64) {
	c.size += bytes
	for c.size > c.limit && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *offerCache) remove(e *list.Element) {
	entry := c.order.Remove(e).(*cached)
	delete(c.byName, entry.offer.name)
	c.size -= entry.size
}

// weight estimates the offer's bytes without its documents.
func (o *offer) weight() int64 {
	const perRelease = 900 // two registry.Release values with their strings, and the map entry
	bytes := 500 + int64(len(o.all))*perRelease + int64(len(o.tags)+len(o.owners))*100
	for _, d := range o.former {
		if d != nil {
			bytes += d.bytes()
		}
	}
	return bytes
}
