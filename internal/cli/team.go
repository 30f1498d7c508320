package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newTeam(e *env) *cobra.Command {
	return group("team", "Teams: some members, with roles on some names", "",
		e.sender("create ORG TEAM", "Create a team without members", "created",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.CreateTeam(ctx, args[0], resource.NewTeam{Name: args[1]})
			}),
		e.sender("destroy ORG TEAM", "Remove a team with its members and roles", "destroyed",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.DestroyTeam(ctx, args[0], args[1])
			}),
		e.sender("add ORG TEAM USER", "Put a member of the organisation into a team", "is in the team now",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.AddTeamMember(ctx, args[0], args[1], args[2])
			}),
		e.sender("remove ORG TEAM USER", "Take a member out of a team", "removed",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.RemoveTeamMember(ctx, args[0], args[1], args[2])
			}),
		newTeamGrant(e),
		e.sender("revoke ORG TEAM ECOSYSTEM NAME", "Take a team's role on a name away", "revoked",
			func(ctx context.Context, c *client.Client, args []string) error {
				return c.RevokeTeam(ctx, args[0], args[1], args[2], args[3])
			}),
		lister(e, "list ORG", "List the teams, with members and roles",
			func(ctx context.Context, c *client.Client, args []string) ([]resource.Team, error) {
				return c.Teams(ctx, args[0])
			},
			[]string{"TEAM", "MEMBERS", "ROLES"}, func(t resource.Team) []string {
				grants := make([]string, len(t.Grants))
				for i, g := range t.Grants {
					grants[i] = fmt.Sprintf("%s on %s %s", g.Role, g.Ecosystem, g.Name)
				}
				return []string{t.Name, strings.Join(t.Members, ", "), strings.Join(grants, ", ")}
			}))
}

func newTeamGrant(e *env) *cobra.Command {
	var role string
	cmd := e.sender("grant ORG TEAM ECOSYSTEM NAME", "Give a team a role on a name, or on a namespace and all in it", "granted",
		func(ctx context.Context, c *client.Client, args []string) error {
			return c.GrantTeam(ctx, args[0], args[1], resource.TeamGrant{Ecosystem: args[2], Name: args[3], Role: role})
		})
	cmd.Flags().StringVar(&role, "role", "maintainer", "reader, or maintainer (may publish)")
	return cmd
}
