package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	// heartbeat is how often a watcher hears something: the proto file promises 10 s.
	heartbeat = 10 * time.Second
	// settle is how long the hub waits for more after a commit, so that a burst of commits is one look.
	settle = 10 * time.Millisecond
	// backlog is how many updates a watcher may be behind.
	backlog = 4096
	// againEvery is how often the uses of exceptions are told at most: a busy one changes with every pod.
	againEvery = time.Second
	// reachEvery is how often, at most, it is worked out anew which images the recalls reach: every push may
	// bring one, and there may be many recalls.
	reachEvery = 5 * time.Second
)

// errClosing ends the watches of a server that stops.
var errClosing = errors.New("the server is stopping")

// hub is the one queue that all watchers read, each at its own place.
type hub struct {
	Config
	closed chan struct{} // closed when run ends

	// work is held while the record is looked at, so that updates come in the order of heads.
	work   sync.Mutex
	loaded bool // something was read; guarded by work, as the others up to tagsMu
	// When recalls and exceptions were read last, and whether something came since that may change them.
	reached, used         time.Time
	reachStale, usesStale bool
	// What was told last of each, without head and time.
	toldRecalls, toldPolicies, toldExceptions string

	tagsMu sync.Mutex
	tags   map[string]map[string]string // digest by tag by repository; guarded by tagsMu

	mu         sync.Mutex // guards what follows
	head       int64      // of the record: everything before it is told
	recalls    *frame     // the newest of each, for who comes new; nil while there is none
	policies   *frame
	exceptions *frame
	queue      []*frame      // the newest updates, oldest first
	first      int64         // place of queue[0]; places only grow
	wake       chan struct{} // closed, and replaced, when the queue grows
	images     int           // watchers that want image records
	epoch      int64         // grows when those must start again
}

func newHub(c Config) *hub {
	return &hub{Config: c, closed: make(chan struct{}), wake: make(chan struct{}), tags: map[string]map[string]string{}}
}

// run looks at the record after every commit until ctx ends.
func (h *hub) run(ctx context.Context) error {
	defer close(h.closed)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		changed := h.Record.Changed() // before the look: what comes in between must wake us
		again, err := h.look(ctx)
		if err != nil && ctx.Err() == nil {
			h.Logger.Error("watchers were not told of a change", "error", err)
			again = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-changed:
			if !pause(ctx, settle) {
				return nil
			}
		case <-beat.C:
			h.beat()
		}
	}
}

// pause waits, and reports false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// beat tells every watcher that the server is there, and how far the record is.
func (h *hub) beat() {
	h.mu.Lock()
	head := h.head
	h.mu.Unlock()
	if f, err := h.frame(head, nil); err == nil { // two numbers: it cannot fail
		h.publish(head, f)
	}
}

// frame encodes one update; change sets what it is about.
func (h *hub) frame(head int64, change func(*fleetv1.Update)) (*frame, error) {
	u := &fleetv1.Update{Head: head, At: timestamppb.New(h.Clock.Now())}
	if change != nil {
		change(u)
	}
	return newFrame(u)
}

// publish puts frames behind the queue and wakes who waits.
func (h *hub) publish(head int64, frames ...*frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.head = max(h.head, head)
	for _, f := range frames {
		h.remember(f)
	}
	if len(frames) == 0 {
		return
	}
	h.queue = append(h.queue, frames...)
	if drop := len(h.queue) - backlog; drop > 0 {
		h.first += int64(drop)
		h.queue = append([]*frame(nil), h.queue[drop:]...)
	}
	close(h.wake)
	h.wake = make(chan struct{})
}

// remember keeps the newest of those updates that say the whole of something. h.mu is held.
func (h *hub) remember(f *frame) {
	switch f.update.Change.(type) {
	case *fleetv1.Update_Recalls:
		h.recalls = f
	case *fleetv1.Update_Policies:
		h.policies = f
	case *fleetv1.Update_Exceptions:
		h.exceptions = f
	}
}

// look reads what the record has taken since the last look and tells it. again, when not nil, is when
// it must look once more without a commit.
func (h *hub) look(ctx context.Context) (again <-chan time.Time, err error) {
	h.work.Lock()
	defer h.work.Unlock()
	h.mu.Lock()
	from, wanted := h.head, h.images > 0
	h.mu.Unlock()
	to := h.Record.Head()
	stale := h.reachStale || h.usesStale
	if h.loaded && from == to && !stale {
		return nil, nil
	}
	frames, err := h.changes(ctx, from, to, wanted)
	if err != nil {
		return nil, err
	}
	h.loaded = true
	h.publish(to, frames...)
	if h.reachStale || h.usesStale {
		return time.After(againEvery), nil
	}
	return nil, nil
}
