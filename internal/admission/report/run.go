package report

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	pause      = 100 * time.Millisecond // between writes, so that many statements share one fsync
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	callFor    = 30 * time.Second
	lastWords  = 3 * time.Second // for what is still in memory when the process is told to stop
)

// Sender is the part of the fleet service that takes reports.
type Sender interface {
	Report(context.Context, *connect.Request[fleetv1.ReportRequest]) (*connect.Response[fleetv1.ReportResponse], error)
}

// Run stores and sends until ctx ends, then stores what is in memory.
func (s *Spool) Run(ctx context.Context, to Sender) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.keepStoring(ctx) })
	g.Go(func() error { return s.keepSending(ctx, to) })
	return g.Wait()
}

func (s *Spool) keepStoring(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return s.storeTheRest(context.WithoutCancel(ctx))
		case first := <-s.memory:
			if err := s.Store(context.WithoutCancel(ctx), s.collect(first)...); err != nil {
				s.log.Error("decisions were lost: they cannot be written down", "error", err, "lost", s.Lost())
			}
		}
		if len(s.memory) < batchSize {
			sleep(ctx, pause)
		}
	}
}

func (s *Spool) storeTheRest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	for {
		select {
		case first := <-s.memory:
			if err := s.Store(ctx, s.collect(first)...); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (s *Spool) keepSending(ctx context.Context, to Sender) error {
	wait := retryFirst
	for ctx.Err() == nil {
		sent, err := s.send(ctx, to)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("decisions wait for the server", "waiting", s.Waiting(), "error", err)
			sleep(ctx, wait)
			wait = min(2*wait, retryMost)
		case sent:
			wait = retryFirst
		default:
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// send sends one batch. Of a batch that the server refuses for good, each statement is sent by itself, so that
// one that it does not understand takes no others with it; and is dropped, or everything behind it would wait for ever.
func (s *Spool) send(ctx context.Context, to Sender) (sent bool, err error) {
	b, err := s.Next(ctx)
	if err != nil || b.Name == "" {
		return false, err
	}
	err = call(ctx, to, b.Name, b.Drafts)
	if refused(err) {
		err = s.oneByOne(ctx, to, b)
	}
	if err != nil {
		return false, err
	}
	return true, s.Done(ctx, b.Name)
}

func (s *Spool) oneByOne(ctx context.Context, to Sender, b Batch) error {
	for i, draft := range b.Drafts {
		err := call(ctx, to, fmt.Sprintf("%s/%d", b.Name, i), []*fleetv1.Draft{draft})
		if err != nil && !refused(err) {
			return err // the same names the next time: what was taken is not taken twice
		}
		if err != nil {
			s.lost.Add(1) // no gap: the server knows what it refused, and could refuse the gap too
			s.log.Error("the server refuses a statement; it is dropped", "type", draft.GetPredicateType(), "error", err)
		}
	}
	return nil
}

func call(ctx context.Context, to Sender, batch string, drafts []*fleetv1.Draft) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	_, err := to.Report(ctx, connect.NewRequest(&fleetv1.ReportRequest{Batch: batch, Drafts: drafts}))
	return err
}

func refused(err error) bool {
	e, ok := errors.AsType[*connect.Error](err)
	return ok && e.Code() == connect.CodeInvalidArgument
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
