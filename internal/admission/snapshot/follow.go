package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	// silence is how long a stream may say nothing: three heartbeats.
	silence    = 30 * time.Second
	flushEvery = time.Second
	retryFirst = time.Second
	retryMost  = 15 * time.Second
)

// Source is the part of the fleet service that a snapshot follows.
type Source interface {
	Watch(context.Context, *connect.Request[fleetv1.WatchRequest]) (*connect.ServerStreamForClient[fleetv1.Update], error)
}

// Follower keeps a snapshot current.
type Follower struct {
	Snapshot *Snapshot
	Source   Source
	Log      *slog.Logger
	// OnRecalls is called after recalls changed or a stream was synced; it must not wait.
	OnRecalls func(context.Context)
}

// Run follows the server until ctx ends, and writes the file behind.
func (f *Follower) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		f.follow(ctx)
		return nil
	})
	g.Go(func() error {
		f.keepFlushing(ctx)
		return nil
	})
	return g.Wait()
}

func (f *Follower) follow(ctx context.Context) {
	wait := retryFirst
	for ctx.Err() == nil {
		updates, err := f.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if updates > 0 {
			wait = retryFirst
		}
		f.Log.Warn("the server is away; decisions are made from the snapshot", "error", err, "head", f.Snapshot.After(),
			"age", f.Snapshot.Status().Age)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, retryMost)
	}
}

// stream follows one stream to its end, and returns how many updates it brought.
func (f *Follower) stream(ctx context.Context) (updates int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the server said nothing for %s", silence)) })
	defer watchdog.Stop()
	f.Snapshot.Begin()
	stream, err := f.Source.Watch(ctx, connect.NewRequest(&fleetv1.WatchRequest{After: f.Snapshot.After()}))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	for stream.Receive() {
		watchdog.Reset(silence)
		updates++
		if err := f.take(ctx, stream.Msg()); err != nil {
			return updates, err
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return updates, cause
	}
	return updates, stream.Err()
}

// take applies an update. One record that cannot be read is no reason to hear no recalls any more: it is
// forgotten, so that its image counts as unknown.
func (f *Follower) take(ctx context.Context, u *fleetv1.Update) error {
	err := f.Snapshot.Apply(u)
	if image, ok := u.GetChange().(*fleetv1.Update_Image); ok && err != nil {
		f.Log.Error("a record cannot be read; its image counts as unknown", "digest", image.Image.GetDigest(), "error", err)
		forget := &fleetv1.Update{Head: u.GetHead(), At: u.GetAt(), Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: image.Image.GetDigest()}}}
		return f.Snapshot.Apply(forget)
	}
	if err != nil {
		return err
	}
	if f.OnRecalls != nil && (u.GetRecalls() != nil || u.GetSynced()) {
		f.OnRecalls(ctx)
	}
	return nil
}

func (f *Follower) keepFlushing(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			f.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			f.flush(context.WithoutCancel(ctx))
		}
	}
}

func (f *Follower) flush(ctx context.Context) {
	if err := f.Snapshot.Flush(ctx); err != nil {
		f.Log.Error("the snapshot cannot be written; a restart would begin from an older one", "error", err)
	}
}
