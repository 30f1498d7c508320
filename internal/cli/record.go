package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/evidence"
)

func newRecord(e *env) *cobra.Command {
	var bundle string
	cmd := asker(e, "record X", "What does the record say about a purl or digest?",
		func(ctx context.Context, c *client.Client, args []string) ([]evidence.Statement, error) {
			if bundle != "" {
				if err := writeBundle(ctx, e, c, args[0], bundle); err != nil {
					return nil, err
				}
			}
			return c.Statements(ctx, args[0])
		}, printStatements)
	cmd.GroupID = "ask"
	cmd.Long = `Print every statement about a release, image, layer or artifact, oldest first. With --bundle, also write them with
their proofs and a signed checkpoint to a file that 'hullmark verify' checks offline.`
	cmd.Example = "  hullmark record pkg:npm/%40acme/ui@1.2.3\n  hullmark record sha256:… --bundle image.json"
	cmd.Flags().StringVar(&bundle, "bundle", "", "write statements, proofs and checkpoint to this file")
	return cmd
}

func printStatements(p *output.Printer, statements []evidence.Statement) {
	rows := make([][]string, len(statements))
	for i, s := range statements {
		rows[i] = []string{fmt.Sprint(s.Seq), s.Time.Format("2006-01-02 15:04:05"), kindOf(s), string(s.Assurance), summary(s)}
	}
	p.Table([]string{"SEQ", "TIME (UTC)", "STATEMENT", "ASSURANCE", "SAYS"}, rows)
}

func writeBundle(ctx context.Context, e *env, c *client.Client, subject, file string) error {
	raw, err := c.Bundle(ctx, subject)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		return err
	}
	e.say("wrote %s; keep the log's key beside it: hullmark log key > hullmark.pub\ncheck it anywhere with: hullmark verify %s --key-file hullmark.pub", file, file)
	return nil
}
