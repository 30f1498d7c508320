package sso

import (
	"crypto/subtle"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// maxFlows bounds what waits: anybody may begin.
const maxFlows = 4096

// flow is a sign-in under way.
type flow struct {
	nonce, verifier, binding string
	next                     string
	by                       evidence.Actor
	expires                  time.Time
}

// flows are the sign-ins under way by their state, in memory: one that a restart interrupts is begun
// again. The zero value is ready.
type flows struct {
	mu sync.Mutex
	m  map[string]flow
}

func (fs *flows) put(state string, f flow, now time.Time) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.m == nil {
		fs.m = map[string]flow{}
	}
	if len(fs.m) >= maxFlows {
		for s, old := range fs.m {
			if !now.Before(old.expires) {
				delete(fs.m, s)
			}
		}
	}
	if len(fs.m) >= maxFlows {
		return false
	}
	fs.m[state] = f
	return true
}

// take returns a flow to the browser that began it, once. Another browser does not use it up.
func (fs *flows) take(state, binding string, now time.Time) (flow, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, ok := fs.m[state]
	if !ok || binding == "" || !same(f.binding, binding) {
		return flow{}, false
	}
	delete(fs.m, state)
	return f, now.Before(f.expires)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
