package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newApprove(e *env) *cobra.Command {
	cmd := e.withReason("approve X", "Stand by a release that somebody else published", "is approved",
		"what you looked at; it is on the record",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			made, err := c.Approve(ctx, subject, reason)
			if err == nil {
				e.sayApproved(made)
			}
			return err
		})
	cmd.GroupID = "act"
	cmd.Long = `Approve a release (purl), an image (acme/shop:1.0, which is looked up now) or what waits under an id. You need the right to
publish it and must not be the account that published it. A version that is held is offered from then on, when as many people
have approved it as its settings ask for, and no cooldown applies to it.`
	cmd.Example = "  hullmark approve pkg:npm/%40acme/ui@1.2.3 --reason 'reviewed the new postinstall'\n" +
		"  hullmark approve acme/shop:1.0 --reason 'release checklist done'"
	return cmd
}

func newHold(e *env) *cobra.Command {
	list := lister(e, "list", "List the versions that wait and that you may review",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Hold, error) { return c.Holds(ctx) },
		[]string{"RELEASE", "SINCE", "PUBLISHER", "BECAUSE"}, func(h resource.Hold) []string {
			return []string{h.Subject, h.At.Format("2006-01-02 15:04"), h.Publisher, h.Code}
		})
	show := asker(e, "show X", "Show how a held version differs from the one before",
		func(ctx context.Context, c *client.Client, args []string) (resource.Hold, error) {
			return c.Hold(ctx, args[0])
		}, printHold)
	reject := e.withReason("reject X", "Withdraw a held version: nobody ever gets it", "is rejected", "what is wrong with it",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			return c.RejectHold(ctx, subject, reason)
		})
	return group("hold", "Versions that wait for a second person", "act", list, show, reject, newHoldSettings(e), newHoldSet(e))
}

func (e *env) sayApproved(made resource.Approval) {
	switch {
	case made.Released:
		e.say("it was held; it is offered from now on")
	case made.Have < made.Needed:
		e.say("it waits for more: %d of %d approvals", made.Have, made.Needed)
	}
}

// signs are how a difference marks its lines.
var signs = map[string]string{"added": "+", "changed": "~", "removed": "-"}

func printHold(p *output.Printer, h resource.Hold) {
	p.Line("%s", output.Head(h.Subject))
	p.Line("published %s by %s (%s), held: %s", h.At.Format("2006-01-02 15:04"), h.Publisher, h.Credential, output.Warn(h.Code))
	if h.ID != "" {
		p.Line("stage id %s", h.ID)
	}
	if len(h.Tags) > 0 {
		p.Line("to be tagged %s", strings.Join(h.Tags, ", "))
	}
	if h.Needed > 1 {
		p.Line("approved by %d of %d: %s", len(h.Approved), h.Needed, strings.Join(h.Approved, ", "))
	}
	if h.Expires != nil {
		p.Line("withdrawn on %s if nobody decides", h.Expires.Format("2006-01-02 15:04"))
	}
	if h.Recalled != "" {
		p.Line("%s", output.Bad("recalled: "+h.Recalled))
	}
	printPoints(p, h.Points)
	before := h.Against
	if before == "" {
		before = "nothing: no version before it is offered"
	}
	p.Line("\ncompared with %s", before)
	printDifference(p, h)
	p.Line("\n%s", output.Dim("hullmark approve '"+h.Subject+"' --reason …    or    hullmark hold reject '"+h.Subject+"' --reason …"))
}

func printPoints(p *output.Printer, points []resource.HoldPoint) {
	if len(points) > 0 {
		p.Line("")
	}
	for _, point := range points {
		p.Line("%s %s: %s", point.Stage, output.Warn(point.Rule), point.Summary)
		for _, detail := range point.Details {
			p.Line("    %s", detail)
		}
	}
}

func printDifference(p *output.Printer, h resource.Hold) {
	for _, c := range h.Hooks {
		p.Line("  %s %s  %s", sign(c.Change), output.Warn(c.Name), c.Command)
		if c.Before != "" {
			p.Line("      was  %s", c.Before)
		}
		if len(c.Files) > 0 {
			p.Line("      runs %s", strings.Join(c.Files, ", "))
		}
	}
	for _, m := range h.Made {
		p.Line("  %s %s %s  %s", sign(m.Change), m.Sort, output.Warn(m.Name), output.Dim(beforeAfter(m)))
	}
	for _, d := range h.Dependencies {
		p.Line("  %s depends on %s %s", sign("added"), output.Warn(d.Name), d.Range)
	}
	printMarks(p, "program", h.Programs)
	printMarks(p, "host", h.Hosts)
	printMarks(p, "looks unreadable:", h.Opaque)
	if len(h.Made) > 0 && h.Added+h.Changed+h.Removed == 0 {
		return // it has no files of its own
	}
	p.Line("\n%d files added, %d changed, %d removed", h.Added, h.Changed, h.Removed)
	for _, f := range h.Files {
		p.Line("  %s %s  %s", sign(f.Change), f.Path, output.Dim(fileSizes(f)))
	}
	if more := h.Added + h.Changed + h.Removed - len(h.Files); more > 0 {
		p.Line("  and %d more", more)
	}
}

func beforeAfter(m resource.MadeChange) string {
	if m.Before != "" && m.After != "" {
		return m.Before + " -> " + m.After
	}
	return m.Before + m.After
}

func printMarks(p *output.Printer, what string, marks []resource.Mark) {
	for _, m := range marks {
		p.Line("  %s %s %s  %s", sign("added"), what, output.Warn(m.What), output.Dim(m.Path))
	}
}

func sign(change string) string {
	text := signs[change]
	switch change {
	case "added":
		return output.Good(text)
	case "removed":
		return output.Bad(text)
	}
	return output.Warn(text)
}

func fileSizes(f resource.FileChange) string {
	sum := f.SHA256[:min(len(f.SHA256), 19)] + "…"
	switch f.Change {
	case "added":
		return fmt.Sprintf("%d bytes  %s", f.Size, sum)
	case "removed":
		return fmt.Sprintf("%d bytes", f.Before)
	}
	return fmt.Sprintf("%d -> %d bytes  %s", f.Before, f.Size, sum)
}
