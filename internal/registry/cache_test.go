package registry

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

type kept struct {
	name             string
	revision, weight int64
}

func (k *kept) CacheKey() string     { return k.name }
func (k *kept) CacheRevision() int64 { return k.revision }
func (k *kept) CacheWeight() int64   { return k.weight }

func keep(name string, revision int64) *kept { return &kept{name, revision, 500} }

func TestCacheKeepsWhatWasUsedLastWithinItsBytes(t *testing.T) {
	t.Parallel()
	const one = 500
	c := NewCache[*kept](3 * one)
	for _, name := range []string{"a", "b", "c"} {
		c.Put(keep(name, 1))
	}
	c.Get("a")
	c.Put(keep("d", 1))
	for name, stays := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if (c.Get(name) != nil) != stays {
			t.Errorf("%s kept: %v, want %v", name, !stays, stays)
		}
	}
	big := c.Get("a")
	c.Grown(big, 2*one)
	if c.Get("a") == nil || c.order.Len() != 1 || c.size != 3*one {
		t.Errorf("after a grew, %d values of %d bytes are kept", c.order.Len(), c.size)
	}
	c.Grown(big, one)
	if c.order.Len() != 0 || c.size != 0 {
		t.Errorf("a value larger than the cache stays: %d bytes", c.size)
	}
}

func TestCacheNeverGoesBackToAnOlderRevision(t *testing.T) {
	t.Parallel()
	c := NewCache[*kept](1 << 20)
	c.Put(keep("a", 5))
	c.Put(keep("a", 4))
	if got := c.Get("a").revision; got != 5 {
		t.Errorf("revision %d is kept", got)
	}
	c.Forget("a")
	if c.Get("a") != nil || c.size != 0 {
		t.Error("a forgotten value stays")
	}
}

func TestCacheCountsItsBytes(t *testing.T) {
	t.Parallel()
	c := NewCache[*kept](20_000)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		name := fmt.Sprint(r.IntN(40))
		switch o := c.Get(name); {
		case o == nil || r.IntN(4) == 0:
			c.Put(&kept{name, r.Int64N(100), r.Int64N(2000)})
		case r.IntN(9) == 0:
			c.Forget(name)
		default:
			c.Grown(o, r.Int64N(500))
		}
		var sum int64
		for e := c.order.Front(); e != nil; e = e.Next() {
			sum += e.Value.(*cached[*kept]).size
		}
		if sum != c.size || c.size > c.limit || len(c.byKey) != c.order.Len() {
			t.Fatalf("it counts %d bytes, holds %d in %d values under %d names", c.size, sum, c.order.Len(), len(c.byKey))
		}
	}
}
