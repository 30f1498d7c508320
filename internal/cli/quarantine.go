package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
)

// newQuarantine is a recall that stops at the registry: what runs goes on running.
func newQuarantine(e *env) *cobra.Command {
	f := recallFlags{yes: true, wait: 5 * time.Second}
	f.Gates = []string{"publish", "pull"}
	cmd := &cobra.Command{
		Use: "quarantine PURL", Short: "Keep a release from being published and downloaded until somebody has looked at it", GroupID: "act",
		Args:    exactArgs("PURL"),
		PreRunE: func(*cobra.Command, []string) error { return required("--reason", f.Reason) },
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Subject = args[0]
			return e.recall(cmd.Context(), f)
		},
	}
	cmd.Long = `Keep a release from being downloaded, whether it was published here or comes from an upstream, until somebody has looked at it. It is
a recall at the gates publish and pull: indexes leave it out within a second, its files are refused with the reason, and what
already runs goes on. 'hullmark recall' then stops it everywhere; 'hullmark quarantine release' lets it go, with a second person.`
	cmd.Example = "  hullmark quarantine pkg:npm/left-pad@1.3.1 --reason 'new maintainer, new install script'\n" +
		"  hullmark quarantine release pkg:npm/left-pad@1.3.1 --reason 'read it, harmless'"
	cmd.Flags().StringVar(&f.Reason, "reason", "", "what is suspicious; everybody who is refused reads this")
	cmd.AddCommand(e.withReason("release PURL", "Let a release go; who put it into quarantine asks, somebody else confirms", "is released from quarantine", "why it is safe after all",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			return c.LiftRecall(ctx, subject, reason)
		}))
	return cmd
}
