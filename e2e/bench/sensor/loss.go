package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// loss sends events at a steady rate, with programs being started meanwhile, and tells what was lost.
func (s settings) loss(ctx context.Context, l *lab.Lab) error {
	if err := os.WriteFile(l.Path("lower1", "storm.js"), []byte("x"), 0o644); err != nil {
		return err
	}
	watching, err := start(ctx, l, kernel.Config{Rate: -1, Seen: 1}, &kernel.Follow{})
	if err != nil {
		return err
	}
	count := int(s.duration.Seconds() * float64(s.rate))
	before := processorTime(unix.RUSAGE_SELF)
	numbers, err := child(ctx, l, "storm", strconv.Itoa(count), l.Merged("storm.js"), strconv.Itoa(s.rate), l.Merged("lower"))
	if err != nil {
		return err
	}
	reading := processorTime(unix.RUSAGE_SELF) - before
	took, started := numbers[0], int(numbers[1])+1 // and the storm itself
	counters, err := watching.end()
	if err != nil {
		return err
	}
	seconds := time.Duration(took).Seconds()
	fmt.Printf("\nevents in %.0f s: %d opens sent, %d told, %.0f a second; %d programs started, %d told\n",
		seconds, count, watching.seen[kernel.Open], float64(count)/seconds, started, watching.seen[kernel.Exec])
	fmt.Printf("dropped: %d critical, %d bulk (target 0 and 0); processor time of the reader: %.0f ns an event\n",
		counters.DroppedCritical, counters.DroppedBulk, float64(reading.Nanoseconds())/float64(count))
	slices.Sort(watching.lag)
	if n := len(watching.lag); n > 0 {
		fmt.Printf("from the event to its reader: p50 %v, p99 %v, worst %v (target p99 250ms to the alert)\n",
			watching.lag[n/2], watching.lag[n*99/100], watching.lag[n-1])
	}
	return nil
}

// enforcement runs drifted executables whose first instruction writes, and counts what was seen of them.
func (s settings) enforcement(ctx context.Context, l *lab.Lab) error {
	watching, err := start(ctx, l, kernel.Config{}, &kernel.Follow{KillDrift: true})
	if err != nil {
		return err
	}
	stopped, written := 0, 0
	for i := range s.drifts {
		program, err := l.Drift("drift-" + strconv.Itoa(i%16))
		if err != nil {
			return err
		}
		out, err := l.Run(ctx, program)
		written += len(out)
		if err != nil {
			stopped++
		}
	}
	if _, err := watching.end(); err != nil {
		return err
	}
	fmt.Printf("\nenforcement by signal: %d of %d drifted executables stopped, %d bytes of their output seen, %d told\n",
		stopped, s.drifts, written, watching.kill)
	return nil
}
