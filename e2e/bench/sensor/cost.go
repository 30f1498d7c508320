package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// row is a sort of work, and what one of it took in each round, in nanoseconds of processor time.
type row struct {
	name     string
	target   float64 // that the sensor may add
	task     task
	path     string
	filtered bool // it matters whether the cgroup is followed

	bare     []float64 // there is no sensor
	hooked   []float64 // there is one, which does not follow the cgroup
	filter   []float64 // what it adds that the cgroup is followed
	programs float64   // in the sensor's programs while it is, by the kernel's account
}

// visit is how many batches of a row are measured at a time.
const visit = 120

// cost prints what the sensor adds to a call that it does not look at, to an open and to an exec.
func (s settings) cost(ctx context.Context, l *lab.Lab) error {
	for name, content := range map[string][]byte{"data.bin": []byte("x"), "code.js": []byte("x"), "chain": chain()} {
		if err := os.WriteFile(l.Path("lower1", name), content, 0o755); err != nil {
			return err
		}
	}
	rows := []*row{
		{name: "unrelated call (getppid)", target: 50, task: call},
		{name: "open+close, no code", target: 500, task: open, path: l.Merged("data.bin"), filtered: true},
		{name: "open+close, code told lately", target: 500, task: open, path: l.Merged("code.js"), filtered: true},
		{name: "exec", target: 3000, task: execute, path: l.Merged("chain"), filtered: true},
	}
	w, err := startWorker(ctx, l)
	if err != nil {
		return err
	}
	err = s.compare(ctx, l, w, rows)
	if err == nil {
		err = account(ctx, l, w, rows)
	}
	if e := w.end(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	printCost(rows)
	return nil
}

// compare measures without a sensor, with one, without, …, without. To load and to unload one takes
// seconds, in which a shared machine changes; so in a round with a sensor the cgroup is followed and
// forgotten from one batch to the next, and that difference is told apart.
func (s settings) compare(ctx context.Context, l *lab.Lab, w *worker, rows []*row) error {
	bare := func() error {
		for _, r := range rows {
			took, err := w.batches(r, visit)
			if err != nil {
				return err
			}
			r.bare = append(r.bare, undisturbed(took))
		}
		return nil
	}
	for range s.rounds {
		if err := bare(); err != nil {
			return err
		}
		watching, err := start(ctx, l, kernel.Config{}, nil)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err = alternate(l, w, r, watching); err != nil {
				break
			}
		}
		if _, e := watching.end(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return bare()
}

// alternate measures a row with the sensor there, followed and not in turn.
func alternate(l *lab.Lab, w *worker, r *row, watching *run) error {
	var hooked, filter []float64
	for range visit {
		took, err := w.batch(r)
		if err != nil {
			return err
		}
		hooked = append(hooked, took)
		if !r.filtered {
			continue
		}
		if err := watching.Follow(l.ID, kernel.Follow{KillRecalled: true}); err != nil {
			return err
		}
		followed, err := w.batch(r)
		if err != nil {
			return err
		}
		filter = append(filter, followed-took)
		if err := watching.Forget(l.ID); err != nil {
			return err
		}
	}
	r.hooked = append(r.hooked, undisturbed(hooked))
	if r.filtered {
		r.filter = append(r.filter, median(filter))
	}
	return nil
}

// account asks the kernel how long the sensor's programs ran for one of each row. That it looks at the
// clock makes each run some 40 ns longer, so this is apart from the comparison.
func account(ctx context.Context, l *lab.Lab, w *worker, rows []*row) error {
	stop, err := kernel.CountRunTime()
	if err != nil {
		return err
	}
	defer stop.Close()
	watching, err := start(ctx, l, kernel.Config{}, &kernel.Follow{KillRecalled: true})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.programs, err = inPrograms(w, r, watching); err != nil {
			break
		}
	}
	if _, e := watching.end(); err == nil {
		err = e
	}
	return err
}

func inPrograms(w *worker, r *row, watching *run) (float64, error) {
	total := func() (sum float64, err error) {
		times, err := watching.RunTimes()
		for _, t := range times {
			sum += float64(t.Total.Nanoseconds())
		}
		return sum, err
	}
	var each []float64
	for range visit {
		before, err := total()
		if err != nil {
			return 0, err
		}
		if _, err := w.batch(r); err != nil {
			return 0, err
		}
		after, err := total()
		if err != nil {
			return 0, err
		}
		each = append(each, (after-before)/float64(r.task.whole()))
	}
	return median(each), nil
}

func printCost(rows []*row) {
	fmt.Printf("%-30s %7s  %-24s %-24s %9s %9s %7s\n", "ns of processor time", "bare", "with the hooks", "followed", "added", "programs", "target")
	for _, r := range rows {
		hooks := r.hooks()
		low, high := interval(hooks)
		added, least, most := median(hooks), low, high
		line := fmt.Sprintf("%-30s %7.0f  %-24s ", r.name, median(r.bare), spread(hooks))
		if r.filtered {
			low, high = interval(r.filter)
			added, least, most = added+median(r.filter), least+low, most+high
			line += fmt.Sprintf("%-24s ", spread(r.filter))
		} else {
			line += fmt.Sprintf("%-24s ", "")
		}
		fmt.Printf("%s%+9.0f %9.0f %7.0f  %s\n", line, added, r.programs, r.target, r.verdict(least, most))
	}
	fmt.Println("(in parentheses: where the median lies with 95 %; programs: by the kernel's account, its clock included)")
}

// hooks is what a sensor adds that does not follow: each round with one is held against the mean of those
// before and after it, so that a machine that grows slower meanwhile adds nothing.
func (r *row) hooks() []float64 {
	var out []float64
	for i, hooked := range r.hooked {
		out = append(out, hooked-(r.bare[i]+r.bare[i+1])/2)
	}
	return out
}

func spread(of []float64) string {
	low, high := interval(of)
	return fmt.Sprintf("%+.0f (%+.0f to %+.0f)", median(of), low, high)
}

// verdict says whether the target holds by both accounts: all of the comparison's interval, and the
// time in programs.
func (r *row) verdict(least, most float64) string {
	switch {
	case least > r.target || r.programs > r.target:
		return "missed"
	case most > r.target:
		return fmt.Sprintf("open: at most %.0f; take more rounds, or a quieter machine", most)
	default:
		return fmt.Sprintf("holds: at most %.0f", most)
	}
}
