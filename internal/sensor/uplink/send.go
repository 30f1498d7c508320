package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/sensor/spool"
)

// The bounds of what waits in memory on its way to the spool, and of a batch.
const (
	maxUrgent    = 10_000
	maxAggregate = 10_000
	maxBatch     = 400 // the server takes 500
	linger       = 20 * time.Millisecond
	lingerLong   = time.Second
	reportWithin = 30 * time.Second
	directWithin = 5 * time.Second
	diskAgain    = 5 * time.Second
)

// outbox collects drafts and makes batches of them in the spool, so that neither who reports nor an fsync
// is in the other's way.
type outbox struct {
	spool  *spool.Spool
	log    *slog.Logger
	unique func() string
	ready  func() // something is in the spool
	// direct reports a batch without waiting for the disk, at the same time as it is written there: the
	// server takes a batch once.
	direct func(raw []byte) error

	mu         sync.Mutex
	urgent     []*fleetv1.Draft
	aggregates []*fleetv1.Draft
	lost       int64 // aggregates that did not fit
	lostUrgent int64
	poke       chan struct{}
}

func newOutbox(s *spool.Spool, log *slog.Logger, unique func() string, ready func(), direct func([]byte) error) *outbox {
	return &outbox{spool: s, log: log, unique: unique, ready: ready, direct: direct, poke: make(chan struct{}, 1)}
}

// Urgent implements package sensor's Reporter. While the disk takes nothing, ten thousand wait in memory.
func (l *Line) Urgent(d evidence.Draft) { l.out.put(d, true) }

// Aggregate implements package sensor's Reporter.
func (l *Line) Aggregate(d evidence.Draft) { l.out.put(d, false) }

func (o *outbox) put(d evidence.Draft, urgent bool) {
	w, err := wire(d)
	if err != nil {
		o.log.Error("statement not encoded", "error", err)
		return
	}
	o.mu.Lock()
	switch {
	case urgent && len(o.urgent) < maxUrgent:
		o.urgent = append(o.urgent, w)
	case urgent:
		o.lostUrgent++
	case len(o.aggregates) >= maxAggregate:
		o.aggregates = append(o.aggregates[1:], w) // the oldest goes
		o.lost++
	default:
		o.aggregates = append(o.aggregates, w)
	}
	o.mu.Unlock()
	if urgent {
		select {
		case o.poke <- struct{}{}:
		default:
		}
	}
}

// run writes to the spool until ctx ends, and then what is left.
func (o *outbox) run(ctx context.Context) {
	for pause(ctx, lingerLong, o.poke) {
		pause(ctx, linger, nil) // a burst becomes one batch
		if !o.write() && !pause(ctx, diskAgain, nil) {
			break
		}
	}
	o.write()
}

// write moves what waits into the spool. It reports whether the disk took it.
func (o *outbox) write() bool {
	o.mu.Lock()
	urgent, aggregates, lost, lostUrgent := o.urgent, o.aggregates, o.lost, o.lostUrgent
	o.urgent, o.aggregates, o.lost, o.lostUrgent = nil, nil, 0, 0
	o.mu.Unlock()
	lost += o.spool.Dropped()
	if lost > 0 || lostUrgent > 0 {
		aggregates = append(aggregates, gapDraft(lost, lostUrgent))
	}
	left, err := o.batches(spool.Alerts, urgent)
	var leftAggregates []*fleetv1.Draft
	if err == nil {
		leftAggregates, err = o.batches(spool.Aggregates, aggregates)
	} else {
		leftAggregates = aggregates
	}
	if err != nil {
		o.log.Error("reports are kept in memory: the spool takes nothing", "error", err)
	}
	o.mu.Lock()
	o.urgent = append(left, o.urgent...)
	o.aggregates = append(leftAggregates, o.aggregates...)
	if over := len(o.aggregates) - maxAggregate; over > 0 {
		o.aggregates = o.aggregates[over:]
		o.lost += int64(over)
	}
	o.mu.Unlock()
	if len(aggregates) > 0 {
		o.ready()
	}
	return err == nil
}

// batches writes drafts as segments, and returns those that were not written.
func (o *outbox) batches(class spool.Class, drafts []*fleetv1.Draft) ([]*fleetv1.Draft, error) {
	for len(drafts) > 0 {
		n, size := 0, 0
		for n < min(len(drafts), maxBatch) && (n == 0 || size < spool.MaxSegment/4) {
			size += proto.Size(drafts[n])
			n++
		}
		raw, err := proto.Marshal(&fleetv1.ReportRequest{Batch: o.unique(), Drafts: drafts[:n]})
		if err == nil && class == spool.Alerts {
			err = o.urgently(raw)
		} else if err == nil {
			_, err = o.spool.Append(class, raw)
		}
		if err != nil {
			return drafts, err
		}
		drafts = drafts[n:]
	}
	return nil, nil
}

// urgently reports a batch and writes it to the spool, both at once. One of the two is enough.
func (o *outbox) urgently(raw []byte) error {
	sent := make(chan error, 1)
	go func() { sent <- o.direct(raw) }()
	id, err := o.spool.Append(spool.Alerts, raw)
	if err != nil {
		if <-sent == nil {
			return nil // the disk takes nothing, but the record has it
		}
		return err
	}
	go func() {
		if <-sent == nil {
			o.spool.Done(id)
			return
		}
		o.ready()
	}()
	return nil
}

func gapDraft(lost, lostUrgent int64) *fleetv1.Draft {
	reason := fmt.Sprintf("%d batches of aggregates were dropped for want of room in the spool", lost)
	if lostUrgent > 0 {
		reason += fmt.Sprintf("; %d alerts were lost because neither disk nor memory took them", lostUrgent)
	}
	raw, err := json.Marshal(evidence.Gap{What: "reports of this node", Reason: reason})
	if err != nil { // two texts
		return nil
	}
	return &fleetv1.Draft{Subjects: []*fleetv1.Subject{{Name: "node"}}, PredicateType: evidence.GapType, Predicate: raw}
}

// wire is a draft as it is sent. Names may hold anything that a file name may; the record takes text.
func wire(d evidence.Draft) (*fleetv1.Draft, error) {
	raw, err := json.Marshal(d.Predicate)
	if err != nil {
		return nil, err
	}
	out := &fleetv1.Draft{PredicateType: d.Predicate.PredicateType(), Predicate: raw}
	for _, s := range d.Subjects {
		w := &fleetv1.Subject{Name: text(s.Name)}
		if sum := s.Digest[digest.SHA256]; sum != "" {
			w.Digest = digest.SHA256 + ":" + sum
		}
		out.Subjects = append(out.Subjects, w)
	}
	return out, nil
}

func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 1000)]
}

// send hands segments over until ctx ends.
func (l *Line) send(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		id, raw, ok := l.spool.Next()
		if !ok {
			failures = 0
			if !pause(ctx, time.Minute, l.kick) {
				return
			}
			continue
		}
		err := l.report(ctx, raw)
		if err == nil {
			l.spool.Done(id)
			failures = 0
			continue
		}
		if connect.CodeOf(err) == connect.CodeInvalidArgument {
			l.refused(id, raw, err)
			continue
		}
		l.Logger.Warn("not reported yet", "error", plain(err))
		// The watch wakes the sender when the server is back.
		if !pause(ctx, backoff(failures), l.kick) {
			return
		}
		failures++
	}
}

// errAway is why a batch is not reported directly.
var errAway = errors.New("the server is away")

// direct reports a batch now, if the server is there.
func (l *Line) direct(raw []byte) error {
	if !l.there.Load() {
		return errAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), directWithin)
	defer cancel()
	return l.report(ctx, raw)
}

func (l *Line) report(ctx context.Context, raw []byte) error {
	var req fleetv1.ReportRequest
	if err := proto.Unmarshal(raw, &req); err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	_, err := l.client.Report(ctx, connect.NewRequest(&req))
	return err
}

// refused deals with a batch that the server will never take: it is taken apart, so that one statement does
// not keep the others from the record, and a single one is given up, with a gap in its place.
func (l *Line) refused(id uint64, raw []byte, why error) {
	l.Logger.Error("the server refuses a report", "error", plain(why))
	var req fleetv1.ReportRequest
	drafts := []*fleetv1.Draft{}
	if err := proto.Unmarshal(raw, &req); err == nil && len(req.Drafts) > 1 {
		drafts = req.Drafts
	}
	for _, d := range drafts {
		if left, err := l.out.batches(spool.Alerts, []*fleetv1.Draft{d}); len(left) > 0 {
			l.Logger.Error("a report is lost", "error", err)
		}
	}
	l.spool.Done(id)
}

// plain is what of an error belongs into a log: neither addresses nor headers.
func plain(err error) error {
	if c, ok := errors.AsType[*connect.Error](err); ok {
		return fmt.Errorf("%s: %s", c.Code(), c.Message())
	}
	return err
}
