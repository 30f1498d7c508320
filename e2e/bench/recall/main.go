// Command recall measures how long a recall takes to reach a fleet: from the statement to the last receipt
// on the record, with thousands of simulated agents on loopback, each with a connection of its own.
//
// Beside it, in the same run and in turn, stands a bare baseline: a server that sends the same number of
// equally long messages down HTTP/2 streams and takes as many equally long answers, without a record.
//
//	go run ./e2e/bench/recall -agents 5000 -rounds 5
//
// The server and the agents are two processes. It is a report: a missed target is printed and does not
// fail the command.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// target is what the 99th percentile must keep below.
const target = 5 * time.Second

// result is one round: how long after its beginning each answer was there, ascending.
type result []time.Duration

func (r result) at(percent int) time.Duration { return r[(len(r)-1)*percent/100] }

func main() {
	agents := flag.Int("agents", 5000, "simulated agents")
	rounds := flag.Int("rounds", 5, "recalls that are measured")
	out := flag.String("json", "", "file for the result as JSON")
	child := flag.String("child", "", "internal: be the agents of the world described in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *child != "" {
		err = beAgents(ctx, *child)
	} else {
		err = measure(ctx, *agents, *rounds, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, agents, rounds int, out string) error {
	folder, err := os.MkdirTemp("", "hullmark-recall-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	w, err := newWorld(ctx, folder, agents)
	if err != nil {
		return err
	}
	defer w.close()
	var ours, bare []result
	for i := range rounds {
		b, err := w.baseline.round(ctx, agents)
		if err != nil {
			return fmt.Errorf("baseline, round %d: %w", i, err)
		}
		o, err := w.recall(ctx, i)
		if err != nil {
			return fmt.Errorf("recall, round %d: %w", i, err)
		}
		ours, bare = append(ours, o), append(bare, b)
		fmt.Fprintf(os.Stderr, "bench: round %d: recall %v, bare %v\n", i, o.at(100), b.at(100))
	}
	return print(agents, ours, bare, out)
}

// line is a row of the report, in milliseconds; the median of the rounds.
type line struct {
	Name  string  `json:"name"`
	Ours  float64 `json:"ours"`
	Bare  float64 `json:"bare"`
	Ratio float64 `json:"ratio"`
	Pass  bool    `json:"pass"`
}

func print(agents int, ours, bare []result, out string) error {
	var lines []line
	for _, p := range []struct {
		name    string
		percent int
	}{{"half of the receipts", 50}, {"99 % of the receipts", 99}, {"the last receipt", 100}} {
		o, b := median(ours, p.percent), median(bare, p.percent)
		lines = append(lines, line{p.name, ms(o), ms(b), float64(o) / float64(b), p.percent > 99 || o <= target})
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d agents, %d rounds\tours ms\tbare ms\tratio\ttarget\n", agents, len(ours))
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.1f\t≤ %v: %v\n", l.Name, l.Ours, l.Bare, l.Ratio, target, l.Pass)
	}
	fmt.Fprintf(t, "memory of the server's process at its peak\t%d MB\n", peak()>>20)
	if err := t.Flush(); err != nil || out == "" {
		return err
	}
	raw, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, raw, 0o600)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(rounds []result, percent int) time.Duration {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, r.at(percent))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// peak is the most memory in bytes that this process held.
func peak() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss << 10
}
