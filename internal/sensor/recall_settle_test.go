package sensor

import (
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
		if len(w.desk.urgent) != 1 { // the alert's
			t.Errorf("%d reports before it is known what else runs here", len(w.desk.urgent))
		}

		<-returned // after a bounded time
		if len(w.desk.urgent) != 2 {
			t.Fatalf("%d reports", len(w.desk.urgent))
		}
		if r := w.desk.urgent[1].Predicate.(evidence.Decision).Receipt; r == nil || r.Outcome != "observed" {
			t.Errorf("receipt %+v", r)
		}
	})
}
