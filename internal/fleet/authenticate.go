package fleet

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fault"
)

// caller is who calls, as the handlers find it in the context.
type caller struct {
	account.Enrolment
	left <-chan struct{} // closed when they are revoked
	conn *http.ResponseController
	// heard notes that they are there: a stream that takes what it is sent is a sign of life too.
	heard func()
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// authenticated lets enrolled members through and nobody else. It answers before Connect does: a
// stream's error would come with status 200, and a proxy's log would show nothing.
func (s *Service) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			secret = ""
		}
		member, left, err := s.Members.MemberUntil(r.Context(), secret)
		if err != nil {
			s.refuse(w, err)
			return
		}
		c := caller{Enrolment: member, left: left, conn: http.NewResponseController(w), heard: func() { s.heard(member) }}
		c.heard()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
}

func (s *Service) refuse(w http.ResponseWriter, err error) {
	f := fault.As(err)
	if f.Kind == fault.Internal {
		s.Logger.Error("a fleet member could not be authenticated", "error", err)
	}
	body, _ := json.Marshal(map[string]string{"code": codeOf(f.Kind).String(), "message": f.Text}) // strings: it cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("WWW-Authenticate", `Bearer realm="hullmark fleet"`)
	w.Header().Set(codeHeader, f.Code)
	w.WriteHeader(fault.HTTPStatus(err))
	_, _ = w.Write(body) // the client went away: there is nobody to tell
}

// codeHeader carries a fault's stable code.
const codeHeader = "Hullmark-Code"

var codes = map[fault.Kind]connect.Code{
	fault.Internal: connect.CodeInternal, fault.Invalid: connect.CodeInvalidArgument,
	fault.Unauthenticated: connect.CodeUnauthenticated, fault.Denied: connect.CodePermissionDenied,
	fault.Policy: connect.CodeFailedPrecondition, fault.NotFound: connect.CodeNotFound, fault.Conflict: connect.CodeAlreadyExists,
	fault.TooLarge: connect.CodeInvalidArgument, fault.Unsupported: connect.CodeUnimplemented,
	fault.Unavailable: connect.CodeUnavailable, fault.Integrity: connect.CodeDataLoss,
}

func codeOf(k fault.Kind) connect.Code { return codes[k] }

// answer makes of err what the caller may see. What is not a fault is ours, and not theirs to read.
func (s *Service) answer(err error) error {
	if err == nil {
		return nil
	}
	f := fault.As(err)
	if f.Kind == fault.Internal {
		s.Logger.Error("a fleet call failed", "error", err)
	}
	out := connect.NewError(codeOf(f.Kind), &fault.Error{Text: f.Text})
	out.Meta().Set(codeHeader, f.Code)
	return out
}
