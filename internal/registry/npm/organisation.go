package npm

import (
	"context"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// Organisations is what the protocol asks of the organisations behind it. Each checks what the actor may;
// errors are faults and are shown to the caller.
type Organisations interface {
	// Roster returns the members of an organisation with the names of their roles.
	Roster(ctx context.Context, actor evidence.Actor, organisation string) (map[string]string, error)
	// Enrol gives a user a role in an organisation: "owner" or "developer".
	Enrol(ctx context.Context, actor evidence.Actor, organisation, user, role string) error
	RemoveMember(ctx context.Context, actor evidence.Actor, organisation, user string) error
	// Scopes returns the namespaces of packages that an organisation owns: "@acme", "left-pad".
	Scopes(ctx context.Context, actor evidence.Actor, organisation string) ([]string, error)

	TeamNames(ctx context.Context, actor evidence.Actor, organisation string) ([]string, error)
	FoundTeam(ctx context.Context, actor evidence.Actor, organisation, team, description string) error
	DestroyTeam(ctx context.Context, actor evidence.Actor, organisation, team string) error
	TeamMembers(ctx context.Context, actor evidence.Actor, organisation, team string) ([]string, error)
	AddTeamMember(ctx context.Context, actor evidence.Actor, organisation, team, user string) error
	RemoveTeamMember(ctx context.Context, actor evidence.Actor, organisation, team, user string) error
	// TeamPermissions returns the names that a team may read or publish.
	TeamPermissions(ctx context.Context, actor evidence.Actor, organisation, team string) (map[string]evidence.Permission, error)
	// SetTeamPermission lets a team read or publish a name; an empty permission takes that back.
	SetTeamPermission(ctx context.Context, actor evidence.Actor, organisation, team, name string, perm evidence.Permission) error

	// Role returns what a user may do with a name by a role of theirs; empty for nothing.
	RoleOf(ctx context.Context, name, user string) (evidence.Permission, error)
}

// maxSmall bounds the body of a request that names a user, a team or a package, in bytes.
const maxSmall = 16 << 10

// ofOrganisation makes a handler for members (to read) and owners (to change) of the organisation in the
// path, and for site administrators. The organisations behind it decide who that is.
func (r *Registry) ofOrganisation(method, pattern string, perm evidence.Permission, fn func(http.ResponseWriter, *http.Request, evidence.Actor, string) error) registry.Route {
	route := r.guard().Account(method, pattern, func(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
		return fn(w, req, actor, strings.TrimPrefix(req.PathValue("org"), "@"))
	})
	route.Access, route.Permission = registry.AccessOrganisation, perm
	return route
}

// organisationRoutes are the routes of npm org, npm team and npm access.
// Source: libnpmorg, libnpmteam and libnpmaccess, lib/index.js.
func (r *Registry) organisationRoutes() []registry.Route {
	const read, own = evidence.Read, evidence.Own
	return []registry.Route{
		r.ofOrganisation("GET", "/-/org/{org}/user", read, r.serveRoster),
		r.ofOrganisation("PUT", "/-/org/{org}/user", own, r.setMember),
		r.ofOrganisation("DELETE", "/-/org/{org}/user", own, r.removeMember),
		r.ofOrganisation("GET", "/-/org/{org}/package", read, r.serveOrganisationPackages),
		r.ofOrganisation("GET", "/-/org/{org}/team", read, r.serveTeams),
		r.ofOrganisation("PUT", "/-/org/{org}/team", own, r.createTeam),
		r.ofOrganisation("DELETE", "/-/team/{org}/{team}", own, r.destroyTeam),
		r.ofOrganisation("GET", "/-/team/{org}/{team}/user", read, r.serveTeamMembers),
		r.ofOrganisation("PUT", "/-/team/{org}/{team}/user", own, r.addTeamMember),
		r.ofOrganisation("DELETE", "/-/team/{org}/{team}/user", own, r.removeTeamMember),
		r.ofOrganisation("GET", "/-/team/{org}/{team}/package", read, r.serveTeamPackages),
		r.ofOrganisation("PUT", "/-/team/{org}/{team}/package", own, r.grantTeam),
		r.ofOrganisation("DELETE", "/-/team/{org}/{team}/package", own, r.revokeTeam),
		r.guard().Account("GET", "/-/user/{user}/package", r.serveUserPackages),
	}
}

// serveRoster answers npm org ls: user names with roles.
func (r *Registry) serveRoster(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	roster, err := r.accounts.Roster(req.Context(), actor, org)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, roster)
	return nil
}

// setMember answers npm org set. npm's role "admin", who manages members and does not own, is none here.
func (r *Registry) setMember(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ User, Role string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	if body.Role == "" {
		body.Role = "developer"
	}
	if err := r.accounts.Enrol(req.Context(), actor, org, body.User, body.Role); err != nil {
		return err
	}
	roster, err := r.accounts.Roster(req.Context(), actor, org)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, map[string]any{"org": map[string]any{"name": org, "size": len(roster)}, "user": body.User, "role": roster[body.User]})
	return nil
}

// removeMember answers npm org rm.
func (r *Registry) removeMember(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ User string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	return r.done(w, r.accounts.RemoveMember(req.Context(), actor, org, body.User))
}

// done answers a change that has nothing to tell.
func (r *Registry) done(w http.ResponseWriter, err error) error {
	if err == nil {
		r.respond(w, http.StatusOK, ok)
	}
	return err
}

// serveTeams answers npm team ls @acme: "acme:design".
func (r *Registry) serveTeams(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	names, err := r.accounts.TeamNames(req.Context(), actor, org)
	if err != nil {
		return err
	}
	teams := []string{}
	for _, name := range names {
		teams = append(teams, org+":"+name)
	}
	r.respond(w, http.StatusOK, teams)
	return nil
}

// createTeam answers npm team create.
func (r *Registry) createTeam(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct {
		Name        string
		Description any // npm may send a flag of its search under this name
	}
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	description, _ := body.Description.(string)
	if err := r.accounts.FoundTeam(req.Context(), actor, org, body.Name, description); err != nil {
		return err
	}
	r.respond(w, http.StatusCreated, map[string]string{"name": body.Name})
	return nil
}

// destroyTeam answers npm team destroy.
func (r *Registry) destroyTeam(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	return r.done(w, r.accounts.DestroyTeam(req.Context(), actor, org, req.PathValue("team")))
}

// serveTeamMembers answers npm team ls @acme:design.
func (r *Registry) serveTeamMembers(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	members, err := r.accounts.TeamMembers(req.Context(), actor, org, req.PathValue("team"))
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, append([]string{}, members...))
	return nil
}

// addTeamMember answers npm team add.
func (r *Registry) addTeamMember(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ User string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	return r.done(w, r.accounts.AddTeamMember(req.Context(), actor, org, req.PathValue("team"), strings.TrimPrefix(body.User, "@")))
}

// removeTeamMember answers npm team rm.
func (r *Registry) removeTeamMember(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ User string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	return r.done(w, r.accounts.RemoveTeamMember(req.Context(), actor, org, req.PathValue("team"), strings.TrimPrefix(body.User, "@")))
}

// grantTeam answers npm access grant.
func (r *Registry) grantTeam(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ Package, Permissions string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	perm := map[string]evidence.Permission{"read-only": evidence.Read, "read-write": evidence.Publish}[body.Permissions]
	if perm == "" {
		return fault.New(fault.Invalid, "role-invalid", "%q is not what a team can be granted; use read-only or read-write", fault.Clip(body.Permissions))
	}
	return r.changeGrant(w, req, actor, org, body.Package, perm)
}

// revokeTeam answers npm access revoke.
func (r *Registry) revokeTeam(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	var body struct{ Package string }
	if err := registry.ReadJSON(w, req, maxSmall, &body); err != nil {
		return err
	}
	return r.changeGrant(w, req, actor, org, body.Package, "")
}

// changeGrant also forgets the package's cached document: whom it names as maintainers may have changed.
func (r *Registry) changeGrant(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org, name string, perm evidence.Permission) error {
	defer r.offers.Forget(name)
	return r.done(w, r.accounts.SetTeamPermission(req.Context(), actor, org, req.PathValue("team"), name, perm))
}

// accessWord is how npm access spells a permission.
func accessWord(p evidence.Permission) string {
	switch p {
	case "":
		return ""
	case evidence.Read, evidence.Stage:
		return "read"
	}
	return "write"
}

// serveTeamPackages answers npm access list packages @acme:design.
func (r *Registry) serveTeamPackages(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	granted, err := r.accounts.TeamPermissions(req.Context(), actor, org, req.PathValue("team"))
	if err != nil {
		return err
	}
	packages := map[string]string{}
	for name, perm := range granted {
		packages[name] = accessWord(perm)
	}
	r.respond(w, http.StatusOK, packages)
	return nil
}

// serveOrganisationPackages answers npm access list packages @acme: what it owns that is published here.
func (r *Registry) serveOrganisationPackages(w http.ResponseWriter, req *http.Request, actor evidence.Actor, org string) error {
	scopes, err := r.accounts.Scopes(req.Context(), actor, org)
	if err != nil {
		return err
	}
	packages := map[string]string{}
	for _, scope := range scopes {
		names, err := r.core.Names(req.Context(), purl.NPM, scope, "", maxScanned)
		if err != nil {
			return err
		}
		for _, name := range names {
			if name == scope || strings.HasPrefix(name, scope+"/") {
				packages[name] = "write"
			}
		}
	}
	r.respond(w, http.StatusOK, packages)
	return nil
}

// serveUserPackages answers npm access list packages for the caller: what they have a role on. What
// others have is told package by package, to those who publish it.
func (r *Registry) serveUserPackages(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if req.PathValue("user") != actor.Account {
		return fault.New(fault.NotFound, "user-unknown", "there is no organisation of that name that you are in, and another user's packages are not told; ask for: npm access list collaborators <package>")
	}
	names, err := r.namesWith(req.Context(), actor, nil, maxScanned)
	if err != nil {
		return err
	}
	packages := map[string]string{}
	for _, name := range names {
		perm, err := r.accounts.RoleOf(req.Context(), name, actor.Account)
		if err != nil {
			return err
		}
		if perm != "" {
			packages[name] = accessWord(perm)
		}
	}
	r.respond(w, http.StatusOK, packages)
	return nil
}
