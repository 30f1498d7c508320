// Package uplinktest is a server for tests of the agent: it speaks the fleet's protocol over a real connection,
// says what a test wants it to, and keeps what it is told. It checks nothing that the real one checks; the real
// one has its own tests.
package uplinktest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
)

// Token is the one that the server takes.
const Token = "agent-token"

// Server is a fleet server with one listener, which can go away and come back at the same address.
type Server struct {
	t    testing.TB
	addr string
	http *http.Server

	mu       sync.Mutex
	recalls  *fleetv1.Recalls
	excepts  *fleetv1.Exceptions
	changed  chan struct{} // closed and replaced with every change
	images   map[string][]*fleetv1.ImageResponse
	batches  map[string]bool
	drafts   []*fleetv1.Draft
	refuse   func(*fleetv1.Draft) bool
	failOnce int // reports to take and then answer with an error
}

// New returns a server that runs until the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, recalls: &fleetv1.Recalls{}, excepts: &fleetv1.Exceptions{}, changed: make(chan struct{}),
		images: map[string][]*fleetv1.ImageResponse{}, batches: map[string]bool{}, addr: "127.0.0.1:0",
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// URL is where it listens.
func (s *Server) URL() string { return "http://" + s.addr }

// Start listens, again at the same address after a Stop.
func (s *Server) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle(fleetv1connect.NewFleetHandler(handler{s}))
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: authenticated(mux), Protocols: p, ReadHeaderTimeout: 10 * time.Second}
	s.http = server
	go func() { _ = server.Serve(l) }() // ends with Stop
}

// Stop goes away, with every stream.
func (s *Server) Stop() { _ = s.http.Close() }

func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SetRecalls tells every watcher.
func (s *Server) SetRecalls(list ...*fleetv1.Recall) {
	s.change(func() { s.recalls = &fleetv1.Recalls{Recalls: list} })
}

// SetExceptions tells every watcher. raw is JSON.
func (s *Server) SetExceptions(raw string) {
	s.change(func() { s.excepts = &fleetv1.Exceptions{Exceptions: []byte(raw)} })
}

// SetImage is what is answered for a digest.
func (s *Server) SetImage(digest string, parts ...*fleetv1.ImageResponse) {
	s.change(func() { s.images[digest] = parts })
}

// Refuse makes the server take no batch with such a draft.
func (s *Server) Refuse(what func(*fleetv1.Draft) bool) { s.change(func() { s.refuse = what }) }

// FailAfterTaking makes it answer the next n reports with an error, after it took them.
func (s *Server) FailAfterTaking(n int) { s.change(func() { s.failOnce = n }) }

// Poke makes Await ask again.
func (s *Server) Poke() { s.change(func() {}) }

func (s *Server) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Drafts returns what was reported, decoded as T.
func Drafts[T evidence.Predicate](s *Server) []T {
	var want T
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []T
	for _, d := range s.drafts {
		var p T
		if d.PredicateType != want.PredicateType() {
			continue
		}
		if err := json.Unmarshal(d.Predicate, &p); err != nil {
			s.t.Error(err)
		}
		out = append(out, p)
	}
	return out
}

// Await waits until done says yes, asked after every change and report.
func (s *Server) Await(what string, done func() bool) {
	s.t.Helper()
	bound := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-bound:
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

type handler struct{ *Server }

func (h handler) Watch(ctx context.Context, _ *connect.Request[fleetv1.WatchRequest], out *connect.ServerStream[fleetv1.Update]) error {
	var recalls *fleetv1.Recalls
	var excepts *fleetv1.Exceptions
	for first := true; ; first = false {
		h.mu.Lock()
		nowRecalls, nowExcepts, changed := h.recalls, h.excepts, h.changed
		h.mu.Unlock()
		var updates []*fleetv1.Update
		if nowExcepts != excepts {
			updates = append(updates, &fleetv1.Update{Change: &fleetv1.Update_Exceptions{Exceptions: nowExcepts}})
		}
		if nowRecalls != recalls {
			updates = append(updates, &fleetv1.Update{Change: &fleetv1.Update_Recalls{Recalls: nowRecalls}})
		}
		recalls, excepts = nowRecalls, nowExcepts
		if first {
			updates = append(updates, &fleetv1.Update{Change: &fleetv1.Update_Synced{Synced: true}})
		}
		for _, u := range updates {
			if err := out.Send(u); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (h handler) Report(_ context.Context, req *connect.Request[fleetv1.ReportRequest]) (*connect.Response[fleetv1.ReportResponse], error) {
	var err error
	h.change(func() {
		for _, d := range req.Msg.Drafts {
			if h.refuse != nil && h.refuse(d) {
				err = connect.NewError(connect.CodeInvalidArgument, errors.New("a statement is not right"))
				return
			}
		}
		if !h.batches[req.Msg.Batch] {
			h.drafts = append(h.drafts, req.Msg.Drafts...)
		}
		h.batches[req.Msg.Batch] = true
		if h.failOnce > 0 {
			h.failOnce--
			err = connect.NewError(connect.CodeUnavailable, errors.New("the answer is lost"))
		}
	})
	return connect.NewResponse(&fleetv1.ReportResponse{}), err
}

func (h handler) Image(_ context.Context, req *connect.Request[fleetv1.ImageRequest], out *connect.ServerStream[fleetv1.ImageResponse]) error {
	h.mu.Lock()
	parts, ok := h.images[req.Msg.Digest]
	h.mu.Unlock()
	if !ok {
		return connect.NewError(connect.CodeNotFound, errors.New("no such image"))
	}
	for _, p := range parts {
		if err := out.Send(p); err != nil {
			return err
		}
	}
	return nil
}
