package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/registry"
)

func newUpstreamCooldown(e *env) *cobra.Command {
	cmd := group("cooldown", "Let versions from upstreams past the cooldown, for a reason", "act",
		newExempt(e), newExemptList(e), newExemptEnd(e))
	cmd.Long = `Versions that come from an upstream are served when they are old enough, 72 h unless 'hullmark dev --cooldown' says otherwise:
most malicious versions are found before. Site administrators exempt a version, or every version of a name. An exemption is an
exception from the policy "cooldown": it stands on the record, and it ends.

  hullmark cooldown exempt pkg:npm/left-pad@1.3.1 --reason 'fixes CVE-2026-1234'
  hullmark cooldown exempt pkg:npm/left-pad --reason 'we publish it' --expires 90d

The cooldown of namespaces that you own is 'hullmark namespace cooldown'.`
	return cmd
}

func newExempt(e *env) *cobra.Command {
	var x resource.NewExemption
	var expires string
	cmd := asker(e, "exempt PURL", "Serve a version, or every version of a name, at once",
		func(ctx context.Context, c *client.Client, args []string) (resource.Exception, error) {
			x.Component = args[0]
			return c.Exempt(ctx, x)
		}, printException)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		until, err := parseExpiry(expires, time.Now())
		if err == nil && until != nil {
			x.Expires = until.UTC()
		}
		if err != nil {
			return err
		}
		return required("--reason", x.Reason)
	}
	cmd.Flags().StringVar(&x.Reason, "reason", "", "why it need not wait; it stands on the record")
	cmd.Flags().StringVar(&expires, "expires", "30d", "after how long it ends, like 12h or 7d; at most 90d")
	return cmd
}

func newExemptList(e *env) *cobra.Command {
	return lister(e, "list", "List the exemptions with how they ended",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Exception, error) {
			all, err := c.Exceptions(ctx)
			var found []resource.Exception
			for _, x := range all {
				if x.Policy == registry.CooldownPolicy {
					found = append(found, x)
				}
			}
			return found, err
		},
		[]string{"NO", "STATE", "RELEASE", "UNTIL", "BY", "REASON"}, func(x resource.Exception) []string {
			row := exceptionRow(x)
			return []string{row[0], row[1], x.Scope.Component, day(&x.Expires, ""), x.Approver, x.Reason}
		})
}

func newExemptEnd(e *env) *cobra.Command {
	return e.withReason("end NUMBER", "End an exemption", "has ended", "why it has to wait after all",
		func(ctx context.Context, c *client.Client, number, reason string) error {
			n, err := exceptionNumber(number)
			if err != nil {
				return err
			}
			return c.RevokeException(ctx, n, reason)
		})
}
