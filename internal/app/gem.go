package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem"
)

// buildGem builds the registry of gems.
func (s *Server) buildGem() error {
	c := s.app.Config
	s.Gem = gem.New(s.app.Core, gem.Config{
		PublicURL: s.URL + "/gems/", Accounts: gemAccounts{s.app.Accounts}, StepUp: stepUp{s.app.Accounts, s.URL}, Clock: c.Clock, Log: c.Logger,
	})
	return nil
}

// gemAccounts is the account service in the words of the gem protocols.
type gemAccounts struct{ *account.Service }

// Seen implements gem.Accounts.
func (a gemAccounts) Seen(ctx context.Context, _ evidence.Actor) (func(string) bool, any, error) {
	return a.Everyone(ctx, purl.Gem)
}

// CreateKey implements gem.Accounts.
func (a gemAccounts) CreateKey(ctx context.Context, actor evidence.Actor, want gem.Key) (string, error) {
	secret, _, err := a.CreateToken(ctx, actor, account.Token{
		Description: want.Description, Expires: want.Expires,
		Scope: account.Scope{Ecosystem: purl.Gem, Names: want.Names, Permission: want.Permission},
	})
	return secret, err
}

// RaiseKey implements gem.Accounts.
func (a gemAccounts) RaiseKey(ctx context.Context, actor evidence.Actor, secret string, to evidence.Permission) error {
	return a.RaiseToken(ctx, actor, secret, to)
}

// HasFactor implements gem.Accounts.
func (a gemAccounts) HasFactor(ctx context.Context, actor evidence.Actor) (bool, error) {
	m, err := a.Factors(ctx, actor)
	return m.TOTP || len(m.Passkeys) > 0, err
}

// Owners implements gem.Accounts.
func (a gemAccounts) Owners(ctx context.Context, name string) ([]string, error) {
	members, err := a.Collaborators(ctx, purl.Gem, name)
	var out []string
	for _, m := range members {
		if m.Role == account.Owner {
			out = append(out, m.Account)
		}
	}
	return out, err
}

// SetOwner implements gem.Accounts.
func (a gemAccounts) SetOwner(ctx context.Context, actor evidence.Actor, name, user string, owner bool) error {
	if err := a.Authorize(ctx, actor, evidence.Own, purl.Gem, name); err != nil {
		return err // before anything is said about who there is
	}
	user, err := a.UserBy(ctx, user)
	if err != nil {
		return err
	}
	role := account.Owner
	if !owner {
		role = ""
	}
	return a.SetPackageRole(ctx, actor, purl.Gem, name, user, role)
}

// Leaked implements gem.Accounts.
func (a gemAccounts) Leaked(keyID, signature string, body []byte) error {
	return a.CheckReporter(keyID, signature, body)
}

// Revoke implements gem.Accounts.
func (a gemAccounts) Revoke(ctx context.Context, secret, where string) (bool, error) {
	return a.ReportLeak(ctx, account.Leak{Secret: secret, URL: where})
}
