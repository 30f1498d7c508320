package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem"
	"github.com/hullmark/hullmark/internal/signing"
)

// gemRevoke is where secret scanners report keys to RubyGems.
// Source: RubyGems guides, "API key scopes"; rubygems.org, api_keys_controller.rb, "revoke".
const gemRevoke = "POST /gems/api/v1/api_key/revoke"

// buildGem builds the registry of gems.
func (s *Server) buildGem() error {
	c := s.app.Config
	v, err := c.verifier()
	if err != nil {
		return err
	}
	var attestations gem.Attestations
	if v != nil {
		attestations = gemAttestations{v}
	}
	s.Gem = gem.New(s.app.Core, gem.Config{
		PublicURL: s.URL + "/gems/", Accounts: gemAccounts{s.app.Accounts}, StepUp: stepUp{s.app.Accounts, s.URL},
		Trust: gemTrust{s.app.Trust}, Exchange: exchanger{s}, Upstream: s.app.Upstream.For(purl.Gem), Attestations: attestations, Clock: c.Clock, Log: c.Logger,
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

// gemAttestations is the verifier in the words of the gem protocols.
type gemAttestations struct{ *signing.Verifier }

// Gem implements gem.Attestations.
func (a gemAttestations) Gem(bundle []byte, c gem.Claim) (gem.Proof, error) {
	v, err := a.File(bundle, c.Artifact, c.Workload)
	return v.Statement, err
}

// gemTrust is trusted publishing in the words of the gem protocols.
type gemTrust struct{ *oidc.Service }

// Publishers implements gem.Trust.
func (t gemTrust) Publishers(ctx context.Context, actor evidence.Actor, name string) ([]gem.Publisher, error) {
	found, err := t.List(ctx, actor, purl.Gem, name)
	out := make([]gem.Publisher, len(found))
	for i, p := range found {
		out[i] = gem.Publisher{ID: p.ID, Provider: p.Provider, Claims: p.Claims}
	}
	return out, err
}

// AddPublisher implements gem.Trust.
func (t gemTrust) AddPublisher(ctx context.Context, actor evidence.Actor, name string, p gem.Publisher) (gem.Publisher, error) {
	made, err := t.Add(ctx, actor, oidc.Publisher{
		Ecosystem: purl.Gem, Name: name, Provider: p.Provider, Claims: p.Claims, Permission: evidence.Publish,
	})
	return gem.Publisher{ID: made.ID, Provider: made.Provider, Claims: made.Claims}, err
}

// RemovePublisher implements gem.Trust.
func (t gemTrust) RemovePublisher(ctx context.Context, actor evidence.Actor, name, id string) error {
	return t.Remove(ctx, actor, purl.Gem, name, id)
}
