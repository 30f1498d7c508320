package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// npmAccounts is the account service in the words of the npm protocol.
type npmAccounts struct{ *account.Service }

// Login implements npm.Accounts: a completed login, without a browser in between.
func (a npmAccounts) Login(ctx context.Context, user, secret, otp, remoteAddr string) (string, evidence.Actor, error) {
	code, poll, err := a.StartLogin(ctx, remoteAddr)
	if err != nil {
		return "", evidence.Actor{}, err
	}
	actor, err := a.AuthenticateSecret(ctx, user, secret, remoteAddr)
	if err != nil {
		return "", evidence.Actor{}, err
	}
	actor, err = registry.WithFactor(ctx, a, actor, otp, remoteAddr, func(actor evidence.Actor) error {
		return a.Service.CompleteLogin(ctx, code, actor)
	})
	if err != nil {
		return "", actor, err
	}
	token, _, err := a.PollLogin(ctx, poll)
	return token, actor, err
}

// CreateToken implements npm.Accounts.
func (a npmAccounts) CreateToken(ctx context.Context, actor evidence.Actor, want npm.Token) (string, npm.Token, error) {
	secret, made, err := a.Service.CreateToken(ctx, actor, account.Token{
		Description: want.Description, Bypass: want.Bypass, Networks: want.Networks, Expires: want.Expires,
		Scope: account.Scope{Ecosystem: purl.NPM, Names: want.Names, Permission: want.Permission},
	})
	return secret, npmToken(made), err
}

// ListTokens implements npm.Accounts.
func (a npmAccounts) ListTokens(ctx context.Context, actor evidence.Actor) ([]npm.Token, error) {
	tokens, err := a.Service.ListTokens(ctx, actor)
	out := make([]npm.Token, len(tokens))
	for i, t := range tokens {
		out[i] = npmToken(t)
	}
	return out, err
}

func npmToken(t account.Token) npm.Token {
	return npm.Token{
		ID: t.ID, Description: t.Description, Names: t.Scope.Names, Permission: t.Scope.Permission,
		Networks: t.Networks, Created: t.Created, Expires: t.Expires, Bypass: t.Bypass,
	}
}

// Collaborators implements npm.Accounts.
func (a npmAccounts) Collaborators(ctx context.Context, name string) ([]npm.Collaborator, error) {
	members, err := a.Service.Collaborators(ctx, purl.NPM, name)
	out := make([]npm.Collaborator, len(members))
	for i, m := range members {
		out[i] = npm.Collaborator{User: m.Account, Permission: m.Role.Permission()}
	}
	return out, err
}

// SetOwner implements npm.Accounts.
func (a npmAccounts) SetOwner(ctx context.Context, actor evidence.Actor, name, user string, owner bool) error {
	role := account.Owner
	if !owner {
		role = ""
	}
	return a.SetPackageRole(ctx, actor, purl.NPM, name, user, role)
}

// Public implements npm.Accounts.
func (a npmAccounts) Public(ctx context.Context, name string) (bool, error) {
	n, err := a.Namespace(ctx, purl.NPM, name)
	return n.Visibility == account.Public, err
}
