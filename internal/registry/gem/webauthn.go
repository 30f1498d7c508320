package gem

import (
	"errors"
	"net/http"
	"path"
	"sync"
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

// waiting are the confirmations that are open. After a restart they count as expired.
type waiting struct {
	mu  sync.Mutex
	all map[string]confirmation // by the secret in the page's address
}

type confirmation struct {
	poll       string
	credential string
	until      time.Time
}

func newWaiting() *waiting { return &waiting{all: map[string]confirmation{}} }

func (w *waiting) put(code string, c confirmation, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, old := range w.all {
		if now.After(old.until) || len(w.all) >= maxAsked {
			delete(w.all, k)
		}
	}
	w.all[code] = c
}

func (w *waiting) get(code string) (confirmation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.all[code]
	return c, ok
}

func (w *waiting) drop(code string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, code)
}

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
	now := r.clock.Now()
	r.waiting.put(path.Base(page), confirmation{path.Base(done), actor.Credential, now.Add(askedLifetime)}, now)
	return respondText(w, http.StatusOK, page)
}

// pollWebAuthn answers GET /api/v1/webauthn_verification/{code}/status.json.
func (r *Registry) pollWebAuthn(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	code := req.PathValue("code")
	c, open := r.waiting.get(code)
	status := map[string]string{"status": "expired", "message": "The token in the link you used has either expired or been used already."}
	w.Header().Set("Cache-Control", "no-store")
	if !open || c.credential != actor.Credential || r.clock.Now().After(c.until) {
		return respondJSON(w, http.StatusOK, status)
	}
	proof, done, err := r.accounts.PollChallenge(req.Context(), c.poll)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.NotFound {
		r.waiting.drop(code)
		return respondJSON(w, http.StatusOK, status)
	}
	if err != nil {
		return err
	}
	if !done {
		return respondJSON(w, http.StatusOK, map[string]string{"status": "pending", "message": "Security device authentication is still pending."})
	}
	r.waiting.drop(code)
	return respondJSON(w, http.StatusOK, map[string]string{"status": "success", "code": proof})
}
