package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newOrg(e *env) *cobra.Command {
	return group("org", "Organisations: they own names", "account",
		e.sender("create NAME", "Create an organisation; you become its owner", "created",
			func(ctx context.Context, c *client.Client, args []string) error {
				_, err := c.CreateOrganisation(ctx, args[0])
				return err
			}),
		lister(e, "list", "List the organisations that you are in",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Organisation, error) {
				return c.Organisations(ctx)
			},
			[]string{"NAME", "ROLE"}, func(o resource.Organisation) []string { return []string{o.Name, o.Role} }),
		group("member", "Who is in an organisation", "", newMemberAdd(e), newMemberRemove(e), newMemberList(e)),
		newTeam(e))
}

func newMemberAdd(e *env) *cobra.Command {
	var role string
	cmd := e.sender("add ORG USER", "Give a user a role, or change it", "has the role now",
		func(ctx context.Context, c *client.Client, args []string) error {
			return c.SetMember(ctx, args[0], args[1], role)
		})
	cmd.Flags().StringVar(&role, "role", "reader", "reader, maintainer (may publish) or owner")
	return cmd
}

func newMemberRemove(e *env) *cobra.Command {
	return e.sender("remove ORG USER", "Take a user's role away", "removed",
		func(ctx context.Context, c *client.Client, args []string) error {
			return c.RemoveMember(ctx, args[0], args[1])
		})
}

func newMemberList(e *env) *cobra.Command {
	return lister(e, "list ORG", "List the members",
		func(ctx context.Context, c *client.Client, args []string) ([]resource.Member, error) {
			return c.Members(ctx, args[0])
		},
		[]string{"USER", "ROLE"}, func(m resource.Member) []string { return []string{m.Account, m.Role} })
}
