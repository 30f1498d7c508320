package npm_test

import (
	"context"
	"sync"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// accounts joins the account service to what package npm asks of it, as the program's wiring does.
// What other parts of the program keep of a person stands in memory.
type accounts struct {
	*account.Service
	mu      *sync.Mutex // guards profile and factors, which tests look at while the server runs
	profile *npm.Profile
	factors map[string][2]bool // by package: a second factor is needed; tokens may do without
}

func (a accounts) Login(ctx context.Context, user, secret, _, remoteAddr string) (string, evidence.Actor, error) {
	actor, err := a.AuthenticateSecret(ctx, user, secret, remoteAddr)
	if err != nil {
		return "", actor, err
	}
	secret, _, err = a.Service.CreateToken(ctx, actor, account.Token{
		Description: "npm login", Scope: account.Scope{Ecosystem: purl.NPM, Permission: evidence.Own},
	})
	return secret, actor, err
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

var roles = map[account.Role]string{account.Owner: "owner", account.Maintainer: "developer", account.Reader: "reader"}

func (a accounts) Roster(ctx context.Context, actor evidence.Actor, org string) (map[string]string, error) {
	members, err := a.Members(ctx, actor, org)
	roster := map[string]string{}
	for _, m := range members {
		roster[m.Account] = roles[m.Role]
	}
	return roster, err
}

func (a accounts) Enrol(ctx context.Context, actor evidence.Actor, org, user, role string) error {
	for is, name := range roles {
		if name == role {
			return a.SetMember(ctx, actor, org, user, is)
		}
	}
	return a.SetMember(ctx, actor, org, user, account.Role(role))
}

func (a accounts) Scopes(ctx context.Context, actor evidence.Actor, org string) (out []string, err error) {
	all, err := a.ListNamespaces(ctx, actor, org)
	for _, n := range all {
		if n.Ecosystem == purl.NPM {
			out = append(out, n.Pattern)
		}
	}
	return out, err
}

func (a accounts) TeamNames(ctx context.Context, actor evidence.Actor, org string) (out []string, err error) {
	teams, err := a.Teams(ctx, actor, org)
	for _, t := range teams {
		out = append(out, t.Name)
	}
	return out, err
}

func (a accounts) FoundTeam(ctx context.Context, actor evidence.Actor, org, team, description string) error {
	return a.CreateTeam(ctx, actor, account.Team{Organisation: org, Name: team, Description: description})
}

func (a accounts) TeamPermissions(ctx context.Context, actor evidence.Actor, org, team string) (map[string]evidence.Permission, error) {
	grants, err := a.TeamGrants(ctx, actor, org, team)
	out := map[string]evidence.Permission{}
	for _, g := range grants {
		out[g.Name] = g.Role.Permission()
	}
	return out, err
}

func (a accounts) SetTeamPermission(ctx context.Context, actor evidence.Actor, org, team, name string, perm evidence.Permission) error {
	role := map[evidence.Permission]account.Role{evidence.Read: account.Reader, evidence.Publish: account.Maintainer}[perm]
	return a.SetTeamRole(ctx, actor, org, team, account.TeamGrant{Ecosystem: purl.NPM, Name: name, Role: role})
}

func (a accounts) RoleOf(ctx context.Context, name, user string) (evidence.Permission, error) {
	role, err := a.RoleOn(ctx, purl.NPM, name, user)
	return role.Permission(), err
}

func (a accounts) Profile(context.Context, evidence.Actor) (npm.Profile, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *a.profile, nil
}

func (a accounts) SetEmail(_ context.Context, _ evidence.Actor, address string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.profile.Email = address
	return nil
}

func (a accounts) ChangePassword(context.Context, evidence.Actor, string, string, string) error {
	return nil
}

func (a accounts) SetPublishFactor(_ context.Context, _ evidence.Actor, name string, factor, exempt bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.factors[name] = [2]bool{factor, exempt}
	return nil
}

func (accounts) BeginApp(context.Context, evidence.Actor, string, string) (string, error) {
	return "otpauth://totp/x?secret=AAAA", nil
}
func (accounts) ConfirmApp(context.Context, evidence.Actor, string, string) ([]string, error) {
	return []string{"one"}, nil
}
func (accounts) RemoveApp(context.Context, evidence.Actor, string, string) error { return nil }
