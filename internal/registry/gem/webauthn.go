package gem

import (
	"errors"
	"net/http"
	"path"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// gem 3.5 and later open a page in the browser, with "?port=" of a listener of theirs, and ask every five
// seconds what came of it. They know of one secret, that in the page's address; the one that fetches the
// proof stays here, and is used for the credential that asked and for nobody else.
// Source: RubyGems 3.6, gemcutter_utilities.rb and webauthn_poller.rb.

const (
	askedLifetime = 10 * time.Minute
	maxAsked      = 1000
)

// confirmation is one that is open. After a restart it counts as expired.
type confirmation struct{ poll, credential string }

// errFactor stands for the refusal that made the client ask: it does not say which it was.
var errFactor = fault.New(fault.Unauthenticated, "otp-required", "a second factor is needed")

// askWebAuthn answers POST /api/v1/webauthn_verification with the address of a page.
func (r *Registry) askWebAuthn(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	has, err := r.accounts.HasFactor(req.Context(), actor)
	if err != nil {
		return err
	}
	if r.stepUps == nil || !has {
		return fault.New(fault.Unsupported, "operation-unsupported", "you have no security device here; repeat the command with --otp")
	}
	page, done, err := r.stepUps.Ask(req.Context(), actor, errFactor, "gem", req.RemoteAddr)
	if err != nil {
		return err
	}
	r.waiting.Put(path.Base(page), confirmation{path.Base(done), actor.Credential}, askedLifetime)
	return respondText(w, http.StatusOK, page)
}

// pollWebAuthn answers GET /api/v1/webauthn_verification/{code}/status.json.
func (r *Registry) pollWebAuthn(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	code := req.PathValue("code")
	c, open := r.waiting.Get(code)
	status := map[string]string{"status": "expired", "message": "The token in the link you used has either expired or been used already."}
	w.Header().Set("Cache-Control", "no-store")
	if !open || c.credential != actor.Credential {
		return respondJSON(w, http.StatusOK, status)
	}
	proof, done, err := r.accounts.PollChallenge(req.Context(), c.poll)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.NotFound {
		r.waiting.Take(code)
		return respondJSON(w, http.StatusOK, status)
	}
	if err != nil {
		return err
	}
	if !done {
		return respondJSON(w, http.StatusOK, map[string]string{"status": "pending", "message": "Security device authentication is still pending."})
	}
	r.waiting.Take(code)
	return respondJSON(w, http.StatusOK, map[string]string{"status": "success", "code": proof})
}
