package npm

import (
	"errors"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// otpHeader is where npm puts what was given with --otp, or what it fetched from doneUrl. It sends the
// same value with every request of a command. Source: npm-registry-fetch, auth headers; npm, otplease.js.
const otpHeader = "Npm-Otp"

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
	command := fault.Clip(req.Header.Get("Npm-Command"))
	if command == "" {
		command = req.Method
	}
	what := "npm " + command
	if name := req.PathValue("name"); name != "" {
		what += " " + name
	}
	return registry.OneLine(what)
}

// asksForCode: npm asks at the terminal again, or says that the code was wrong or too late.
func asksForCode(code string) bool {
	return code == "otp-required" || code == "webauthn-required" || code == "otp-invalid"
}
