package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newUser(e *env) *cobra.Command {
	return group("user", "Users (for site administrators)", "account", newUserCreate(e), newUserList(e))
}

func newUserList(e *env) *cobra.Command {
	return lister(e, "list", "List the users",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.User, error) { return c.Users(ctx) },
		[]string{"NAME", "ADMIN", "CREATED"}, func(u resource.User) []string {
			admin := ""
			if u.Admin {
				admin = "yes"
			}
			return []string{u.Name, admin, u.Created.Format("2006-01-02")}
		})
}

func newUserCreate(e *env) *cobra.Command {
	var stdin bool
	var password string
	cmd := e.sender("create NAME", "Create a user", "created",
		func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.CreateUser(ctx, resource.NewUser{Name: args[0], Password: password})
			return err
		})
	cmd.Long = "Create a user. Without a password they log in by tokens that an administrator makes for them."
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the user's password from standard input")
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		if stdin {
			password, err = readSecret(e.In)
		}
		return err
	}
	return cmd
}
