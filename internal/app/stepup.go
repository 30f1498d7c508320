package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"os"
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
	for id, file := range a.Config.SecretScanners {
		key, err := readScanner(file)
		if err != nil {
			return err
		}
		if settings.Scanners == nil {
			settings.Scanners = map[string]*ecdsa.PublicKey{}
		}
		settings.Scanners[id] = key
	}
	return a.Accounts.Configure(settings)
}

// readScanner reads the public key of a secret scanner.
func readScanner(file string) (*ecdsa.PublicKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, "scanner-key-invalid", "the key of a secret scanner cannot be read: %v", err).Because(err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fault.New(fault.Invalid, "scanner-key-invalid", "%s is no PEM file", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P256() {
		return nil, fault.New(fault.Invalid, "scanner-key-invalid", "%s holds no ECDSA P-256 public key", file).Because(err)
	}
	return public, nil
}

// reap revokes the tokens that nobody uses.
func (s *Server) reap(ctx context.Context) {
	n, err := s.app.Accounts.Reap(ctx)
	if err != nil {
		s.app.Config.Logger.Error("unused tokens were not revoked", "error", err)
	} else if n > 0 {
		s.app.Config.Logger.Info("unused tokens revoked", "count", n)
	}
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
