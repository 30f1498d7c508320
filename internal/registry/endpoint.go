package registry

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Endpoint answers a request of an actor, or fails: the adapter renders the error.
type Endpoint func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error

// Guard makes the routes of one adapter: it finds out who asks, and asks for the right that the route
// states before a byte of the body is read.
type Guard struct {
	Core      *Core
	Ecosystem string
	// Credential returns what the protocol sends as its credential in the form of an Authorization header,
	// for protocols that do not use that header as RFC 9110 has it; nil for the others.
	Credential func(r *http.Request) string
	// OTP returns the one-time code that came with the request, or ""; nil where clients cannot send one.
	OTP func(r *http.Request) string
	// Ask may add to err, which says that a second factor is missing, how a person gives it; nil adds nothing.
	Ask func(r *http.Request, actor evidence.Actor, err error) error
	// Fail answers a request that ended with err, in the protocol's own form.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Log receives the errors that callers are not shown: with the route and not with the path, which may hold a
	// secret.
	Log *slog.Logger
}

// Mux serves routes. unknown is why there is no other.
func (g Guard) Mux(routes []Route, unknown func(r *http.Request) error) *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Method+" "+route.Pattern, route.Handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.Failed(w, r, unknown(r)) })
	return mux
}

// UnknownRoute is the refusal of a request that no route is for.
func (g Guard) UnknownRoute(r *http.Request) error {
	path := r.URL.Path
	return fault.New(fault.NotFound, "route-unknown", "the %s registry has no %s %s", g.Ecosystem, r.Method, path[:min(len(path), maxReason)])
}

// Failed answers a request that ended with err, and tells the operator of what is our own failure.
func (g Guard) Failed(w http.ResponseWriter, r *http.Request, err error) {
	if fault.KindOf(err) == fault.Internal {
		g.Log.ErrorContext(r.Context(), g.Ecosystem+" request failed", "method", r.Method, "route", r.Pattern, "name", r.PathValue("name"), "error", err)
	}
	if r.Context().Err() == nil { // somebody is there to read the answer
		g.Fail(w, r, err)
	}
}

// Anyone makes a route for which no credential is needed or looked at.
func (g Guard) Anyone(method, pattern string, fn Endpoint) Route {
	return Route{Method: method, Pattern: pattern, Access: AccessAnyone, Handler: func(w http.ResponseWriter, r *http.Request) {
		if err := fn(w, r, evidence.Actor{}); err != nil {
			g.Failed(w, r, err)
		}
	}}
}

// Visitor makes a route that answers everyone and shows each caller what they may see.
func (g Guard) Visitor(method, pattern string, fn Endpoint) Route {
	return g.Anyone(method, pattern, func(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
		actor, err := g.Authenticate(r)
		if err != nil {
			return err
		}
		return fn(w, r, actor)
	})
}

// Account makes a route for any authenticated caller. It runs small requests only: see [Guard.StepUp].
func (g Guard) Account(method, pattern string, fn Endpoint) Route {
	route := g.Visitor(method, pattern, func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		if actor.Anonymous() {
			return fault.New(fault.Unauthenticated, "login-required", "this needs a credential; log in, or set a token for this registry")
		}
		return g.StepUp(fn)(w, r, actor)
	})
	route.Access = AccessAccount
	return route
}

// Named makes a route for callers who hold perm on the name that nameOf reads from the request, in the
// spelling under which the core keeps it. A nil nameOf reads the path's {name}.
func (g Guard) Named(method, pattern string, perm evidence.Permission, nameOf func(*http.Request) string, fn Endpoint) Route {
	if nameOf == nil {
		nameOf = func(r *http.Request) string { return r.PathValue("name") }
	}
	route := g.Visitor(method, pattern, func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		actor, err := g.Admit(r, actor, perm, nameOf(r))
		if err != nil {
			return err
		}
		return g.ask(r, actor, fn(w, r, actor))
	})
	route.Access, route.Permission = AccessNamespace, perm
	return route
}

// InBody makes a route for callers who hold perm on a name that is not in the path: fn asks for it, with
// [Guard.Admit], before it changes anything. Who has no credential learns so, and by the sentence login how to
// give one, before a byte of the body is read.
func (g Guard) InBody(method, pattern string, perm evidence.Permission, login string, fn Endpoint) Route {
	route := g.Visitor(method, pattern, func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		if actor.Anonymous() {
			return fault.New(fault.Unauthenticated, "login-required", "%s", login)
		}
		return fn(w, r, actor)
	})
	route.Access, route.Permission = AccessNamespace, perm
	return route
}

// Authenticate is [Access.Authenticate] for the protocol's form of a credential.
func (g Guard) Authenticate(r *http.Request) (evidence.Actor, error) {
	if g.Credential != nil {
		as := r.Clone(r.Context())
		as.Header = http.Header{"Authorization": {g.Credential(r)}}
		r = as
	}
	return g.Core.Access().Authenticate(r)
}

// Admit asks for a right on a name that only the body tells, with the one-time code that came along. A
// refusal of somebody we know to write is recorded; what strangers try is not worth a statement, and what
// may not be read is nobody's business.
func (g Guard) Admit(r *http.Request, actor evidence.Actor, perm evidence.Permission, name string) (evidence.Actor, error) {
	actor, err := Admit(r.Context(), g.Core.Access(), actor, perm, g.Ecosystem, name, g.otp(r), r.RemoteAddr)
	if err == nil {
		return actor, nil
	}
	kind := fault.KindOf(err)
	if perm == evidence.Read || actor.Anonymous() || kind != fault.Denied && kind != fault.Policy {
		return actor, g.ask(r, actor, err)
	}
	if perm == evidence.Publish {
		err = g.Core.StageOnly(r.Context(), actor, g.Ecosystem, name, err)
	}
	return actor, g.Core.Refuse(r.Context(), actor, string(perm), purl.New(g.Ecosystem, name, ""), err)
}

// maxSmallBody bounds the body of a request that may run twice, in bytes.
const maxSmallBody = 1 << 20

// StepUp makes an endpoint that asks for more than its route does: when only a second factor was missing
// and the client sent one, it runs again with the factor. It must change nothing before it asks.
func (g Guard) StepUp(fn Endpoint) Endpoint {
	return func(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return g.ask(r, actor, fn(w, r, actor))
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSmallBody))
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d bytes that are taken here", maxSmallBody)
		}
		if err != nil {
			return fault.New(fault.Invalid, "body-malformed", "the request broke off").Because(err)
		}
		actor, err = WithFactor(r.Context(), g.Core.Access(), actor, g.otp(r), r.RemoteAddr, func(actor evidence.Actor) error {
			r.Body = io.NopCloser(bytes.NewReader(body))
			return fn(w, r, actor)
		})
		return g.ask(r, actor, err)
	}
}

func (g Guard) otp(r *http.Request) string {
	if g.OTP == nil {
		return ""
	}
	return g.OTP(r)
}

func (g Guard) ask(r *http.Request, actor evidence.Actor, err error) error {
	if g.Ask == nil || !evidence.NeedsFactor(err) || fault.KindOf(err) != fault.Unauthenticated {
		return err
	}
	return g.Ask(r, actor, err)
}
