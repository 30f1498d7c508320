// Package admissiontest is a server's fleet service as an admission controller meets it, over the real
// wire, whose record a test or a benchmark writes by hand. It refuses to be a second implementation:
// what a real server does beyond sending updates and taking reports is tested with the real one.
package admissiontest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/policy"
)

// Fleet sends what it was told and keeps what is reported. It is safe for concurrent use.
type Fleet struct {
	fleetv1connect.UnimplementedFleetHandler

	mu       sync.Mutex
	head     int64
	updates  []*fleetv1.Update // since the beginning
	changed  chan struct{}     // closed and replaced at each change
	batches  map[string]bool
	reported []*fleetv1.Draft
	refuse   error // what Report answers; nil takes the report
}

// NewFleet returns a fleet service whose record is at head 1.
func NewFleet() *Fleet {
	return &Fleet{head: 1, changed: make(chan struct{}), batches: map[string]bool{}}
}

// Handler serves the service.
func (f *Fleet) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(fleetv1connect.NewFleetHandler(f))
	return mux
}

// Serve serves the service until the test ends.
func (f *Fleet) Serve(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f.Handler())
	t.Cleanup(func() {
		s.CloseClientConnections() // streams do not end by themselves
		s.Close()
	})
	return s
}

// Update sends a change at a new head, which it returns.
func (f *Fleet) Update(u *fleetv1.Update) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head++
	u.Head = f.head
	f.updates = append(f.updates, u)
	f.announce()
	return f.head
}

func (f *Fleet) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Policies puts documents in force.
func (f *Fleet) Policies(documents string) int64 {
	return f.Update(&fleetv1.Update{Change: &fleetv1.Update_Policies{
		Policies: &fleetv1.PolicySet{Revision: "sha256:" + digestOf(documents), Document: []byte(documents)},
	}})
}

// Publish puts what the record says about an image on the record.
func (f *Fleet) Publish(r policy.Record) int64 {
	return f.Update(&fleetv1.Update{Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: r.Digest, Record: mustJSON(r)}}})
}

// Tag points a tag at a digest.
func (f *Fleet) Tag(repository, tag, digest string) int64 {
	return f.Update(&fleetv1.Update{Change: &fleetv1.Update_Tag{Tag: &fleetv1.Tag{Repository: repository, Tag: tag, Digest: digest}}})
}

// Exceptions replaces the exceptions in force.
func (f *Fleet) Exceptions(list ...policy.Exception) int64 {
	return f.Update(&fleetv1.Update{Change: &fleetv1.Update_Exceptions{Exceptions: &fleetv1.Exceptions{Exceptions: mustJSON(list)}}})
}

// Recalls replaces the recalls in force.
func (f *Fleet) Recalls(list ...*fleetv1.Recall) int64 {
	return f.Update(&fleetv1.Update{Change: &fleetv1.Update_Recalls{Recalls: &fleetv1.Recalls{Recalls: list}}})
}

// Refuse makes Report answer with an error; nil takes reports again.
func (f *Fleet) Refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// Decisions returns the reported decisions.
func (f *Fleet) Decisions() []evidence.Decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []evidence.Decision
	for _, d := range f.reported {
		if d.GetPredicateType() != evidence.DecisionType {
			continue
		}
		var decision evidence.Decision
		if err := json.Unmarshal(d.GetPredicate(), &decision); err != nil {
			panic(err)
		}
		out = append(out, decision)
	}
	return out
}

// Reported returns everything that was reported.
func (f *Fleet) Reported() []*fleetv1.Draft {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*fleetv1.Draft(nil), f.reported...)
}

// Report implements the service.
func (f *Fleet) Report(_ context.Context, r *connect.Request[fleetv1.ReportRequest]) (*connect.Response[fleetv1.ReportResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	if !f.batches[r.Msg.GetBatch()] {
		f.batches[r.Msg.GetBatch()] = true
		f.reported = append(f.reported, r.Msg.GetDrafts()...)
	}
	return connect.NewResponse(&fleetv1.ReportResponse{Head: f.head}), nil
}

// Watch implements the service. It goes on from any head that it ever was at.
func (f *Fleet) Watch(ctx context.Context, r *connect.Request[fleetv1.WatchRequest], stream *connect.ServerStream[fleetv1.Update]) error {
	after := r.Msg.GetAfter()
	f.mu.Lock()
	known := after > 0 && after <= f.head
	f.mu.Unlock()
	if !known {
		after = 0
		if err := stream.Send(&fleetv1.Update{At: timestamppb.Now(), Change: &fleetv1.Update_Reset_{Reset_: true}}); err != nil {
			return err
		}
	}
	synced := false
	for {
		f.mu.Lock()
		head, changed := f.head, f.changed
		var list []*fleetv1.Update
		for _, u := range f.updates {
			if u.GetHead() > after {
				list = append(list, proto.CloneOf(u))
			}
		}
		f.mu.Unlock()
		if !synced {
			list = append(list, &fleetv1.Update{Head: head, Change: &fleetv1.Update_Synced{Synced: true}})
			synced = true
		}
		for _, u := range append(list, &fleetv1.Update{Head: head}) {
			u.At = timestamppb.Now()
			if err := stream.Send(u); err != nil {
				return err
			}
		}
		after = head
		select {
		case <-changed:
		case <-time.After(10 * time.Second): // the heartbeat
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
