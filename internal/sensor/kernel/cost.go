package kernel

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// RunTime is what a program took by the kernel's account, see [CountRunTime].
type RunTime struct {
	Program string        `json:"program"`
	Runs    uint64        `json:"runs"`
	Total   time.Duration `json:"total"`
	Each    time.Duration `json:"each"`
}

// CountRunTime makes the kernel time every BPF program of the machine until the result is closed. It
// costs each run about 40 ns: for measurements, not for production.
func CountRunTime() (io.Closer, error) {
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("kernel: count run time: %w", err)
	}
	return c, nil
}

// RunTimes returns what the programs took while [CountRunTime] was on, by name.
func (s *Sensor) RunTimes() ([]RunTime, error) {
	var out []RunTime
	for name, program := range s.programs() {
		stats, err := program.Stats()
		if err != nil {
			return nil, fmt.Errorf("kernel: run time of %s: %w", name, err)
		}
		one := RunTime{Program: name, Runs: stats.RunCount, Total: stats.Runtime}
		if stats.RunCount > 0 {
			one.Each = stats.Runtime / time.Duration(stats.RunCount)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b RunTime) int { return strings.Compare(a.Program, b.Program) })
	return out, nil
}

func (s *Sensor) programs() map[string]*ebpf.Program {
	all := maps.Clone(s.collection.Programs)
	for _, c := range s.further {
		maps.Copy(all, c.Programs)
	}
	return all
}
