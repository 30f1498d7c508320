package client

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Teams returns an organisation's teams.
func (c *Client) Teams(ctx context.Context, organisation string) ([]resource.Team, error) {
	return all[resource.Team](ctx, c, path("organisations", organisation, "teams"), nil)
}

// CreateTeam creates a team.
func (c *Client) CreateTeam(ctx context.Context, organisation string, t resource.NewTeam) error {
	return c.do(ctx, http.MethodPost, path("organisations", organisation, "teams"), nil, t, nil)
}

// DestroyTeam removes a team with its members and roles.
func (c *Client) DestroyTeam(ctx context.Context, organisation, team string) error {
	return c.do(ctx, http.MethodDelete, path("organisations", organisation, "teams", team), nil, nil, nil)
}

// AddTeamMember puts a member of the organisation into a team.
func (c *Client) AddTeamMember(ctx context.Context, organisation, team, account string) error {
	return c.do(ctx, http.MethodPut, path("organisations", organisation, "teams", team, "members", account), nil, nil, nil)
}

// RemoveTeamMember takes a member out of a team.
func (c *Client) RemoveTeamMember(ctx context.Context, organisation, team, account string) error {
	return c.do(ctx, http.MethodDelete, path("organisations", organisation, "teams", team, "members", account), nil, nil, nil)
}

// GrantTeam gives a team a role on a name: reader or maintainer.
func (c *Client) GrantTeam(ctx context.Context, organisation, team string, g resource.TeamGrant) error {
	return c.do(ctx, http.MethodPut, path("organisations", organisation, "teams", team, "names", g.Ecosystem, g.Name), nil, resource.NewMember{Role: g.Role}, nil)
}

// RevokeTeam takes a team's role on a name away.
func (c *Client) RevokeTeam(ctx context.Context, organisation, team, ecosystem, name string) error {
	return c.do(ctx, http.MethodDelete, path("organisations", organisation, "teams", team, "names", ecosystem, name), nil, nil, nil)
}
