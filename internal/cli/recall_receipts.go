package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// receiptsEvery is how often receipts are asked for while they come in.
	receiptsEvery = 200 * time.Millisecond
	// maxReceiptRows is how many receipts a recall prints; 'recall receipts' prints all.
	maxReceiptRows = 20
)

func newRecallReceipts(e *env) *cobra.Command {
	cmd := asker(e, "receipts NUMBER", "Who carries a recall out, and who has not said so",
		func(ctx context.Context, c *client.Client, args []string) (resource.RecallReceipts, error) {
			seq, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return resource.RecallReceipts{}, usageError{fmt.Errorf("%q is not the number of a recall", args[0])}
			}
			return c.RecallReceipts(ctx, seq)
		}, func(p *output.Printer, r resource.RecallReceipts) { printReceipts(p, r, len(r.Received)) })
	return cmd
}

// followReceipts shows receipts as they come, until all are there or the wait is over. Who is missing
// then is an error: the recall stands, but it is not everywhere.
func (e *env) followReceipts(ctx context.Context, c *client.Client, made resource.Recall, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	r, err := c.RecallReceipts(ctx, made.Seq)
	if err != nil {
		return err
	}
	bar := e.progress("receipts", int64(len(r.Received)+len(r.Missing)))
	for len(r.Missing) > 0 && time.Now().Before(deadline) {
		bar.at(int64(len(r.Received)), 0)
		select {
		case <-ctx.Done():
			bar.end()
			return ctx.Err()
		case <-time.After(receiptsEvery):
		}
		if r, err = c.RecallReceipts(ctx, made.Seq); err != nil {
			bar.end()
			return err
		}
	}
	bar.end()
	if err := e.printer().Print(r, func(p *output.Printer) { printReceipts(p, r, maxReceiptRows) }); err != nil {
		return err
	}
	e.sayCovered(ctx, c, made.Seq)
	if len(r.Missing) > 0 && wait > 0 {
		return fault.New(fault.Unavailable, "recall-unreached",
			"%d of %d have not answered; the recall stands, and they get it when they come back: hullmark recall receipts %d",
			len(r.Missing), len(r.Received)+len(r.Missing), made.Seq)
	}
	return nil
}

// sayCovered waits a little for the checkpoint that proves the recall.
func (e *env) sayCovered(ctx context.Context, c *client.Client, seq int64) {
	for range 25 {
		if p, err := c.Checkpoint(ctx); err == nil && p.Size > seq {
			e.say("signed: the log's checkpoint of %d statements covers it", p.Size)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(receiptsEvery):
		}
	}
	e.say("the log has not signed it yet; see: hullmark log")
}

// printReceipts prints the newest receipts up to a number, and everybody who is missing.
func printReceipts(p *output.Printer, r resource.RecallReceipts, rows int) {
	shown := r.Received[max(0, len(r.Received)-rows):]
	if hidden := len(r.Received) - len(shown); hidden > 0 {
		p.Line("%s before these; the last after %s", count(hidden, "receipt"), latency(shown[len(shown)-1]))
	}
	var table [][]string
	for _, one := range shown {
		table = append(table, []string{one.Receiver, one.Gate, one.Outcome, latency(one), strconv.FormatInt(one.Stopped, 10)})
	}
	for _, m := range r.Missing {
		table = append(table, []string{m.Receiver, m.Gate, "no answer", "seen " + day(m.Seen, "never"), ""})
	}
	p.Table([]string{"RECEIVER", "GATE", "OUTCOME", "AFTER", "STOPPED"}, table)
}

func latency(r resource.Receipt) string {
	return (time.Duration(r.Milliseconds) * time.Millisecond).String()
}
