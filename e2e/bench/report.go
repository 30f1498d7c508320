package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a run found.
type report struct {
	Header header   `json:"header"`
	Rows   []row    `json:"rows"`
	Failed []string `json:"failed,omitempty"` // groups that could not be measured
}

// header says where and when.
type header struct {
	Date    time.Time         `json:"date"`
	Command string            `json:"command"`
	Machine string            `json:"machine"`
	Kernel  string            `json:"kernel"`
	Load    string            `json:"load"` // averages at the start
	Version map[string]string `json:"versions"`
}

// row is one line of the table.
type row struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Ours   float64 `json:"ours"`
	Peer   float64 `json:"peer,omitempty"` // 0 without a peer
	Ratio  float64 `json:"ratio,omitempty"`
	Target string  `json:"target"`
	Pass   bool    `json:"pass"`
	// Rounds are the single values, ours and the peer's.
	Rounds [2][]float64 `json:"rounds"`
	Note   string       `json:"note,omitempty"`
}

// target is what a row must reach: ours over the peer's at least, or ours at most or at least.
type target struct {
	ratio   float64 // at least; 0 for none
	atMost  float64 // 0 for none
	atLeast float64 // 0 for none
	// less says that less is better, so that the ratio is the peer's over ours.
	less bool
}

// judge makes the row of some rounds.
func judge(name, unit string, t target, ours, peer []float64) row {
	r := row{Name: name, Unit: unit, Ours: median(ours), Peer: median(peer), Rounds: [2][]float64{ours, peer}, Pass: true}
	if r.Peer > 0 && r.Ours > 0 {
		r.Ratio = r.Ours / r.Peer
		if t.less {
			r.Ratio = 1 / r.Ratio
		}
	}
	var wants []string
	want := func(ok bool, format string, value float64) {
		wants = append(wants, fmt.Sprintf(format, value))
		r.Pass = r.Pass && ok
	}
	if t.ratio > 0 {
		want(r.Ratio >= t.ratio, "≥ %g×", t.ratio)
	}
	if t.atMost > 0 {
		want(r.Ours <= t.atMost, "≤ %g "+unit, t.atMost)
	}
	if t.atLeast > 0 {
		want(r.Ours >= t.atLeast, "≥ %g "+unit, t.atLeast)
	}
	r.Target = strings.Join(wants, ", ")
	return r
}

// median returns the middle value, the lower one of two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

func (r *report) add(rows ...row) {
	for _, row := range rows {
		say("  %-44s ours %.4g  peer %.4g %s  ratio %.2f  target %s", row.Name, row.Ours, row.Peer, row.Unit, row.Ratio, row.Target)
	}
	r.Rows = append(r.Rows, rows...)
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s, Linux %s, load %s\n$ %s\n", r.Header.Date.Format(time.RFC3339), r.Header.Machine, r.Header.Kernel, r.Header.Load, r.Header.Command)
	for _, name := range slices.Sorted(maps.Keys(r.Header.Version)) {
		fmt.Fprintf(w, "%s %s\n", name, r.Header.Version[name])
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tunit\tours\tpeer\tratio\ttarget\t")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%.4g\t%s\t%s\t%s\t%s\n", row.Name, row.Unit, row.Ours,
			orDash(row.Peer, "%.4g"), orDash(row.Ratio, "%.2f×"), row.Target, verdict(row))
	}
	t.Flush()
	for _, failed := range r.Failed {
		fmt.Fprintf(w, "not measured: %s\n", failed)
	}
}

func verdict(r row) string {
	switch {
	case r.Target == "":
		return ""
	case r.Pass:
		return "pass"
	}
	return "MISS"
}

func orDash(value float64, format string) string {
	if value == 0 {
		return "–"
	}
	return fmt.Sprintf(format, value)
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// describe fills the header.
func describe(ctx context.Context, hullmark string) header {
	h := header{
		Date:    time.Now().UTC().Truncate(time.Second),
		Command: "make bench",
		Machine: fmt.Sprintf("%s, %d cores", cpuModel(), runtime.NumCPU()),
		Kernel:  strings.TrimSpace(readFile("/proc/sys/kernel/osrelease")),
		Load:    strings.Join(strings.Fields(readFile("/proc/loadavg"))[:3], " "),
		Version: map[string]string{"verdaccio": "6.10.4", "distribution": "3.1.2", "syft": "1.57.0", "go": runtime.Version()},
	}
	if out, err := exec.CommandContext(ctx, hullmark, "version").Output(); err == nil {
		h.Version["hullmark"], _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	}
	return h
}

func cpuModel() string {
	for line := range strings.Lines(readFile("/proc/cpuinfo")) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "model name") {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "? ? ?"
	}
	return string(b)
}
