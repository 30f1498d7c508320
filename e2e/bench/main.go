// Command bench measures Hullmark beside the programs that people use today: both on this machine,
// in this run, in turn, because absolute times drift on shared machines and ratios do not.
//
// Every row is the median of several rounds; in each round the peer goes first, then we. A table
// goes to standard output and the same as JSON to a file. It is a report: a missed target is
// printed and does not fail the command.
//
// scripts/tools bench installs the peers.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// options are the command line.
type options struct {
	hullmark string // the program under test
	cache    string // fixtures that are kept, and the servers' folders while they run
	json     string // where the result goes
	rounds   int
	only     []string // groups; empty for all
}

// bench is one run.
type bench struct {
	options
	scratch string // removed at the end
	report  report
}

// groups are the parts of a run, in order. Reading comes first: Linux counts what this process held
// when it started a program as the program's own peak, and the later groups hold much.
var groups = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"read", (*bench).read},
	{"npm", (*bench).npm},
	{"maven", (*bench).maven},
	{"oci", (*bench).oci},
	{"gem", (*bench).gem},
	{"nuget", (*bench).nuget},
	{"pypi", (*bench).pypi},
	{"trace", (*bench).trace},
	{"append", (*bench).append},
	{"scale", (*bench).scale},
}

func main() {
	b := &bench{}
	flag.StringVar(&b.hullmark, "hullmark", "bin/hullmark", "the program under test")
	flag.StringVar(&b.cache, "cache", ".cache/bench", "folder for fixtures and servers")
	flag.StringVar(&b.json, "json", ".cache/bench/results.json", "where the result goes as JSON")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds per row; the median counts")
	only := flag.String("only", "", "groups to run, with commas between: npm, maven, gem, nuget, pypi, oci, read, trace, append, scale")
	flag.Parse()
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures the groups; one that fails leaves its rows out and is named in the report.
func (b *bench) run(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	for _, g := range groups {
		if len(b.only) > 0 && !slices.Contains(b.only, g.name) {
			continue
		}
		say("%s", g.name)
		if err := g.run(b, ctx); err != nil {
			b.report.Failed = append(b.report.Failed, fmt.Sprintf("%s: %v", g.name, err))
			say("%s failed: %v", g.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	b.report.print(os.Stdout)
	return b.report.write(b.json)
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.hullmark, err = filepath.Abs(b.hullmark); err != nil {
		return err
	}
	if b.cache, err = filepath.Abs(b.cache); err != nil {
		return err
	}
	if err = os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp(b.cache, "run-"); err != nil {
		return err
	}
	b.report.Header = describe(ctx, b.hullmark)
	return nil
}

// say reports progress, on standard error.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
