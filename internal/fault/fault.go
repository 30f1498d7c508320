// Package fault gives every error that can reach a user a kind, a stable code and a sentence.
//
// A kind says what sort of thing went wrong and is mapped once, at the edge, to an HTTP status
// ([HTTPStatus]) or an exit code ([ExitCode]). A code is stable, appears in machine-readable
// output and has a page under docs/errors/. The sentence is written for the person who reads it:
// it says what to do next and never carries internals; those stay in the wrapped chain, which
// only the operator's log shows.
//
// The package refuses to guess: an error that carries no fault is [Internal], and its text is
// never shown to a caller over the network.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Kind is what sort of thing went wrong. There are few on purpose: a new kind is justified only
// by a caller that must react differently.
type Kind uint8

// The kinds. The zero value is Internal, so that an unclassified error is never blamed on the user.
const (
	Internal        Kind = iota // a defect or a failing disk: ours to mend
	Invalid                     // the request or file is malformed
	Unauthenticated             // no credential, or one that is not valid
	Denied                      // the credential is valid and may not do this
	Policy                      // a gate's rule says no
	NotFound                    // no such thing, or not visible to the caller
	Conflict                    // it exists already, or changed in between
	TooLarge                    // a stated limit was exceeded
	Unsupported                 // well-formed, but not something this server does
	Unavailable                 // try again later
	Integrity                   // a digest, signature or proof does not hold
)

var kinds = map[Kind]struct {
	name   string
	status int
	exit   int
}{
	Internal:        {"internal", http.StatusInternalServerError, 1},
	Invalid:         {"invalid", http.StatusBadRequest, 1},
	Unauthenticated: {"unauthenticated", http.StatusUnauthorized, 1},
	Denied:          {"denied", http.StatusForbidden, 1},
	Policy:          {"policy", http.StatusForbidden, 3},
	NotFound:        {"not-found", http.StatusNotFound, 1},
	Conflict:        {"conflict", http.StatusConflict, 1},
	TooLarge:        {"too-large", http.StatusRequestEntityTooLarge, 1},
	Unsupported:     {"unsupported", http.StatusMethodNotAllowed, 1},
	Unavailable:     {"unavailable", http.StatusServiceUnavailable, 1},
	Integrity:       {"integrity", http.StatusUnprocessableEntity, 7},
}

// String returns the kind's name as it appears in problem documents and logs.
func (k Kind) String() string { return kinds[k].name }

// Error is an error with a kind, a code and a sentence for the user.
type Error struct {
	Kind Kind
	Code string // stable, kebab-case; docs/errors/<code>.md exists
	Text string // one or two sentences: what happened and what to do next
	Err  error  // the cause, for the operator; may be nil
}

// New returns a fault. code must be a string literal: archtest reads it from the source to check
// that its page exists.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Text: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that wraps cause for the operator's log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Err = cause
	return &c
}

// Error implements error. It includes the cause: it is the operator's view.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is a fault with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// As returns the outermost fault in err's chain; a plain error becomes an Internal fault whose
// text tells the user nothing but where to look.
func As(err error) *Error {
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return New(Internal, "internal", "something failed on our side; the server's log has the details").Because(err)
}

// KindOf returns the kind of err.
func KindOf(err error) Kind { return As(err).Kind }

// HTTPStatus returns the HTTP status that err is answered with.
func HTTPStatus(err error) int { return kinds[KindOf(err)].status }

// ExitCode returns the exit code of a command that ended with err: 0 for nil, 3 when a policy
// said no, 7 for an integrity failure, else 1. Usage errors (2) are the command line's own.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return kinds[KindOf(err)].exit
}

// maxQuoted is how much of what somebody sent a sentence repeats, in bytes.
const maxQuoted = 120

// Clip returns what somebody sent as a sentence may quote it: its beginning, in valid UTF-8.
func Clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxQuoted)], "") }
