// Command sensor measures what the sensor costs those that it watches, beside the same work without
// it in the same run: bare and watched rounds take turns, and each pair is compared.
//
// Processor time is compared, not time on the clock, and of many short batches on one processor: that
// is what a shared machine leaves steady. What it does not leave steady is told as an interval.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

type settings struct {
	rounds   int
	duration time.Duration
	rate     int
	drifts   int
	only     string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		exit(work(os.Args[2:]))
	}
	var s settings
	flag.IntVar(&s.rounds, "rounds", 15, "bare and watched rounds of each comparison")
	flag.DurationVar(&s.duration, "duration", time.Minute, "how long events must arrive without loss")
	flag.IntVar(&s.rate, "rate", 100_000, "events a second in that time")
	flag.IntVar(&s.drifts, "drifts", 2000, "drifted executables to stop")
	flag.StringVar(&s.only, "only", "", "measure one of cost, loss, enforcement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(s.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "sensor:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s settings) run(ctx context.Context) error {
	root, err := kernel.CgroupRoot()
	if err != nil {
		return err
	}
	return lab.In(root, "hullmark-bench", func(l *lab.Lab) error {
		parts := []struct {
			name    string
			measure func(context.Context, *lab.Lab) error
		}{{"cost", s.cost}, {"loss", s.loss}, {"enforcement", s.enforcement}}
		measured := false
		for _, part := range parts {
			if s.only != "" && s.only != part.name {
				continue
			}
			if err := part.measure(ctx, l); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
			measured = true
		}
		if !measured {
			return fmt.Errorf("-only %q names none of cost, loss, enforcement", s.only)
		}
		return nil
	})
}

// run is a sensor that reads its rings, and what it counted.
type run struct {
	*kernel.Sensor
	stop context.CancelFunc
	done chan error
	seen map[kernel.Kind]int
	kill int
	lag  []time.Duration
}

func start(ctx context.Context, l *lab.Lab, config kernel.Config, follow *kernel.Follow) (*run, error) {
	sensor, err := kernel.Load(config)
	if err != nil {
		return nil, err
	}
	if follow != nil {
		if err := sensor.Follow(l.ID, *follow); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	r := &run{Sensor: sensor, stop: stop, done: make(chan error, 1), seen: map[kernel.Kind]int{}}
	go func() {
		r.done <- sensor.Run(ctx, func(e *kernel.Event) {
			if e.Cgroup != l.ID {
				return
			}
			r.seen[e.Kind]++
			if e.Action == kernel.Killed {
				r.kill++
			}
			if len(r.lag) < 1<<20 {
				r.lag = append(r.lag, time.Since(e.Time))
			}
		})
	}()
	return r, nil
}

// end stops reading; after it the counts may be looked at.
func (r *run) end() (kernel.Counters, error) {
	time.Sleep(50 * time.Millisecond) // ten polls
	counters, err := r.Counters()
	r.stop()
	if e := <-r.done; err == nil {
		err = e
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return counters, err
}

// child runs this program's worker in the lab and returns the numbers that it prints.
func child(ctx context.Context, l *lab.Lab, args ...string) ([]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := l.Run(ctx, self, append([]string{"worker"}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("worker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	var numbers []float64
	for _, field := range strings.Fields(out) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", strings.Join(args, " "), err)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
