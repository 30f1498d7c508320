package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/policy"
)

func newExplain(e *env) *cobra.Command {
	var answer resource.Explanation
	cmd := asker(e, "explain DECISION", "Why did a gate decide so, and does it come out the same again?",
		func(ctx context.Context, c *client.Client, args []string) (resource.Explanation, error) {
			var err error
			answer, err = c.Explain(ctx, args[0])
			return answer, err
		}, printExplanation)
	cmd.GroupID = "ask"
	cmd.Long = `Explain a decision by the id that the gate gave it (a denial names it) or by its sequence number. A decision of the admission
gate is made again, from the policies, the record and the exceptions that it names. Exit code 7: it comes out differently.
Decisions of the other gates cannot be made again; what they were made from is told.`
	cmd.Example = "  hullmark explain 7c9e6679-7425-40de-944b-e07fc1f90ae7\n  hullmark explain 4711 -o json"
	ask := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := ask(cmd, args); err != nil {
			return err
		}
		return policy.FaultOf(answer.Seq, policy.Outcome(answer.Outcome), answer.Differences)
	}
	return cmd
}

func printExplanation(p *output.Printer, x resource.Explanation) {
	d := x.Decision
	verdict := output.Good(d.Verdict)
	if d.Verdict != "allow" {
		verdict = output.Bad(d.Verdict)
	}
	p.Line("%s  %s %s at the %s gate, %s", output.Head(fmt.Sprintf("decision %d", x.Seq)), verdict, d.Action, d.Gate, x.At.Format("2006-01-02 15:04:05"))
	if w := d.Workload; w != nil {
		p.Line("  for:       %s", strings.Join(present(w.Cluster, w.Namespace, w.Kind, w.Name), " "))
	}
	p.Line("  about:     %s", strings.Join(x.Subjects, " "))
	if d.Code != "" {
		p.Line("  code:      %s", d.Code)
	}
	for _, reason := range d.Reasons {
		p.Line("  reason:    %s", reason)
	}
	for _, id := range d.Exceptions {
		p.Line("  under:     exception #%d", id)
	}
	p.Line("  policies:  %s, record head %d", d.Policy, d.Head)
	outcome := x.Outcome
	switch policy.Outcome(outcome) {
	case policy.Equal:
		outcome = output.Good("decided again: the same")
	case policy.Nearby:
		outcome = output.Warn("decided again: the same, at a head some seconds off the one that it names")
	case policy.Differs:
		outcome = output.Bad("decided again: it differs")
	}
	p.Line("\n%s", outcome)
	for _, difference := range x.Differences {
		p.Line("  %s", difference)
	}
	for _, note := range x.Notes {
		p.Line("  %s", output.Dim(note))
	}
	if x.Recomputed != nil && policy.Outcome(x.Outcome) == policy.Differs {
		p.Line("\n%s\n%s", output.Head("what comes out now"), policy.Explain(*x.Recomputed))
	}
}

// present returns the texts that are not empty.
func present(texts ...string) []string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}
