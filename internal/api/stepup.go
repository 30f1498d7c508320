package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// stepUp runs a handler and, when only a second factor was missing and the request carries a code,
// runs it again with the factor. Handlers change nothing before they ask for rights.
func (a *API) stepUp(w http.ResponseWriter, r *http.Request, actor evidence.Actor, h handler) error {
	otp := r.Header.Get(resource.OTPHeader)
	var replay func()
	if otp != "" && r.Method != http.MethodGet {
		body, err := io.ReadAll(r.Body)
		if cut, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return fault.New(fault.TooLarge, "request-too-large", "a request body takes at most %d bytes here", cut.Limit)
		}
		if err != nil {
			return fault.New(fault.Invalid, "request-invalid", "the request broke off").Because(err)
		}
		replay = func() { r.Body = io.NopCloser(bytes.NewReader(body)) }
	}
	actor, err := registry.WithFactor(r.Context(), a.Accounts, actor, otp, r.RemoteAddr, func(actor evidence.Actor) error {
		if replay != nil {
			replay()
		}
		return h(w, r, actor)
	})
	return a.ask(r, actor, err)
}

// asked is a refusal for want of a second factor, with the addresses at which a person can give it.
type asked struct {
	error
	authURL, doneURL string
}

func (q asked) Unwrap() error { return q.error }

// ask opens a challenge when that is what err asks for.
func (a *API) ask(r *http.Request, actor evidence.Actor, err error) error {
	if a.StepUp == nil || !evidence.NeedsFactor(err) || fault.KindOf(err) != fault.Unauthenticated {
		return err
	}
	authURL, doneURL, aerr := a.StepUp.Ask(r.Context(), actor, err, "hullmark "+r.Pattern, r.RemoteAddr)
	if aerr != nil {
		return err // the code alone does, too
	}
	return asked{err, authURL, doneURL}
}

// pollChallenge answers the client that waits for a person: 202 until they have confirmed, then what
// it sends as its code, once.
func (a *API) pollChallenge(w http.ResponseWriter, r *http.Request, _ evidence.Actor) error {
	proof, done, err := a.Accounts.PollChallenge(r.Context(), r.PathValue("poll"))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if !done {
		w.Header().Set("Retry-After", "1")
		return reply(w, r, http.StatusAccepted, resource.StepUpProof{})
	}
	return reply(w, r, http.StatusOK, resource.StepUpProof{Token: proof})
}
