package app

import (
	"context"
	"strings"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// configureAccounts gives the account service the operator's choices and the key that it seals with.
func (a *App) configureAccounts() error {
	settings := a.Config.Accounts
	if settings.SealKey == nil {
		key, err := a.Config.secret("account.key")
		if err != nil {
			return err
		}
		settings.SealKey = key
	}
	return a.Accounts.Configure(settings)
}

// stepUp is the account service's challenges in the words of the gates: it knows where the pages and
// the interface are served.
type stepUp struct {
	accounts *account.Service
	base     string // the server's address, without slash at its end
}

// Ask implements registry.StepUp.
func (s stepUp) Ask(ctx context.Context, actor evidence.Actor, refusal error, what, remoteAddr string) (authURL, doneURL string, err error) {
	level := account.AnyFactor
	if fault.As(refusal).Code == "webauthn-required" {
		level = account.PhishingResistant
	}
	what += " (" + strings.TrimSpace(actor.Credential+" "+actor.Label) + ")"
	code, poll, err := s.accounts.StartChallenge(ctx, actor, level, what, remoteAddr)
	if err != nil {
		return "", "", err
	}
	return s.accounts.Pages() + "/step-up/" + code, s.base + api.Prefix + "/challenges/" + poll, nil
}
