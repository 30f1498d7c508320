package kernel

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The compiled programs; `make bpf` makes them from bpf/ and a test compares.
//
//go:embed sensor.bpfel.o
var sensorObject []byte

// spec returns the programs and maps, sized and told who they run for.
func spec(object []byte, c Config) (*ebpf.CollectionSpec, error) {
	s, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("kernel: read programs: %w", err)
	}
	for name, size := range map[string]int{"critical": c.CriticalSize, "bulk": c.BulkSize} {
		if m, ok := s.Maps[name]; ok {
			m.MaxEntries = uint32(size)
		}
	}
	constants := map[string]any{
		"self_pid":      uint32(c.SelfPID),
		"host_mntns":    hostMountNamespace(),
		"critical_size": uint32(c.CriticalSize),
		"bulk_size":     uint32(c.BulkSize),
		"event_cost_ns": eventCost(c.Rate),
		"seen_ns":       uint64(c.Seen),
	}
	for name, value := range constants {
		v, ok := s.Variables[name]
		if !ok {
			continue // a smaller object does not use it
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("kernel: set %s: %w", name, err)
		}
	}
	return s, nil
}

func eventCost(perSecond int) uint64 {
	if perSecond <= 0 {
		return 0
	}
	return uint64(time.Second) / uint64(perSecond)
}

// hostMountNamespace is the one that container runtimes start in: the first process's, or the sensor's
// own where that may not be looked at.
func hostMountNamespace() uint32 {
	for _, file := range []string{"/proc/1/ns/mnt", "/proc/self/ns/mnt"} {
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil {
			return uint32(st.Ino)
		}
	}
	return 0 // nobody is excused
}

// loadWhatGoes loads the programs, and where that fails those that the sensor is nothing without: older
// kernels allow less to the hooks of addresses and of calls. It says what it left out, and why.
func (o overlay) loadWhatGoes(s *ebpf.CollectionSpec) (loaded *ebpf.Collection, lacks []string, err error) {
	loaded, err = o.collection(s, nil)
	for _, optional := range []struct {
		what   string
		choose func(*ebpf.ProgramSpec) bool
	}{
		{"peers", func(p *ebpf.ProgramSpec) bool { return p.Type == ebpf.CGroupSockAddr }},
		{"system calls", func(p *ebpf.ProgramSpec) bool { return p.Type == ebpf.TracePoint }},
	} {
		if err == nil {
			break
		}
		lacks = append(lacks, fmt.Sprintf("no events of %s: %s", optional.what, reason(err)))
		maps.DeleteFunc(s.Programs, func(_ string, p *ebpf.ProgramSpec) bool { return optional.choose(p) })
		loaded, err = o.collection(s, nil)
	}
	return loaded, lacks, err
}
