package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
)

// newStage are the commands about what was staged. Whatever waits has an id, and these take it, a purl or
// an image.
func newStage(e *env) *cobra.Command {
	list := lister(e, "list", "List what was staged and that you may review",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Hold, error) {
			all, err := c.Holds(ctx)
			return slices.DeleteFunc(all, func(h resource.Hold) bool { return h.Code != "staged" }), err
		},
		[]string{"ID", "RELEASE", "SINCE", "BY", "APPROVALS", "UNTIL"}, func(h resource.Hold) []string {
			until := ""
			if h.Expires != nil {
				until = h.Expires.Format("2006-01-02")
			}
			return []string{h.ID, h.Subject, h.At.Format("2006-01-02 15:04"), h.Publisher, fmt.Sprintf("%d of %d", len(h.Approved), h.Needed), until}
		})
	show := asker(e, "show X", "Show what was staged, and how it differs from the version before",
		func(ctx context.Context, c *client.Client, args []string) (resource.Hold, error) {
			return c.Hold(ctx, args[0])
		}, printHold)
	approve := e.withReason("approve X", "Stand by what somebody else staged", "is approved", "what you looked at; it is on the record",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			made, err := c.Approve(ctx, subject, reason)
			if err == nil {
				e.sayApproved(made)
			}
			return err
		})
	reject := e.withReason("reject X", "Withdraw what was staged: nobody ever gets it", "is rejected", "what is wrong with it",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			return c.RejectHold(ctx, subject, reason)
		})
	return group("stage", "Versions that were staged, and who approves them", "act", list, show, approve, reject,
		newAllowTokens(e, "allow-tokens", "Let tokens publish a name beside its trusted publisher", "may be published by tokens again", true),
		newAllowTokens(e, "forbid-tokens", "Let only its trusted publisher publish a name that it has published", "may not be published by tokens any more", false))
}

func newAllowTokens(e *env, verb, short, done string, allowed bool) *cobra.Command {
	return e.sender(verb+" ECOSYSTEM NAME", short, done, func(ctx context.Context, c *client.Client, args []string) error {
		return c.AllowTokens(ctx, args[0], args[1], allowed)
	})
}
