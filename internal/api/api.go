// Package api is the REST interface under /api/v1, as api/openapi.yaml has it: the command line, the
// console and scripts all use it. Handlers are thin: they read the request, ask one stage and
// render its answer.
//
// Errors are problem documents (RFC 9457) with the stable code of their fault. Bodies are limited
// and read strictly: an unknown field is refused by name, because a misspelt "expries" must not
// make a token that lives for ever. Single resources carry a strong ETag.
//
// The package authenticates every request that brings a credential, also where none is needed: one
// that is not valid is refused, never treated as absent. What a caller may do is decided by the
// stages, and tested against the access that the document declares for every route.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
	"github.com/hullmark/hullmark/internal/tlog"
	"github.com/hullmark/hullmark/internal/trace"
)

// Prefix is where the interface is mounted; the caller strips it.
const Prefix = "/api/v1"

// Log gives checkpoints and proofs; *tlog.Log is one.
type Log interface {
	evidence.Prover
	Checkpoint() tlog.Checkpoint
	Consistency(ctx context.Context, oldSize, newSize int64) ([]tlog.Hash, error)
}

// Config is what the interface is made of. All fields but StepUp are needed.
type Config struct {
	Core      *registry.Core
	Accounts  *account.Service
	Tracer    *trace.Tracer
	Recalls   *recall.Service
	Reports   *report.Service
	Upstreams func() []upstream.State
	Policies  *policy.Service
	Publish   *publish.Service
	Trust     *oidc.Service
	// Audience returns what an identity token must be for to be exchanged for a token of an ecosystem.
	Audience func(ecosystem string) string
	Log      Log
	// URL is where the server is reached, without final slash, for advisories to lead back to.
	URL string
	// StepUp asks people for second factors in their browser; nil: callers send a code.
	StepUp registry.StepUp
	// Settled returns when the contents of everything that was pushed so far are on the record, or
	// with ctx. Answers about contents wait for it, a little: a push is acknowledged before.
	Settled func(ctx context.Context) error
	Version string // of the program
	Logger  *slog.Logger
}

// API answers the interface's requests. It is safe for concurrent use.
type API struct {
	Config
	record *evidence.Record
	routes []Route
	mux    *http.ServeMux
}

// New returns the interface.
func New(c Config) *API {
	a := &API{Config: c, record: c.Core.Record(), mux: http.NewServeMux()}
	a.routes = a.table()
	for _, r := range a.routes {
		a.mux.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	a.mux.HandleFunc("/", a.unknown)
	return a
}

// Handler serves paths below [Prefix], which the caller strips.
func (a *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // asked again, with If-None-Match: rights change
		h.Set("Vary", "Authorization")
		a.mux.ServeHTTP(w, r)
	})
}

// unknown answers what no route matches: another method's path with 405, anything else with 404.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		a.fail(w, r, fault.New(fault.Unsupported, "method-not-allowed", "this takes %s only", strings.Join(allowed, ", ")))
		return
	}
	a.fail(w, r, fault.New(fault.NotFound, "route-unknown", "there is no such path below %s; see api/openapi.yaml", Prefix))
}

// patience is how long an answer waits for what is still being read. After it the answer comes
// with a gap where the contents will be.
const patience = 10 * time.Second

// whole makes an answer about contents wait until what was pushed before is on the record.
func (a *API) whole(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := a.Settled(ctx); err != nil && r.Context().Err() != nil {
			return r.Context().Err()
		}
		return h(w, r, actor)
	}
}

// handler answers one request of an authenticated actor, who may be anonymous.
type handler func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error

// bodyLimit is how many bytes the body of a request may have. A policy set in JSON may be twice its length.
func bodyLimit(pattern string) int64 {
	if pattern == "PUT /policies" {
		return 2 * policy.MaxDocument
	}
	return maxBody
}

// handle authenticates, refuses the anonymous where an account is needed, limits the body and
// renders the error.
func (a *API) handle(needsAccount bool, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		actor, err := a.Accounts.Authenticate(r)
		if err == nil && actor.Anonymous() && needsAccount {
			err = fault.New(fault.Unauthenticated, "login-required", "this needs a login; log in or send a token")
		}
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(r.Pattern))
			err = a.stepUp(w, r, actor, h)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	}
}
