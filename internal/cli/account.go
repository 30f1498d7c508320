package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newAccount(e *env) *cobra.Command {
	return group("account", "Your own account: where it is signed in, and its address", "account",
		lister(e, "sessions", "Where you are signed in",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Session, error) {
				return c.Sessions(ctx)
			},
			[]string{"SINCE", "BY", "LAST USED", "WITH"}, func(s resource.Session) []string {
				return []string{day(&s.Created, ""), s.Method, day(&s.LastUsed, "never"), s.Agent}
			}),
		e.sender("sign-out", "Sign out everywhere, in browsers and clients; tokens that you made go on", "signed out everywhere",
			func(ctx context.Context, c *client.Client, _ []string) error { return c.EndSessions(ctx) }),
		group("email", "The address that your account's notices go to", "",
			asker(e, "show", "The address, and the one that waits for its code",
				func(ctx context.Context, c *client.Client, _ []string) (resource.Email, error) { return c.Email(ctx) },
				func(p *output.Printer, a resource.Email) {
					p.Line("verified  %s", a.Address)
					p.Line("waits     %s", a.Pending)
				}),
			e.sender("set ADDRESS", "Have a code sent to a new address", "gets a code; give it with: hullmark account email verify CODE",
				func(ctx context.Context, c *client.Client, args []string) error { return c.SetEmail(ctx, args[0]) }),
			e.sender("verify CODE", "Make the new address yours; publishing is frozen for a while unless it is the first", "is right: the address is yours",
				func(ctx context.Context, c *client.Client, args []string) error { return c.VerifyEmail(ctx, args[0]) })))
}
