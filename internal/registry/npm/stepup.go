package npm

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// otpHeader is where npm puts what was given with --otp, or what it fetched from doneUrl. It sends the
// same value with every request of a command. Source: npm-registry-fetch, auth headers; npm, otplease.js.
const otpHeader = "Npm-Otp"

// stepUp runs a small request and, when only a second factor was missing and the client sent one,
// runs it again with the factor.
func (r *Registry) stepUp(w http.ResponseWriter, req *http.Request, actor evidence.Actor, fn endpoint) error {
	otp := req.Header.Get(otpHeader)
	if req.Method == http.MethodGet {
		return r.ask(req, actor, fn(w, req, actor))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxSmallBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return fault.New(fault.TooLarge, "body-too-large", "the request is larger than the %d bytes that are taken here", maxSmallBody)
	}
	if err != nil {
		return fault.New(fault.Invalid, "body-malformed", "the request broke off").Because(err)
	}
	actor, err = registry.WithFactor(req.Context(), r.core.Access(), actor, otp, req.RemoteAddr, func(actor evidence.Actor) error {
		req.Body = io.NopCloser(bytes.NewReader(body))
		return fn(w, req, actor)
	})
	return r.ask(req, actor, err)
}

// asked is a refusal for want of a second factor, with the addresses at which a person can give it.
type asked struct {
	error
	authURL, doneURL string
}

func (a asked) Unwrap() error { return a.error }

// ask opens a challenge when that is what err asks for. npm opens authUrl in a browser, polls doneUrl and
// repeats its request; without a terminal it prints authUrl. Source: npm, otplease.js.
func (r *Registry) ask(req *http.Request, actor evidence.Actor, err error) error {
	if r.stepUps == nil || !evidence.NeedsFactor(err) || fault.KindOf(err) != fault.Unauthenticated || errors.As(err, new(asked)) {
		return err
	}
	authURL, doneURL, aerr := r.stepUps.Ask(req.Context(), actor, err, whatFor(req), req.RemoteAddr)
	if aerr != nil {
		return err // the code alone does, too
	}
	return asked{err, authURL, doneURL}
}

// whatFor says what is about to be done, in the client's words where it tells them.
func whatFor(req *http.Request) string {
	command := clip(req.Header.Get("Npm-Command"))
	if command == "" {
		command = req.Method
	}
	what := "npm " + command
	if name := req.PathValue("name"); name != "" {
		what += " " + name
	}
	return ascii(what)
}

// asksForCode: npm asks at the terminal again, or says that the code was wrong or too late.
func asksForCode(code string) bool {
	return code == "otp-required" || code == "webauthn-required" || code == "otp-invalid"
}
