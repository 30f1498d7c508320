package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// row is one comparison: the same work, bare and watched.
type row struct {
	name   string
	follow bool
	target string
	count  int
	args   []string

	bare, watched []float64
}

// cost prints what the sensor adds to a call that it does not look at, to an open and to an exec.
func (s settings) cost(ctx context.Context, l *lab.Lab) error {
	for _, name := range []string{"data.bin", "code.js"} {
		if err := os.WriteFile(l.Path("lower1", name), []byte("x"), 0o644); err != nil {
			return err
		}
	}
	rows := []*row{
		{name: "unrelated call (getppid)", follow: true, target: "50 ns", count: 1_000_000, args: []string{"call"}},
		{name: "open+close, cgroup not followed", target: "500 ns", count: 200_000, args: []string{"open", l.Merged("data.bin")}},
		{name: "open+close, followed, no code", follow: true, target: "500 ns", count: 200_000, args: []string{"open", l.Merged("data.bin")}},
		{name: "open+close, followed, code seen lately", follow: true, target: "500 ns", count: 200_000, args: []string{"open", l.Merged("code.js")}},
		{name: "fork, exec and exit, followed", follow: true, target: "3000 ns for the exec", count: 300, args: []string{"exec", l.Merged("lower")}},
	}
	for range s.rounds {
		if err := round(ctx, l, rows); err != nil {
			return err
		}
	}
	// The least of the rounds is what a busy machine disturbed least; the median is what it did as a rule.
	fmt.Printf("%-42s %10s %10s %10s %10s   target\n", "processor time, ns", "bare", "watched", "added", "least")
	for _, r := range rows {
		bare, watched, least := median(r.bare), median(r.watched), slices.Min(r.watched)-slices.Min(r.bare)
		fmt.Printf("%-42s %10.0f %10.0f %+10.0f %+10.0f   %s\n", r.name, bare, watched, watched-bare, least, r.target)
	}
	return s.programs(ctx, l)
}

// round measures every row bare, and then every row watched.
func round(ctx context.Context, l *lab.Lab, rows []*row) error {
	one := func(r *row, into *[]float64) error {
		args := append([]string{r.args[0], strconv.Itoa(r.count)}, r.args[1:]...)
		numbers, err := child(ctx, l, args...)
		*into = append(*into, numbers...)
		return err
	}
	for _, r := range rows {
		if err := one(r, &r.bare); err != nil {
			return err
		}
	}
	watching, err := start(ctx, l, kernel.Config{}, nil)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.follow {
			err = watching.Follow(l.ID, kernel.Follow{KillRecalled: true})
		} else {
			err = watching.Forget(l.ID)
		}
		if err == nil {
			err = one(r, &r.watched)
		}
		if err != nil {
			return err
		}
	}
	_, err = watching.end()
	return err
}

// programs prints what each program took by the kernel's own account.
func (s settings) programs(ctx context.Context, l *lab.Lab) error {
	stop, err := kernel.CountRunTime()
	if err != nil {
		return err
	}
	defer stop.Close()
	watching, err := start(ctx, l, kernel.Config{}, &kernel.Follow{KillRecalled: true})
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"exec", "300", l.Merged("lower")}, {"open", "100000", l.Merged("data.bin")}} {
		if _, err := child(ctx, l, args...); err != nil {
			return err
		}
	}
	times, err := watching.RunTimes()
	if err != nil {
		return err
	}
	fmt.Printf("\n%-42s %10s %10s\n", "by the kernel's account", "runs", "ns each")
	for _, t := range times {
		if t.Runs > 0 {
			fmt.Printf("%-42s %10d %10d\n", t.Program, t.Runs, t.Each.Nanoseconds())
		}
	}
	_, err = watching.end()
	return err
}
