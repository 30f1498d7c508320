package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newReport(e *env) *cobra.Command {
	var reason string
	cmd := asker(e, "report X", "Report a package as malicious to the site administrators",
		func(ctx context.Context, c *client.Client, args []string) (resource.Report, error) {
			return c.Report(ctx, resource.NewReport{Subject: args[0], Reason: reason})
		},
		func(p *output.Printer, r resource.Report) {
			p.Line("%s is reported: %s. The site administrators are told, and nobody else learns that it was you.", r.Subject, r.ID)
			if r.Quarantined {
				p.Line("it has been reported by several people, and is quarantined until an administrator has looked")
			}
		})
	cmd.GroupID = "act"
	cmd.Long = `Report a package (purl, with or without a version) that does what it should not. You must be able to read it. Site
administrators see the report in 'hullmark report list', on the page /report/ and by mail; you are told what comes of it.`
	cmd.Example = "  hullmark report pkg:npm/%40acme/ui@1.2.3 --reason 'postinstall sends ~/.npmrc to 203.0.113.7'\n" +
		"  hullmark report list\n  hullmark report close rep_0123456789 --outcome upheld --note 'recalled'"
	cmd.Flags().StringVar(&reason, "reason", "", "what the package does, and where you saw it")
	cmd.PreRunE = func(*cobra.Command, []string) error { return required("--reason", reason) }
	cmd.AddCommand(newReportList(e), newReportClose(e))
	return cmd
}

func newReportList(e *env) *cobra.Command {
	var state string
	cmd := lister(e, "list", "List reports; for site administrators",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Report, error) {
			return c.Reports(ctx, state)
		},
		[]string{"ID", "PACKAGE", "SINCE", "BY", "WEIGHT", "REASON"}, func(r resource.Report) []string {
			return []string{r.ID, r.Subject, r.At.Format("2006-01-02 15:04"), r.Account, fmt.Sprint(r.Weight), clipped(r.Reason, 80)}
		})
	cmd.Flags().StringVar(&state, "state", "open", "open, upheld or unfounded")
	return cmd
}

func newReportClose(e *env) *cobra.Command {
	var in resource.ReportOutcome
	cmd := e.sender("close ID", "Decide a report; for site administrators", "is decided, and who made it is told",
		func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.CloseReport(ctx, args[0], in)
			return err
		})
	cmd.Long = "Decide a report. Upholding one stops nothing by itself: 'hullmark recall' does."
	cmd.Flags().StringVar(&in.Outcome, "outcome", "", "upheld or unfounded")
	cmd.Flags().StringVar(&in.Note, "note", "", "for who reported it")
	cmd.PreRunE = func(*cobra.Command, []string) error { return required("--outcome", in.Outcome) }
	return cmd
}
