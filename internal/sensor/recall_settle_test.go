package sensor

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// A container that no runtime knows may stay unknown for good: nobody else's recall waits for it.
func TestARecallIsInForceBeforeEveryContainerIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Level = kernel.Observe })
		w.follow("/stranger", group+1)
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			w.recall(nil)
		}()
		synctest.Wait()
		w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
		w.expect("recalled-content observed " + bundle)
		if reports := w.desk.urgently(); len(reports) != 1 { // the alert's
			t.Errorf("%d reports before it is known what else runs here", len(reports))
		}

		<-returned // after a bounded time
		reports := w.desk.urgently()
		if len(reports) != 2 {
			t.Fatalf("%d reports", len(reports))
		}
		if r := reports[1].Predicate.(evidence.Decision).Receipt; r == nil || r.Outcome != "observed" {
			t.Errorf("receipt %+v", r)
		}
	})
}

func (r *desk) urgently() []evidence.Draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.urgent)
}
