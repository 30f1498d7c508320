package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/evidence"
)

func newVerify(e *env) *cobra.Command {
	var key, keyFile string
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Check a record bundle, with no server and no network", GroupID: "ask",
		Long: `Check a bundle that 'hullmark record X --bundle FILE' wrote: that the log signed with the given key
holds every statement in it, byte for byte. For each it says what that proves and what it does not.

The key is the log's public key, as 'hullmark dev' prints it and /log/key serves it. Get it once, over
a channel that you trust, and keep it.`,
		Example: "  hullmark verify ui.json --key-file hullmark.pub",
		Args:    exactArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			verifier, err := verifierOf(key, keyFile)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer f.Close()
			report, err := evidence.VerifyBundle(f, verifier)
			if err != nil {
				return err
			}
			return e.printer().Print(report, func(p *output.Printer) { printReport(p, report) })
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the log's public key, as text")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "a file that holds it")
	return cmd
}

func verifierOf(key, file string) (note.Verifier, error) {
	if (key == "") == (file == "") {
		return nil, usageError{fmt.Errorf("give the log's public key with --key or --key-file")}
	}
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{err}
		}
		key = strings.TrimSpace(string(raw))
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, usageError{fmt.Errorf("%q is not a log's public key; it looks like name+hash+base64", key)}
	}
	return v, nil
}

func printReport(p *output.Printer, r *evidence.Report) {
	p.Line("%s  %s", output.Good("holds"), output.Head(r.Subject))
	p.Line("%s", output.Dim(fmt.Sprintf("log %s, size %d, %d statements checked offline", r.Origin, r.Size, len(r.Statements))))
	for _, item := range r.Statements {
		p.Line("\n%s  %s", output.Head(kindOf(item.Statement)), summary(item.Statement))
		p.Line("  proves:          %s", item.Proves)
		p.Line("  does not prove:  %s", item.DoesNotProve)
	}
	p.Line("\n%s", output.Head("The bundle as a whole"))
	for _, limit := range r.Limits {
		p.Line("  %s", limit)
	}
}
