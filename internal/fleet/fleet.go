// Package fleet is the server's side of the two gates that stand elsewhere: agents on nodes and
// admission controllers in clusters. They watch what they decide from (recalls, policies, exceptions,
// image records) and report what they saw and did, which becomes statements under their own names.
//
// It is built for thousands of watchers: a change is encoded once and the bytes are shared, a watcher
// is a place in one common queue, and who falls too far behind starts again. Reports of many callers
// share a transaction, and none is acknowledged before it is durable.
//
// It refuses everybody but enrolled members, and members everything but what their kind may say: an
// agent does not speak for the admit gate, nobody speaks for another, and no message can pass for
// more than its sender's view.
package fleet

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/store"
)

// Mount is where the service is served.
const Mount = "/" + fleetv1connect.FleetName + "/"

// Procedures are the paths below [Mount]; every one of them takes the token of a fleet member.
func Procedures() []string {
	return []string{fleetv1connect.FleetWatchProcedure, fleetv1connect.FleetReportProcedure, fleetv1connect.FleetImageProcedure}
}

// Members says who is enrolled. The account service implements it.
type Members interface {
	Member(ctx context.Context, secret string) (account.Enrolment, error)
	MemberUntil(ctx context.Context, secret string) (e account.Enrolment, left <-chan struct{}, err error)
	Seen(ctx context.Context, ids []string) error
}

// Policies says which policies are in force. Package policy's service implements it.
type Policies interface {
	Set(ctx context.Context) (policy.Installed, error)
}

// Records reads the record as policies see it. Package policy's reader implements it.
type Records interface {
	Images(ctx context.Context) ([]digest.Digest, error)
	Record(ctx context.Context, manifest string, head int64) (policy.Record, error)
	Touched(ctx context.Context, from, to int64) ([]digest.Digest, error)
	Exceptions(ctx context.Context, head int64) ([]policy.Exception, error)
}

// Config is what the service is made of. All fields are needed unless they say otherwise.
type Config struct {
	Record  *evidence.Record
	Members Members
	Recalls *recall.Service
	// Policies says which set is in force, and Records what the record says about images.
	Policies Policies
	Records  Records
	// Blobs holds the manifests of images.
	Blobs  blob.Store
	Clock  clock.Clock
	Logger *slog.Logger
}

// Service answers the fleet. It is safe for concurrent use.
type Service struct {
	Config
	hub     *hub
	commits *committer
	indexes indexes

	seenMu sync.Mutex
	seen   map[string]bool // members that called since the last flush, by enrolment ID
}

// New returns the service. Its schema must be migrated; nobody is told of a change before [Service.Run].
func New(c Config) *Service {
	s := &Service{Config: c, seen: map[string]bool{}}
	s.hub = newHub(c)
	s.commits = &committer{record: c.Record, clock: c.Clock, turn: make(chan struct{}, 1)}
	s.indexes = indexes{slots: make(chan struct{}, maxIndexing)}
	return s
}

// Schema returns the package's table: the batches that were taken.
func Schema() store.Schema {
	return store.Schema{Owner: "fleet", Steps: []string{`
		CREATE TABLE fleet_batch (
			member TEXT NOT NULL,            -- enrolment ID
			batch  TEXT NOT NULL,
			at     BIGINT NOT NULL,          -- Unix milliseconds
			PRIMARY KEY (member, batch)
		) WITHOUT ROWID;
		CREATE INDEX fleet_batch_at ON fleet_batch (at)`}}
}

// keepBatches is how long a batch is known to have been taken: longer than an agent's spool keeps it.
const keepBatches = 7 * 24 * time.Hour

// Run tells watchers of every change until ctx ends, and writes down once a minute who was heard of.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	done := make(chan error, 1)
	go func() { done <- s.hub.run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			s.chores(ctx)
		}
	}
}

// chores are what need not be done at once; what fails is tried again the next time.
func (s *Service) chores(ctx context.Context) {
	s.seenMu.Lock()
	var ids []string
	for id := range s.seen {
		ids = append(ids, id)
	}
	clear(s.seen)
	s.seenMu.Unlock()
	err := s.commits.forget(ctx, s.Clock.Now().Add(-keepBatches))
	if len(ids) > 0 {
		err = errors.Join(err, s.Members.Seen(ctx, ids))
	}
	if err != nil && ctx.Err() == nil {
		s.Logger.Error("the fleet's books were not kept", "error", err)
	}
}

func (s *Service) heard(e account.Enrolment) {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	s.seen[e.ID] = true
}

// maxMessage is the longest request in bytes: the most drafts of the greatest length.
const maxMessage = maxDrafts*maxPredicate + 1<<20

// Handler serves the paths of [Procedures].
func (s *Service) Handler() http.Handler {
	limit := connect.WithReadMaxBytes(maxMessage)
	mux := http.NewServeMux()
	mux.Handle(fleetv1connect.FleetWatchProcedure, connect.NewServerStreamHandler(fleetv1connect.FleetWatchProcedure, s.watch,
		connect.WithReadMaxBytes(1<<20), connect.WithCodec(protoFrames{}), connect.WithCodec(jsonFrames{}),
		connect.WithCompression("gzip", nil, nil))) // what is encoded once is not compressed five thousand times
	mux.Handle(fleetv1connect.FleetReportProcedure, connect.NewUnaryHandler(fleetv1connect.FleetReportProcedure, s.report, limit,
		connect.WithCompressMinBytes(4<<10))) // an acknowledgement is shorter than a compressor's memory is dear
	mux.Handle(fleetv1connect.FleetImageProcedure, connect.NewServerStreamHandler(fleetv1connect.FleetImageProcedure, s.image, limit))
	return s.authenticated(mux)
}
