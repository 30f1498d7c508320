package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// trace takes the blast-radius rows from the trace package's own benchmark, which generates the
// 10,000 images that the target speaks of.
func (b *bench) trace(ctx context.Context) error {
	found, err := goBench(ctx, "./internal/trace", "Trace", "500x")
	if err != nil {
		return err
	}
	for _, f := range found {
		if p99, ok := f.metrics["p99-ms"]; ok {
			b.report.add(judge("trace: "+f.name+", p99", "ms", target{atMost: 300}, []float64{p99}, nil))
		}
	}
	return nil
}

// append takes the statement rates from the evidence package's own benchmark.
func (b *bench) append(ctx context.Context) error {
	found, err := goBench(ctx, "./internal/evidence", "Append", "3s")
	if err != nil {
		return err
	}
	targets := map[string]target{"batch=1": {atLeast: 500}, "batch=10000": {atLeast: 20_000}}
	for _, f := range found {
		if rate, ok := f.metrics["statements/s"]; ok {
			b.report.add(judge("statements appended durably, "+f.name, "1/s", targets[f.name], []float64{rate}, nil))
		}
	}
	return nil
}

// benchmark is one line of a Go benchmark's output.
type benchmark struct {
	name    string // of the sub-benchmark
	metrics map[string]float64
}

// goBench runs a package's benchmarks; none at all is an error.
func goBench(ctx context.Context, pkg, pattern, benchtime string) ([]benchmark, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchtime", benchtime, "-timeout", "30m", pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w: %s", pattern, pkg, err, out)
	}
	var found []benchmark
	for line := range strings.Lines(string(out)) {
		if f, ok := parseBenchmark(line); ok {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no benchmark %s", pkg, pattern)
	}
	return found, nil
}

// parseBenchmark reads "BenchmarkTrace/a_file-2  500  1234 ns/op  1.5 p99-ms".
func parseBenchmark(line string) (benchmark, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return benchmark{}, false
	}
	_, name, _ := strings.Cut(fields[0], "/")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i]
	}
	b := benchmark{name: strings.ReplaceAll(name, "_", " "), metrics: map[string]float64{}}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return benchmark{}, false
		}
		b.metrics[fields[i+1]] = value
	}
	return b, true
}
