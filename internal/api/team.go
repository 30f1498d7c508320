package api

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
)

func (a *API) listTeams(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	org := r.PathValue("organisation")
	teams, err := a.Accounts.Teams(r.Context(), actor, org)
	if err != nil {
		return err
	}
	var all []resource.Team
	for _, t := range teams {
		members, err := a.Accounts.TeamMembers(r.Context(), actor, org, t.Name)
		if err != nil {
			return err
		}
		grants, err := a.Accounts.TeamGrants(r.Context(), actor, org, t.Name)
		if err != nil {
			return err
		}
		out := resource.Team{Name: t.Name, Description: t.Description, Members: append([]string{}, members...), Grants: []resource.TeamGrant{}}
		for _, g := range grants {
			out.Grants = append(out.Grants, resource.TeamGrant{Ecosystem: g.Ecosystem, Name: g.Name, Role: string(g.Role)})
		}
		all = append(all, out)
	}
	return replyPart(w, r, all, nil, func(t resource.Team) string { return t.Name }, func(t resource.Team) resource.Team { return t })
}

func (a *API) createTeam(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewTeam
	if err := decode(r, &in); err != nil {
		return err
	}
	return done(w, a.Accounts.CreateTeam(r.Context(), actor, account.Team{
		Organisation: r.PathValue("organisation"), Name: in.Name, Description: in.Description,
	}))
}

func (a *API) destroyTeam(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.DestroyTeam(r.Context(), actor, r.PathValue("organisation"), r.PathValue("team")))
}

func (a *API) addTeamMember(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.AddTeamMember(r.Context(), actor, r.PathValue("organisation"), r.PathValue("team"), r.PathValue("account")))
}

func (a *API) removeTeamMember(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return done(w, a.Accounts.RemoveTeamMember(r.Context(), actor, r.PathValue("organisation"), r.PathValue("team"), r.PathValue("account")))
}

func (a *API) grantTeam(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewMember
	if err := decode(r, &in); err != nil {
		return err
	}
	return a.setTeamRole(w, r, actor, account.Role(in.Role))
}

func (a *API) revokeTeam(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	return a.setTeamRole(w, r, actor, "")
}

func (a *API) setTeamRole(w http.ResponseWriter, r *http.Request, actor evidence.Actor, role account.Role) error {
	return done(w, a.Accounts.SetTeamRole(r.Context(), actor, r.PathValue("organisation"), r.PathValue("team"), account.TeamGrant{
		Ecosystem: r.PathValue("ecosystem"), Name: r.PathValue("name"), Role: role,
	}))
}
