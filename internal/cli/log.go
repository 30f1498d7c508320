package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

func newLog(e *env) *cobra.Command {
	return group("log", "The transparency log under the record", "ask", newLogKey(e), newCheckpoint(e), newInclusion(e), newConsistency(e))
}

// logKey is the log's public key as 'verify' takes it.
type logKey struct {
	Key string `json:"key"`
}

func newLogKey(e *env) *cobra.Command {
	cmd := asker(e, "key", "Print the log's public key",
		func(ctx context.Context, c *client.Client, _ []string) (logKey, error) {
			key, err := c.LogKey(ctx)
			return logKey{key}, err
		},
		func(_ *output.Printer, k logKey) { fmt.Fprintln(e.Out, k.Key) })
	cmd.Long = "Print the log's public key, which 'hullmark verify' needs. Get it once, over a channel that you trust, and keep it."
	cmd.Example = "  hullmark log key > hullmark.pub"
	return cmd
}

func newCheckpoint(e *env) *cobra.Command {
	cmd := asker(e, "checkpoint", "Print the newest signed checkpoint",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Checkpoint, error) {
			return c.Checkpoint(ctx)
		},
		func(_ *output.Printer, checkpoint resource.Checkpoint) { fmt.Fprint(e.Out, checkpoint.Note) })
	cmd.Long = "Print the newest signed checkpoint as it is. Keep it: 'log consistency --old' proves later that nothing was taken back."
	return cmd
}

func newInclusion(e *env) *cobra.Command {
	var index, size int64
	cmd := asker(e, "inclusion", "Print the proof that the log holds the statement with a sequence number",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Proof, error) {
			return c.Inclusion(ctx, index, size)
		},
		func(p *output.Printer, proof resource.Proof) {
			printProof(p, proof, fmt.Sprintf("statement %d is in the log of size %d", index, proof.Size))
		})
	cmd.Flags().Int64Var(&index, "index", 0, "sequence number of the statement, from 0")
	cmd.Flags().Int64Var(&size, "size", 0, "size of the log to prove against (default: the newest checkpoint's)")
	return cmd
}

func newConsistency(e *env) *cobra.Command {
	var old, size int64
	cmd := asker(e, "consistency", "Print the proof that the log still holds all of its first statements",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Proof, error) {
			return c.Consistency(ctx, old, size)
		},
		func(p *output.Printer, proof resource.Proof) {
			printProof(p, proof, fmt.Sprintf("the log of size %d extends the log of size %d", proof.Size, old))
		})
	cmd.Flags().Int64Var(&old, "old", 0, "size of the older log")
	cmd.Flags().Int64Var(&size, "size", 0, "size of the newer log (default: the newest checkpoint's)")
	return cmd
}

func printProof(p *output.Printer, proof resource.Proof, claim string) {
	p.Line("%s, by these hashes (RFC 6962):", claim)
	for _, h := range proof.Hashes {
		p.Line("  %s", h)
	}
}
