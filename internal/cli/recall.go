package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

func newRecall(e *env) *cobra.Command {
	cmd := e.withReason("recall X", "Stop a release: nobody downloads it from here on", "is recalled",
		"what is wrong with it; everybody who is refused reads this",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			made, err := c.Recall(ctx, subject, reason)
			if err == nil && !made.Known {
				e.say("nothing here is known by that name yet: check the spelling; it is stopped if it ever comes")
			}
			return err
		})
	cmd.GroupID = "act"
	cmd.Long = `Recall a release (purl) or an artifact (digest). The registries refuse it at once with the reason, npm audit reports
it, and its record says who recalled it and why. Owners of the namespace may, and site administrators.`
	cmd.Example = "  hullmark recall pkg:npm/%40acme/ui@1.2.3 --reason 'worm in postinstall'\n" +
		"  hullmark recall lift pkg:npm/%40acme/ui@1.2.3 --reason 'false alarm'"
	lift := e.withReason("lift X", "Lift a recall", "is no longer recalled", "why it is safe after all",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			return c.LiftRecall(ctx, subject, reason)
		})
	list := lister(e, "list", "List the recalls in force",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Recall, error) {
			return c.Recalls(ctx)
		},
		[]string{"SUBJECT", "SINCE", "BY", "REASON"}, func(r resource.Recall) []string {
			return []string{strings.Join(r.Subject, " "), r.At.Format("2006-01-02 15:04"), r.Account, r.Reason}
		})
	cmd.AddCommand(lift, list)
	return cmd
}

// withReason is a sender on one subject that must say why.
func (e *env) withReason(use, short, done, help string, call func(ctx context.Context, c *client.Client, subject, reason string) error) *cobra.Command {
	var reason string
	cmd := e.sender(use, short, done, func(ctx context.Context, c *client.Client, args []string) error {
		return call(ctx, c, args[0], reason)
	})
	cmd.Flags().StringVar(&reason, "reason", "", help)
	cmd.PreRunE = func(*cobra.Command, []string) error { return required("--reason", reason) }
	return cmd
}
