package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	// heartbeat is how often a watcher hears something: the proto file promises 10 s.
	heartbeat = 10 * time.Second
	// settle is how long the hub waits for more after a commit, so that a burst of commits is one look.
	settle = 10 * time.Millisecond
	// backlog is how many updates a watcher may be behind.
	backlog = 4096
	// usesEvery is how often the uses of exceptions are told at most: a busy exception changes with every pod.
	usesEvery = time.Second
)

// errClosing ends the watches of a server that stops.
var errClosing = errors.New("the server is stopping")

// hub is the one queue that all watchers read, each at its own place.
type hub struct {
	Config
	closed chan struct{} // closed when run ends

	// work is held while the record is looked at, so that updates come in the order of heads.
	work   sync.Mutex
	loaded bool                         // guarded by work
	tags   map[string]map[string]string // digest by tag by repository, as told; guarded by work
	uses   time.Time                    // when uses of exceptions were told; guarded by work
	stale  bool                         // exceptions were used since; guarded by work

	mu         sync.Mutex // guards what follows
	head       int64      // of the record: everything before it is told
	recalls    *frame     // the newest of each, for who comes new; nil while there is none
	policies   *frame
	exceptions *frame
	queue      []*frame      // the newest updates, oldest first
	first      int64         // place of queue[0]; places only grow
	wake       chan struct{} // closed, and replaced, when the queue grows
	images     int           // watchers that want image records
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
	if !h.loaded {
		from = 0
	}
	if h.loaded && from == to && !h.stale {
		return nil, nil
	}
	frames, err := h.changes(ctx, from, to, wanted)
	if err != nil {
		return nil, err
	}
	h.loaded = true
	h.publish(to, frames...)
	if h.stale {
		return time.After(usesEvery), nil
	}
	return nil, nil
}

// changes makes the updates of the statements from to to-1.
func (h *hub) changes(ctx context.Context, from, to int64, images bool) ([]*frame, error) {
	kinds, err := h.kinds(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var frames []*frame
	if !h.loaded || kinds[evidence.RecallType] {
		f, err := h.recallsAt(ctx, to)
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// kinds are the predicate types of the statements from to to-1.
func (h *hub) kinds(ctx context.Context, from, to int64) (map[string]bool, error) {
	kinds := map[string]bool{}
	if !h.loaded {
		return kinds, nil // everything is read anyway
	}
	rows, err := h.Record.DB().Query().QueryContext(ctx, `SELECT DISTINCT predicate_type FROM statement WHERE seq >= $1 AND seq < $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("look for changes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			return nil, fmt.Errorf("look for changes: %w", err)
		}
		kinds[kind] = true
	}
	return kinds, rows.Err()
}

func (h *hub) recallsAt(ctx context.Context, head int64) (*frame, error) {
	all, err := h.Recalls.InForce(ctx)
	if err != nil {
		return nil, err
	}
	out := &fleetv1.Recalls{}
	for _, r := range all {
		one := &fleetv1.Recall{
			Seq: r.Seq, Subjects: r.Subjects, Reason: r.Reason, Account: r.Account, At: timestamppb.New(r.At), Gates: r.Gates, System: r.System,
		}
		if r.Canary != nil {
			one.Canary = &fleetv1.Scope{Cluster: r.Canary.Cluster, Namespace: r.Canary.Namespace, Kind: r.Canary.Kind, Name: r.Canary.Name}
		}
		out.Recalls = append(out.Recalls, one)
	}
	return h.frame(head, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Recalls{Recalls: out} })
}
