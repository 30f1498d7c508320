package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/evidence"
)

func newException(e *env) *cobra.Command {
	cmd := group("exception", "Let something past a policy, for a reason and until a time", "act",
		newExceptionRequest(e), newExceptionApprove(e), newExceptionRevoke(e),
		lister(e, "list", "List exceptions with how often they were used",
			func(ctx context.Context, c *client.Client, _ []string) ([]resource.Exception, error) {
				return c.Exceptions(ctx)
			},
			[]string{"NO", "STATE", "POLICY", "SCOPE", "UNTIL", "ASKED BY", "APPROVED BY", "TICKET", "USES", "LAST USE"}, exceptionRow))
	cmd.Long = `An exception is the only way past a policy: for what its scope names, for a reason, with a ticket, until a time that is at most 90
days away. One person asks, another approves. Every decision made under one says so.

  hullmark exception request --policy minimum-age --image sha256:… --reason hotfix --ticket OPS-7 --expires 7d
  hullmark exception approve 12`
	return cmd
}

func exceptionRow(x resource.Exception) []string {
	return []string{
		"#" + strconv.FormatInt(x.Number, 10), x.State, x.Policy, scopeText(x.Scope), day(&x.Expires, ""), x.Requester, x.Approver, x.Ticket,
		strconv.FormatInt(x.Uses, 10), day(x.LastUse, "never"),
	}
}

// scopeText is a scope in one line.
func scopeText(s evidence.ExceptionScope) string {
	var parts []string
	for _, part := range [][2]string{
		{"cluster", s.Cluster}, {"namespace", s.Namespace}, {"kind", s.Kind}, {"name", s.Name}, {"image", s.Image}, {"component", s.Component},
	} {
		if part[1] != "" {
			parts = append(parts, part[0]+"="+part[1])
		}
	}
	return strings.Join(parts, " ")
}

func newExceptionRequest(e *env) *cobra.Command {
	var x resource.NewException
	var expires string
	cmd := asker(e, "request", "Ask for an exception; somebody else has to approve it",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Exception, error) {
			made, err := c.RequestException(ctx, x)
			if err == nil {
				e.say("it lets nothing past until somebody else runs: hullmark exception approve %d", made.Number)
			}
			return made, err
		}, printException)
	cmd.Long = `Ask for an exception. Every part of the scope that is given must match, so give as many as you can. Site administrators approve; owners of
the image's namespace do where the policy says so and --image is theirs.`
	cmd.Example = "  hullmark exception request --policy no-recalled-content --namespace staging --image sha256:… \\\n" +
		"      --reason 'the payload is inert there' --ticket SEC-12 --expires 24h"
	cmd.PreRunE = func(*cobra.Command, []string) error {
		for _, flag := range [][2]string{{"--policy", x.Policy}, {"--reason", x.Reason}, {"--ticket", x.Ticket}} {
			if err := required(flag[0], flag[1]); err != nil {
				return err
			}
		}
		until, err := parseExpiry(expires, time.Now())
		if err != nil {
			return err
		}
		if until == nil {
			return usageError{fmt.Errorf("an exception ends; give --expires as a duration of at most 90d")}
		}
		x.Expires = until.UTC()
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&x.Policy, "policy", "", "the policy that is let past, or * for every one (site administrators approve that)")
	flags.StringVar(&x.Scope.Cluster, "cluster", "", "only in this cluster")
	flags.StringVar(&x.Scope.Namespace, "namespace", "", "only in this Kubernetes namespace")
	flags.StringVar(&x.Scope.Kind, "kind", "", "only for this kind of workload, e.g. Deployment")
	flags.StringVar(&x.Scope.Name, "name", "", "only for the workload of this name")
	flags.StringVar(&x.Scope.Image, "image", "", "only for this image: a digest, or the beginning of a reference")
	flags.StringVar(&x.Scope.Component, "component", "", "only for what this component is blamed for: a purl")
	flags.StringVar(&x.Reason, "reason", "", "why; it is shown wherever the exception is used")
	flags.StringVar(&x.Ticket, "ticket", "", "where the real repair is tracked")
	flags.StringVar(&expires, "expires", "7d", "after how long it ends, like 12h or 7d; at most 90d")
	return cmd
}

func printException(p *output.Printer, x resource.Exception) {
	p.Line("%s  %s from policy %s until %s", output.Head(fmt.Sprintf("exception #%d", x.Number)), x.State, x.Policy, day(&x.Expires, ""))
	p.Line("  scope:   %s", scopeText(x.Scope))
	p.Line("  reason:  %s (%s)", x.Reason, x.Ticket)
	p.Line("  asked:   by %s at %s", x.Requester, day(&x.Requested, ""))
	if x.Approver != "" {
		p.Line("  approved by %s", x.Approver)
	}
}

func newExceptionApprove(e *env) *cobra.Command {
	cmd := asker(e, "approve NUMBER", "Put an exception in force that somebody else asked for",
		func(ctx context.Context, c *client.Client, args []string) (resource.Exception, error) {
			number, err := exceptionNumber(args[0])
			if err != nil {
				return resource.Exception{}, err
			}
			return c.ApproveException(ctx, number)
		}, printException)
	return cmd
}

func newExceptionRevoke(e *env) *cobra.Command {
	var reason string
	cmd := e.sender("revoke NUMBER", "End an exception, or take a request back", "is revoked",
		func(ctx context.Context, c *client.Client, args []string) error {
			number, err := exceptionNumber(args[0])
			if err != nil {
				return err
			}
			return c.RevokeException(ctx, number, reason)
		})
	cmd.Flags().StringVar(&reason, "reason", "", "why it ends")
	return cmd
}

func exceptionNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64)
	if err != nil || number < 0 {
		return 0, usageError{fmt.Errorf("%q is not the number of an exception; 'hullmark exception list' shows them", text)}
	}
	return number, nil
}
