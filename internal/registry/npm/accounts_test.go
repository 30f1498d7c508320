package npm_test

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// accounts joins the account service to what package npm asks of it, as the program's wiring does.
type accounts struct{ *account.Service }

func (a accounts) Login(ctx context.Context, user, secret, remoteAddr string) (string, error) {
	actor, err := a.AuthenticateSecret(ctx, user, secret, remoteAddr)
	if err != nil {
		return "", err
	}
	secret, _, err = a.Service.CreateToken(ctx, actor, account.Token{
		Description: "npm login", Scope: account.Scope{Ecosystem: purl.NPM, Permission: evidence.Own},
	})
	return secret, err
}

func (a accounts) CompleteLogin(ctx context.Context, code, user, secret, remoteAddr string) error {
	actor, err := a.AuthenticateSecret(ctx, user, secret, remoteAddr)
	if err != nil {
		return err
	}
	return a.Service.CompleteLogin(ctx, code, actor)
}

func (a accounts) CreateToken(ctx context.Context, actor evidence.Actor, want npm.Token) (string, npm.Token, error) {
	secret, made, err := a.Service.CreateToken(ctx, actor, account.Token{
		Description: want.Description, Networks: want.Networks, Expires: want.Expires,
		Scope: account.Scope{Ecosystem: purl.NPM, Names: want.Names, Permission: want.Permission},
	})
	return secret, token(made), err
}

func (a accounts) ListTokens(ctx context.Context, actor evidence.Actor) ([]npm.Token, error) {
	list, err := a.Service.ListTokens(ctx, actor)
	var out []npm.Token
	for _, t := range list {
		out = append(out, token(t))
	}
	return out, err
}

func token(t account.Token) npm.Token {
	return npm.Token{ID: t.ID, Description: t.Description, Names: t.Scope.Names, Permission: t.Scope.Permission,
		Networks: t.Networks, Created: t.Created, Expires: t.Expires}
}

var permissions = map[account.Role]evidence.Permission{
	account.Reader: evidence.Read, account.Maintainer: evidence.Publish, account.Owner: evidence.Own,
}

func (a accounts) Collaborators(ctx context.Context, name string) ([]npm.Collaborator, error) {
	members, err := a.Service.Collaborators(ctx, purl.NPM, name)
	var out []npm.Collaborator
	for _, m := range members {
		out = append(out, npm.Collaborator{User: m.Account, Permission: permissions[m.Role]})
	}
	return out, err
}

func (a accounts) SetOwner(ctx context.Context, actor evidence.Actor, name, user string, owner bool) error {
	role := account.Role("")
	if owner {
		role = account.Owner
	}
	return a.SetPackageRole(ctx, actor, purl.NPM, name, user, role)
}

func (a accounts) Public(ctx context.Context, name string) (bool, error) {
	err := a.Authorize(ctx, evidence.Actor{}, evidence.Read, purl.NPM, name)
	if err != nil && fault.KindOf(err) == fault.Internal {
		return false, err
	}
	return err == nil, nil
}
