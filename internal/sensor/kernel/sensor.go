package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/clock"
)

// Config says how much memory the sensor takes and what it looks at. The zero value is usable.
type Config struct {
	// CriticalSize and BulkSize are the bytes of the two rings, powers of two. The defaults, 1 MiB and
	// 8 MiB, hold what a busy machine does in a tenth of a second; smaller ones drop under load.
	CriticalSize, BulkSize int
	// SelfPID is the process that is never reported, in the host's numbers; the default is this one.
	SelfPID int
	// Sensitive are patterns of files whose opening is told; the default is [DefaultSensitive].
	Sensitive []string
	// Rate is how many bulk events, connects and privileged calls a cgroup may have in a second;
	// what is beyond is counted and lost. The default is 20,000; negative is no limit.
	Rate int
	// Seen is how long a file that was reported in a cgroup is not reported again; the default is 10 s.
	Seen time.Duration
	// Poll is how often the rings are looked at; the default is 5 ms. Enforcement is told at once.
	Poll time.Duration
	// Tracing has opens and mappings told by traced functions where the kernel allows that: it sees what
	// io_uring and 32-bit programs do. Elsewhere it changes nothing.
	Tracing bool
	// LSM also attaches the security hooks that [DenyLSM] needs; Load fails where they cannot be.
	LSM bool
	// Clock gives the times of events.
	Clock clock.Clock
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&c.CriticalSize, 1<<20)
	orInt(&c.BulkSize, 8<<20)
	orInt(&c.SelfPID, os.Getpid())
	orInt(&c.Rate, 20_000)
	if c.Sensitive == nil {
		c.Sensitive = DefaultSensitive()
	}
	if c.Seen == 0 {
		c.Seen = 10 * time.Second
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Millisecond
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return c
}

// Sensor is the programs in the kernel and the rings that they write to. Nothing of it is pinned: it
// ends with [Sensor.Close], or with the process. Its methods may be called concurrently; Run only once.
type Sensor struct {
	config     Config
	patterns   *patterns
	collection *ebpf.Collection
	further    []*ebpf.Collection // of security hooks and of traced functions, where there are
	closers    []io.Closer        // links and perf events, in the order of attaching
	critical   *ring
	bulk       *ring
	lacks      []string
	overlay    overlay
	network    bool // peers are seen, and can be denied
	traced     bool // opens and mappings are told by functions, not by calls

	mu      sync.Mutex // guards blocks
	blocks  uint32     // how many files are blocked; the kernel looks none up while it is 0
	watched bool
}

// Load puts the programs into the kernel. It needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, which is
// root for most; [Probe] says what is missing where it fails.
func Load(config Config) (*Sensor, error) {
	// Kernels before 5.11 count maps against the limit of locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("kernel: lift the limit of locked memory: %w", err)
	}
	o, err := findOverlay()
	s, failed := load(config, o)
	if failed == nil && err != nil {
		s.lacks = append(s.lacks, "no origin of files: "+reason(err))
	}
	return s, failed
}

func load(config Config, o overlay) (*Sensor, error) {
	config = config.withDefaults()
	paths, err := newPatterns(config.Sensitive)
	if err != nil {
		return nil, err
	}
	programs, err := spec(sensorObject, config)
	if err != nil {
		return nil, err
	}
	s := &Sensor{config: config, patterns: paths, overlay: o}
	if s.collection, s.lacks, err = o.loadWhatGoes(programs); err != nil {
		return nil, fmt.Errorf("kernel: load programs: %w", err)
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sensor) start() (err error) {
	if err := fillNames(s.collection.Maps, s.config.Sensitive); err != nil {
		return err
	}
	if s.critical, err = newRing(s.collection.Maps["critical"]); err != nil {
		return err
	}
	if s.bulk, err = newRing(s.collection.Maps["bulk"]); err != nil {
		return err
	}
	if err := s.attachProcesses(); err != nil {
		return err
	}
	if err := s.attachNetwork(); err != nil {
		s.lacks = append(s.lacks, reason(err))
	}
	if s.config.Tracing {
		s.traced = s.attachTracing() == nil
	}
	if err := s.attachCalls(); err != nil {
		s.lacks = append(s.lacks, reason(err))
	}
	if s.config.LSM {
		return s.attachLSM()
	}
	return nil
}

// attachProcesses attaches what the sensor is nothing without.
func (s *Sensor) attachProcesses() error {
	for program, tracepoint := range map[string]string{
		"process_exec": "sched_process_exec", "process_fork": "sched_process_fork", "process_exit": "sched_process_exit",
		"cgroup_made": "cgroup_mkdir", "cgroup_removed": "cgroup_rmdir",
	} {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: tracepoint, Program: s.collection.Programs[program]})
		if err != nil {
			return fmt.Errorf("kernel: attach to %s: %w", tracepoint, err)
		}
		s.closers = append(s.closers, l)
	}
	return nil
}

// attachNetwork hooks the whole tree of cgroups; the programs look only at what is followed.
func (s *Sensor) attachNetwork() error {
	root, err := CgroupRoot()
	if err != nil {
		return err
	}
	for name, at := range addressHooks() {
		program, ok := s.collection.Programs[name]
		if !ok {
			return nil // told when it could not be loaded
		}
		l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: at, Program: program})
		if err != nil {
			return fmt.Errorf("kernel: attach %s to %s: %w", name, root, err)
		}
		s.closers = append(s.closers, l)
	}
	s.network = true
	return nil
}

func addressHooks() map[string]ebpf.AttachType {
	return map[string]ebpf.AttachType{
		"connect4": ebpf.AttachCGroupInet4Connect, "connect6": ebpf.AttachCGroupInet6Connect,
		"sendmsg4": ebpf.AttachCGroupUDP4Sendmsg, "sendmsg6": ebpf.AttachCGroupUDP6Sendmsg,
		"bind4": ebpf.AttachCGroupInet4Bind, "bind6": ebpf.AttachCGroupInet6Bind,
	}
}

// Traced tells whether Config.Tracing took effect.
func (s *Sensor) Traced() bool { return s.traced }

// Lacks returns what this machine could not give: system calls that the kernel or the architecture does
// not have, and why peers or calls are not told at all. It is for people.
func (s *Sensor) Lacks() []string { return s.lacks }

// Close detaches and unloads everything. It must not run while Run does.
func (s *Sensor) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	for _, r := range []*ring{s.critical, s.bulk} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	s.collection.Close()
	return errors.Join(errs...)
}

// follow is bpf/event.h's struct follow.
type follow struct {
	Flags uint32
	_     uint32
	Spent uint64
}

func (f Follow) flags() uint32 {
	var out uint32
	for i, on := range []bool{f.KillDrift, f.KillRecalled, f.DenyEgress, f.DenyTaintedEgress} {
		if on {
			out |= 1 << i
		}
	}
	return out
}

// Follow watches the processes of a cgroup, and of the cgroups that are made in it from now on.
// Calling it again changes what is done about them.
func (s *Sensor) Follow(cgroup uint64, f Follow) error {
	if (f.DenyEgress || f.DenyTaintedEgress) && !s.network {
		return errors.New("kernel: egress cannot be denied on this machine, see Lacks")
	}
	if err := s.collection.Maps["cgroups"].Put(cgroup, follow{Flags: f.flags()}); err != nil {
		return fmt.Errorf("kernel: follow cgroup %d: %w", cgroup, err)
	}
	return nil
}

// Forget ends Follow for a cgroup. One that was removed is forgotten without it.
func (s *Sensor) Forget(cgroup uint64) error {
	err := s.collection.Maps["cgroups"].Delete(cgroup)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("kernel: forget cgroup %d: %w", cgroup, err)
	}
	return nil
}

// settings is bpf/event.h's struct settings.
type settings struct {
	WatchAll, Blocked uint32
}

// Watch says whether cgroups that were not named are watched too, without anything being done to them.
func (s *Sensor) Watch(all bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = all
	return s.putSettings()
}

func (s *Sensor) putSettings() error {
	v := settings{Blocked: s.blocks}
	if s.watched {
		v.WatchAll = 1
	}
	if err := s.collection.Maps["settings"].Put(uint32(0), v); err != nil {
		return fmt.Errorf("kernel: settings: %w", err)
	}
	return nil
}

// fileID is bpf/event.h's struct file_id.
type fileID struct {
	Inode uint64
	Dev   uint32
	_     uint32
}

// What is held against a file; bpf/file.h has the same numbers.
const (
	heldMarked  uint8 = 1
	heldBlocked uint8 = 2
)

// Block marks a file as recalled: a process that executes, opens or maps it is tainted, and ended where
// its cgroup has KillRecalled. The file is named by st_dev and st_ino in the file system that holds
// its content; blocking it in an image layer's folder reaches every container of that layer.
func (s *Sensor) Block(dev, inode uint64) error {
	return s.hold(dev, inode, heldBlocked, ebpf.UpdateAny)
}

// Mark is a Block that only taints. A file that is blocked already stays blocked.
func (s *Sensor) Mark(dev, inode uint64) error {
	return s.hold(dev, inode, heldMarked, ebpf.UpdateNoExist)
}

func (s *Sensor) hold(dev, inode uint64, held uint8, how ebpf.MapUpdateFlags) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fileID{Inode: inode, Dev: kernelDevice(dev)}
	files := s.collection.Maps["blocked"]
	var before uint8
	known := files.Lookup(id, &before) == nil
	err := files.Update(id, held, how)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kernel: block inode %d: %w", inode, err)
	}
	if known {
		return nil
	}
	s.blocks++
	return s.putSettings()
}

// Unblock ends Block and Mark. Processes that were tainted stay so.
func (s *Sensor) Unblock(dev, inode uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.collection.Maps["blocked"].Delete(fileID{Inode: inode, Dev: kernelDevice(dev)})
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kernel: unblock inode %d: %w", inode, err)
	}
	s.blocks--
	return s.putSettings()
}

// Taint marks a process as one that has used recalled content, for DenyTaintedEgress; its children
// inherit it.
func (s *Sensor) Taint(pid uint32) error {
	if err := s.collection.Maps["tainted"].Put(pid, uint64(1)); err != nil {
		return fmt.Errorf("kernel: taint process %d: %w", pid, err)
	}
	return nil
}

// Untaint ends Taint for one process.
func (s *Sensor) Untaint(pid uint32) error {
	err := s.collection.Maps["tainted"].Delete(pid)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("kernel: untaint process %d: %w", pid, err)
	}
	return nil
}

// stats is bpf/event.h's struct stats.
type stats struct {
	Seen, Emitted, DroppedCritical, DroppedBulk, Throttled uint64
	Kinds                                                  [16]uint64
}

// Counters sums what the processors counted.
func (s *Sensor) Counters() (Counters, error) {
	var each []stats
	if err := s.collection.Maps["stats"].Lookup(uint32(0), &each); err != nil {
		return Counters{}, fmt.Errorf("kernel: counters: %w", err)
	}
	out := Counters{ByKind: map[Kind]uint64{}}
	for _, one := range each {
		out.Seen += one.Seen
		out.Emitted += one.Emitted
		out.DroppedCritical += one.DroppedCritical
		out.DroppedBulk += one.DroppedBulk
		out.Throttled += one.Throttled
		for kind, n := range one.Kinds {
			if n > 0 {
				out.ByKind[Kind(kind)] += n
			}
		}
	}
	return out, nil
}

func bootTime(c clock.Clock) time.Time {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return c.Now()
	}
	return c.Now().Add(-time.Duration(ts.Nano()))
}
