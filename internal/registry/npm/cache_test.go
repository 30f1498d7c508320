package npm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hullmark/hullmark/internal/registry"
)

func offerOf(name string, revision int64) *offer { return &offer{name: name, revision: revision} }

func TestCacheKeepsWhatWasUsedLastWithinItsBytes(t *testing.T) {
	t.Parallel()
	one := offerOf("x", 1).weight()
	c := newOfferCache(3 * one)
	for _, name := range []string{"a", "b", "c"} {
		c.put(offerOf(name, 1))
	}
	c.get("a")
	c.put(offerOf("d", 1))
	for name, kept := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if (c.get(name) != nil) != kept {
			t.Errorf("%s kept: %v, want %v", name, !kept, kept)
		}
	}
	big := c.get("a")
	c.grown(big, 2*one)
	if c.get("a") == nil || c.order.Len() != 1 || c.size != 3*one {
		t.Errorf("after a grew, %d offers of %d bytes are kept", c.order.Len(), c.size)
	}
	c.grown(big, one)
	if c.order.Len() != 0 || c.size != 0 {
		t.Errorf("an offer larger than the cache stays: %d bytes", c.size)
	}
}

func TestCacheNeverGoesBackToAnOlderRevision(t *testing.T) {
	t.Parallel()
	c := newOfferCache(1 << 20)
	c.put(offerOf("a", 5))
	c.put(offerOf("a", 4))
	if got := c.get("a").revision; got != 5 {
		t.Errorf("revision %d is kept", got)
	}
	c.forget("a")
	if c.get("a") != nil || c.size != 0 {
		t.Error("a forgotten offer stays")
	}
}

func TestCacheCountsItsBytes(t *testing.T) {
	t.Parallel()
	c := newOfferCache(20_000)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		name := fmt.Sprint(r.IntN(40))
		switch o := c.get(name); {
		case o == nil || r.IntN(4) == 0:
			c.put(&offer{name: name, revision: r.Int64N(100), all: make([]registry.Release, r.IntN(3))})
		case r.IntN(9) == 0:
			c.forget(name)
		default:
			c.grown(o, r.Int64N(500))
		}
		var sum int64
		for e := c.order.Front(); e != nil; e = e.Next() {
			sum += e.Value.(*cached).size
		}
		if sum != c.size || c.size > c.limit || len(c.byName) != c.order.Len() {
			t.Fatalf("it counts %d bytes, holds %d in %d offers under %d names", c.size, sum, c.order.Len(), len(c.byName))
		}
	}
}
