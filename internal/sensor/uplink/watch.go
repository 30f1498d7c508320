package uplink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

// silence is how long a stream may say nothing: the server speaks at least every 10 s.
const silence = 30 * time.Second

// watch keeps a stream open, and opens it again when it breaks. What an earlier run was told stays in
// force until the server says otherwise.
func (l *Line) watch(ctx context.Context) {
	if kept := l.kept(); kept != nil {
		l.apply(kept)
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		heard, err := l.stream(ctx)
		if heard {
			failures = 0
		}
		if ctx.Err() != nil {
			return
		}
		l.Logger.Warn("the server is away; what it said last stays in force", "error", plain(err))
		if !pause(ctx, backoff(failures), nil) {
			return
		}
	}
}

// told is everything that the server has said, as it is kept.
type told struct {
	recalls    *fleetv1.Recalls
	exceptions *fleetv1.Exceptions
}

// stream reads one stream to its end. heard reports whether it ever was in sync.
func (l *Line) stream(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(errors.New("the server fell silent")) })
	defer watchdog.Stop()
	defer l.there.Store(false)
	s, err := l.client.Watch(ctx, connect.NewRequest(&fleetv1.WatchRequest{None: true}))
	if err != nil {
		return false, err
	}
	defer s.Close()
	var now told
	for s.Receive() {
		watchdog.Reset(silence)
		switch change := s.Msg().Change.(type) {
		case *fleetv1.Update_Reset_:
			now, heard = told{}, false
		case *fleetv1.Update_Recalls:
			now.recalls = change.Recalls
			l.applied(now)
		case *fleetv1.Update_Exceptions:
			now.exceptions = change.Exceptions
			l.applied(now)
		case *fleetv1.Update_Synced:
			// What was not mentioned before this is not in force.
			heard = true
			l.there.Store(true)
			if now.recalls == nil {
				now.recalls = &fleetv1.Recalls{}
			}
			if now.exceptions == nil {
				now.exceptions = &fleetv1.Exceptions{}
			}
			l.applied(now)
			l.wake() // the server is back: it can have what waits
		}
	}
	if err := s.Err(); err != nil {
		return heard, err
	}
	return heard, fmt.Errorf("the stream ended: %w", context.Cause(ctx))
}

// firstUpdate opens a stream and reads one message.
func (l *Line) firstUpdate(ctx context.Context) error {
	s, err := l.client.Watch(ctx, connect.NewRequest(&fleetv1.WatchRequest{None: true}))
	if err != nil {
		return err
	}
	defer s.Close()
	if !s.Receive() {
		return s.Err()
	}
	return nil
}

// applied puts what was said in force, then keeps it: enforcement does not wait for the disk.
func (l *Line) applied(now told) {
	l.apply(&now)
	if now.recalls == nil || now.exceptions == nil {
		return // not all has been said yet
	}
	for name, m := range map[string]proto.Message{"recalls.pb": now.recalls, "exceptions.pb": now.exceptions} {
		raw, err := proto.Marshal(m)
		if err == nil {
			err = durable.WriteFile(filepath.Join(l.State, name), raw, 0o600)
		}
		if err != nil {
			l.Logger.Error("what the server said is not kept", "error", err)
		}
	}
}

func (l *Line) apply(now *told) {
	// Exceptions first: an alert of a recall names the exception.
	if now.exceptions != nil {
		l.handler.Exceptions(now.exceptions.Exceptions)
	}
	if now.recalls != nil {
		l.handler.Recalls(now.recalls.Recalls)
	}
}

// kept returns what an earlier run was told, nil when there is nothing whole.
func (l *Line) kept() *told {
	out := &told{recalls: &fleetv1.Recalls{}, exceptions: &fleetv1.Exceptions{}}
	for name, m := range map[string]proto.Message{"recalls.pb": out.recalls, "exceptions.pb": out.exceptions} {
		raw, err := os.ReadFile(filepath.Join(l.State, name))
		if err != nil || proto.Unmarshal(raw, m) != nil {
			return nil
		}
	}
	return out
}
