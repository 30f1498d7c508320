package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

// recallFlags are what a recall is asked for with.
type recallFlags struct {
	resource.NewRecall
	canary      string
	dryRun, yes bool
	wait        time.Duration
}

func newRecall(e *env) *cobra.Command {
	var f recallFlags
	cmd := &cobra.Command{
		Use: "recall X", Short: "Stop a release everywhere, and see who carries it out", GroupID: "act", Args: exactArgs("X"),
		PreRunE: func(*cobra.Command, []string) error {
			if f.dryRun {
				return nil
			}
			return required("--reason", f.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Subject = args[0]
			if f.canary != "" {
				f.Canary = resource.ParseScope(f.canary)
			}
			return e.recall(cmd.Context(), f)
		},
	}
	cmd.Long = `Recall a release (purl), or an artifact, a layer or a file (digest). One signed statement stops it at every gate: it is
not published, not downloaded, not admitted, and what runs of it is stopped; images that hold it are stopped with it. Each
gate answers with a receipt. Before that it shows what will happen and, at a terminal, asks. Owners of the namespace may,
and site administrators.

Exit code 1 means that somebody has not answered within --wait: the recall stands, and 'hullmark recall receipts' tells
who it is. Undoing a recall takes a second person.`
	cmd.Example = "  hullmark recall pkg:npm/%40acme/ui@1.2.3 --dry-run\n" +
		"  hullmark recall pkg:npm/%40acme/ui@1.2.3 --reason 'worm in postinstall' --canary prod/staging\n" +
		"  hullmark recall undo pkg:npm/%40acme/ui@1.2.3 --reason 'false alarm'"
	flags := cmd.Flags()
	flags.StringVar(&f.Reason, "reason", "", "what is wrong with it; everybody who is refused reads this")
	flags.StringVar(&f.Cause, "cause", "malware", "malware, vulnerability or defect; recalls of malware become public advisories")
	flags.StringArrayVar(&f.Gates, "gate", nil, "gate that enforces it: publish, pull, admit or run; may be repeated (default: all)")
	flags.BoolVar(&f.System, "system", false, "stop it in system namespaces too, such as kube-system")
	flags.StringVar(&f.canary, "canary", "", "stop running processes only here: CLUSTER/NAMESPACE or CLUSTER/NAMESPACE/KIND/NAME")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would happen and do nothing")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.DurationVar(&f.wait, "wait", 30*time.Second, "how long to wait for receipts; 0 for not at all")
	undo := e.withReason("undo X", "Lift a recall; who made it asks, somebody else confirms", "is no longer recalled", "why it is safe after all",
		func(ctx context.Context, c *client.Client, subject, reason string) error {
			return c.LiftRecall(ctx, subject, reason)
		})
	undo.Aliases = []string{"lift"}
	cmd.AddCommand(undo, newRecallList(e), newRecallReceipts(e))
	return cmd
}

func newRecallList(e *env) *cobra.Command {
	return lister(e, "list", "List the recalls in force",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Recall, error) {
			return c.Recalls(ctx)
		},
		[]string{"NUMBER", "SUBJECT", "SINCE", "BY", "GATES", "REASON"}, func(r resource.Recall) []string {
			gates := "all"
			if len(r.Gates) > 0 {
				gates = strings.Join(r.Gates, " ")
			}
			reason := r.Reason
			if r.Undo != "" {
				reason += " (" + r.Undo + " asks to undo it)"
			}
			return []string{fmt.Sprint(r.Seq), strings.Join(r.Subject, " "), r.At.Format("2006-01-02 15:04"), r.Account, gates, reason}
		})
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

// recall previews, asks, recalls and waits for the receipts.
func (e *env) recall(ctx context.Context, f recallFlags) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	preview, err := c.PreviewRecall(ctx, f.NewRecall)
	if err != nil {
		return err
	}
	if f.dryRun {
		return e.printer().Print(preview, func(p *output.Printer) {
			for _, line := range previewLines(f.NewRecall, preview) {
				p.Line("%s", line)
			}
		})
	}
	for _, line := range previewLines(f.NewRecall, preview) {
		e.say("%s", line)
	}
	if !f.yes && !e.confirmed("Recall it?") {
		e.say("nothing was done")
		return nil
	}
	made, err := c.Recall(ctx, f.NewRecall)
	if err != nil {
		return err
	}
	e.say("%s is recalled: statement %d", f.Subject, made.Seq)
	return e.followReceipts(ctx, c, made, f.wait)
}

// confirmed asks at a terminal. Elsewhere nobody could answer, and who writes a script has decided.
func (e *env) confirmed(question string) bool {
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return true
	}
	fmt.Fprintf(e.Err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // at its end the answer is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// previewLines say what a recall would do, the worst first.
func previewLines(asked resource.NewRecall, p resource.RecallPreview) []string {
	lines := []string{"stops " + strings.Join(p.Subject, " ")}
	if !p.Known {
		lines = append(lines, "nothing here is known by that name yet: check the spelling; it is stopped if it ever comes")
	}
	var pulls int64
	for _, d := range p.Pulls {
		pulls += d.Pulls
	}
	lines = append(lines, fmt.Sprintf("reaches %s and %s, pulled %s in the last 7 days", count(p.Releases, "release"), count(p.Images, "image"), times(pulls)))
	for _, d := range p.Pulls {
		lines = append(lines, fmt.Sprintf("  %s %8d pulls", d.Day, d.Pulls))
	}
	for _, name := range p.Named {
		lines = append(lines, "  image "+name)
	}
	lines = append(lines, fmt.Sprintf("running: %s, seen executing in %s; %s would not start again",
		count(p.Pods, "container"), count(p.Executed, "workload"), count(p.Stuck, "workload")))
	for _, w := range p.Workloads {
		lines = append(lines, fmt.Sprintf("  %s: %s", w.Scope, count(w.Pods, "container")))
	}
	if p.System > 0 && !asked.System {
		lines = append(lines, fmt.Sprintf("%s in system namespaces are left running; --system stops them too", count(p.System, "container")))
	} else if p.System > 0 {
		lines = append(lines, fmt.Sprintf("WARNING: %s in system namespaces are stopped", count(p.System, "container")))
	}
	if asked.Canary != nil {
		lines = append(lines, "running processes are stopped in "+asked.Canary.String()+" only")
	}
	if p.Refusal != "" {
		lines = append(lines, "it would be refused: "+p.Refusal)
	}
	return append(lines, fmt.Sprintf("receipts are waited for from %s", count(p.Receivers, "gate")))
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
