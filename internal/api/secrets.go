package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fault"
)

// SecretsMount is where secret scanners report. It lies outside of [Prefix]: the protocol is theirs.
const SecretsMount = "POST /-/secrets/report"

const (
	maxReport  = 1 << 20 // bytes
	maxSecrets = 1000
)

// reported is a secret as a scanner reports it, and what it is answered.
// Source: GitHub Docs, "Secret scanning partner program".
type reported struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

type judged struct {
	Token string `json:"token_raw"`
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// Secrets takes reports of leaked secrets from scanners whose signature holds: what is ours is revoked
// before the answer says so. Nobody else may call it.
func (a *API) Secrets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.takeReport(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *API) takeReport(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if cut, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return fault.New(fault.TooLarge, "request-too-large", "a request body takes at most %d bytes here", cut.Limit)
	}
	if err != nil {
		return fault.New(fault.Invalid, "request-invalid", "the request broke off").Because(err)
	}
	h := r.Header
	if err := a.Accounts.CheckReporter(h.Get("Github-Public-Key-Identifier"), h.Get("Github-Public-Key-Signature"), body); err != nil {
		return err
	}
	found, err := parseReport(body)
	if err != nil {
		return err
	}
	answer := make([]judged, len(found))
	for i, one := range found {
		ours, err := a.Accounts.ReportLeak(r.Context(), account.Leak{Secret: one.Token, URL: one.URL})
		if err != nil {
			return err
		}
		answer[i] = judged{one.Token, one.Type, "false_positive"}
		if ours {
			answer[i].Label = "true_positive"
			a.Logger.WarnContext(r.Context(), "a leaked secret was reported and revoked", "type", one.Type)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, r, http.StatusOK, answer)
}

// parseReport reads a report that was signed, and bounds it all the same.
func parseReport(body []byte) ([]reported, error) {
	var found []reported
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, fault.New(fault.Invalid, "request-invalid", "the report is not a list of secrets").Because(err)
	}
	if len(found) > maxSecrets {
		return nil, fault.New(fault.TooLarge, "request-too-large", "a report takes at most %d secrets", maxSecrets)
	}
	return found, nil
}
