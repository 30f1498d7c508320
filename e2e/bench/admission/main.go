// Command admission measures how long a cluster waits for an admission decision: the real program over
// HTTPS, beside a bare HTTPS handler that only decodes and answers the same reviews, in turn in one run.
//
// Requests leave on a schedule, whether or not earlier ones are back, and are timed from when they should
// have left: a webhook that stalls cannot hide it. Rows are medians of rounds. A missed target is printed
// and does not fail the command.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

type settings struct {
	hullmark   string
	json       string
	rounds     int
	duration   time.Duration
	rate       int
	images     int
	components int
}

// result is what a run found. Times are milliseconds.
type result struct {
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Command string    `json:"command"`
	Rows    []row     `json:"rows"`
}

type row struct {
	Name   string    `json:"name"`
	Ours   float64   `json:"ours"`
	Bare   float64   `json:"bare,omitempty"`
	AtMost float64   `json:"atMost"`
	Pass   bool      `json:"pass"`
	Rounds []float64 `json:"rounds"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		exit(serveBare())
	}
	var s settings
	flag.StringVar(&s.hullmark, "hullmark", "bin/hullmark", "the program under test")
	flag.StringVar(&s.json, "json", "", "file for the result as JSON")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds; the median counts")
	flag.DurationVar(&s.duration, "duration", 10*time.Second, "of one round")
	flag.IntVar(&s.rate, "rate", 500, "requests a second")
	flag.IntVar(&s.images, "images", 300, "different images in use")
	flag.IntVar(&s.components, "components", 250, "components of an image")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(s.run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "admission:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s settings) run(ctx context.Context) error {
	w, err := newWorld(ctx, s)
	if err != nil {
		return err
	}
	defer w.close()
	var ours, bare []sample
	var ourCPU, bareCPU []float64
	outbound := 0
	for range s.rounds {
		b, cpu, err := w.load(ctx, w.bare, w.bareURL, w.bareRoots)
		if err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		bare, bareCPU = append(bare, b), append(bareCPU, cpu)
		count := w.countOutbound(ctx)
		o, cpu, err := w.load(ctx, w.program, w.url, w.roots)
		if err != nil {
			return err
		}
		ours, ourCPU, outbound = append(ours, o), append(ourCPU, cpu), max(outbound, count())
	}
	inside, err := w.inProcess(20_000)
	if err != nil {
		return err
	}
	r := result{Date: time.Now().UTC(), Machine: fmt.Sprintf("%d × %s", runtime.NumCPU(), runtime.GOARCH), Command: fmt.Sprint(os.Args)}
	r.add(fmt.Sprintf("over HTTPS, %d/s, p50 ms", s.rate), 0, each(ours, 50), each(bare, 50))
	r.add(fmt.Sprintf("over HTTPS, %d/s, p99 ms", s.rate), 25, each(ours, 99), each(bare, 99))
	r.add("processor time of a request, ms", 0, ourCPU, bareCPU)
	r.add("decision in process, p50 ms", 0, []float64{inside.percentile(50)}, nil)
	r.add("decision in process, p99 ms", 5, []float64{inside.percentile(99)}, nil)
	r.add("outbound connections but the server's", 0.5, []float64{float64(outbound)}, nil)
	r.print()
	return r.write(s.json)
}

// sample is the times of some requests, sorted.
type sample []time.Duration

func (s sample) percentile(p int) float64 {
	if len(s) == 0 {
		return 0
	}
	return float64(s[(len(s)-1)*p/100].Microseconds()) / 1000
}

func each(list []sample, p int) []float64 {
	out := make([]float64, len(list))
	for i, s := range list {
		out[i] = s.percentile(p)
	}
	return out
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(list), cmp.Compare[float64])
	return sorted[(len(sorted)-1)/2]
}

func (r *result) add(name string, atMost float64, ours, bare []float64) {
	r.Rows = append(r.Rows, row{
		Name: name, Ours: median(ours), Bare: median(bare), AtMost: atMost, Pass: atMost == 0 || median(ours) <= atMost, Rounds: ours,
	})
}

func (r *result) print() {
	fmt.Printf("%s\n%s\n$ %s\n\n", r.Date.Format(time.RFC3339), r.Machine, r.Command)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tours\tbare\ttarget\t")
	for _, row := range r.Rows {
		target, verdict := "", ""
		if row.AtMost > 0 {
			target, verdict = fmt.Sprintf("≤ %g", row.AtMost), "missed"
			if row.Pass {
				verdict = "ok"
			}
		}
		fmt.Fprintf(t, "%s\t%.3g\t%.3g\t%s\t%s\n", row.Name, row.Ours, row.Bare, target, verdict)
	}
	t.Flush()
}

func (r *result) write(file string) error {
	if file == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o644)
}
