package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// npmRoles are the names that npm has for roles. Its "admin", who manages members without owning, is none
// here; its "developer" publishes, as a maintainer does.
var npmRoles = map[account.Role]string{account.Owner: "owner", account.Maintainer: "developer", account.Reader: "reader"}

// Roster implements npm.Organisations.
func (a npmAccounts) Roster(ctx context.Context, actor evidence.Actor, organisation string) (map[string]string, error) {
	members, err := a.Members(ctx, actor, organisation)
	roster := map[string]string{}
	for _, m := range members {
		roster[m.Account] = npmRoles[m.Role]
	}
	return roster, err
}

// Enrol implements npm.Organisations.
func (a npmAccounts) Enrol(ctx context.Context, actor evidence.Actor, organisation, user, role string) error {
	for is, name := range npmRoles {
		if name == role {
			return a.SetMember(ctx, actor, organisation, user, is)
		}
	}
	return fault.New(fault.Invalid, "role-invalid", "this server has no role %q in an organisation; use owner, or developer for who publishes", role)
}

// Scopes implements npm.Organisations.
func (a npmAccounts) Scopes(ctx context.Context, actor evidence.Actor, organisation string) ([]string, error) {
	namespaces, err := a.ListNamespaces(ctx, actor, organisation)
	var scopes []string
	for _, n := range namespaces {
		if n.Ecosystem == purl.NPM {
			scopes = append(scopes, n.Pattern)
		}
	}
	return scopes, err
}

// TeamNames implements npm.Organisations.
func (a npmAccounts) TeamNames(ctx context.Context, actor evidence.Actor, organisation string) ([]string, error) {
	teams, err := a.Teams(ctx, actor, organisation)
	names := make([]string, len(teams))
	for i, t := range teams {
		names[i] = t.Name
	}
	return names, err
}

// FoundTeam implements npm.Organisations.
func (a npmAccounts) FoundTeam(ctx context.Context, actor evidence.Actor, organisation, team, description string) error {
	return a.CreateTeam(ctx, actor, account.Team{Organisation: organisation, Name: team, Description: description})
}

// TeamPermissions implements npm.Organisations.
func (a npmAccounts) TeamPermissions(ctx context.Context, actor evidence.Actor, organisation, team string) (map[string]evidence.Permission, error) {
	grants, err := a.TeamGrants(ctx, actor, organisation, team)
	permissions := map[string]evidence.Permission{}
	for _, g := range grants {
		if g.Ecosystem == purl.NPM {
			permissions[g.Name] = g.Role.Permission()
		}
	}
	return permissions, err
}

// SetTeamPermission implements npm.Organisations.
func (a npmAccounts) SetTeamPermission(ctx context.Context, actor evidence.Actor, organisation, team, name string, perm evidence.Permission) error {
	role := map[evidence.Permission]account.Role{evidence.Read: account.Reader, evidence.Publish: account.Maintainer}[perm]
	return a.SetTeamRole(ctx, actor, organisation, team, account.TeamGrant{Ecosystem: purl.NPM, Name: name, Role: role})
}

// RoleOf implements npm.Organisations.
func (a npmAccounts) RoleOf(ctx context.Context, name, user string) (evidence.Permission, error) {
	role, err := a.RoleOn(ctx, purl.NPM, name, user)
	return role.Permission(), err
}

// Profile implements npm.Profiles.
func (a npmAccounts) Profile(ctx context.Context, actor evidence.Actor) (npm.Profile, error) {
	email, err := a.Email(ctx, actor)
	if err != nil {
		return npm.Profile{}, err
	}
	factors, err := a.Factors(ctx, actor)
	p := npm.Profile{Email: email.Address, EmailVerified: email.Address != "", TwoFactor: factors.TOTP || len(factors.Passkeys) > 0}
	if p.Email == "" {
		p.Email = email.Pending
	}
	return p, err
}

// BeginApp implements npm.Profiles.
func (a npmAccounts) BeginApp(ctx context.Context, actor evidence.Actor, password, remoteAddr string) (string, error) {
	owner, err := a.owner(ctx, actor, password, remoteAddr)
	if err != nil {
		return "", err
	}
	begun, err := a.BeginTOTP(ctx, owner)
	return begun.URI, err
}

// ConfirmApp implements npm.Profiles. npm sends no password with the code, and needs to send none: who can
// make the code has seen the secret, which took the password.
func (a npmAccounts) ConfirmApp(ctx context.Context, actor evidence.Actor, code, remoteAddr string) ([]string, error) {
	owner, err := a.ActorOf(ctx, account.PasswordOf(actor.Account), remoteAddr)
	if err != nil {
		return nil, err
	}
	owner.Factor = actor.Factor
	return a.ConfirmTOTP(ctx, owner, code, remoteAddr)
}

// RemoveApp implements npm.Profiles.
func (a npmAccounts) RemoveApp(ctx context.Context, actor evidence.Actor, password, remoteAddr string) error {
	owner, err := a.owner(ctx, actor, password, remoteAddr)
	if err != nil {
		return err
	}
	return a.RemoveTOTP(ctx, owner)
}

// owner is the actor as who knows the password: the token of an npm login manages no account.
func (a npmAccounts) owner(ctx context.Context, actor evidence.Actor, password, remoteAddr string) (evidence.Actor, error) {
	if err := a.CheckPassword(ctx, actor.Account, password, remoteAddr); err != nil {
		return evidence.Actor{}, err
	}
	owner, err := a.ActorOf(ctx, account.PasswordOf(actor.Account), remoteAddr)
	owner.Factor = actor.Factor
	return owner, err
}

// SetPublishFactor implements npm.Profiles.
func (a npmAccounts) SetPublishFactor(ctx context.Context, actor evidence.Actor, name string, factor, exempt bool) error {
	rule := account.MFARule{Ecosystem: purl.NPM, Package: name, Action: string(evidence.Publish), Level: account.NoFactor}
	if factor {
		rule.Level, rule.Automation = account.AnyFactor, exempt
	}
	return a.SetMFA(ctx, actor, rule)
}
