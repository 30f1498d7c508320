// Package kernel loads the BPF programs of bpf/, reads what they see and carries out what they may
// stop. It knows files by the overlay layer that they come from, in the kernel's own words
// (ovl_inode), and containers by their cgroup; what those mean is the business of its caller.
//
// It never hashes, never asks the network and never wakes user space once per event. What the
// running kernel lacks is found by [Probe], never guessed.
package kernel

import (
	"net/netip"
	"time"
)

// Kind is what an event is about.
type Kind uint8

// The kinds. Critical ones have a ring of their own, so that a storm of the others loses none of them.
const (
	Exec       Kind = iota + 1 // critical; File is the executable, Args the argument vector
	Exit                       // critical; Code is the exit status as wait(2) has it
	Fork                       // critical; PID is the child, PPID the parent
	Open                       // bulk; of code (interpreted sources, libraries) and of sensitive files
	Mmap                       // bulk; of an executable file mapping
	Connect                    // critical; Peer
	Bind                       // bulk; Peer is the local address
	Accept                     // bulk; Peer
	SendTo                     // bulk; UDP to a peer that the process has not sent to lately
	Rename                     // bulk; File is the source, Target the destination path
	Unlink                     // bulk
	Chmod                      // bulk; Code is the mode
	Privilege                  // critical; setuid, setns, unshare, ptrace, module and bpf loads: Call says which
	CgroupMade                 // critical; Cgroup and Target (its path)
)

// Origin is where a file comes from.
type Origin uint8

// The origins.
const (
	OriginUnknown  Origin = iota // this kernel's overlay could not be read
	OriginHost                   // not on an overlay: a host file, a volume, tmpfs
	OriginLower                  // an image layer, unchanged; Layer says which
	OriginCopiedUp               // an image file that was changed or whose metadata was; Layer is the original's
	OriginUpper                  // only in the container's writable layer: drift
	OriginMemfd                  // anonymous memory
)

// Action is what was done about an event, in the kernel.
type Action uint8

// The actions.
const (
	Observed Action = iota
	Killed          // a fatal signal was sent before the program ran its first instruction, or at the call
	Denied          // the call failed with EPERM
)

// Event is one thing that the kernel saw. The path of a file of an image is the path in the image,
// whatever is mounted over it; of other files it is the one that the process sees. Of a Rename, Unlink
// or Chmod by path it is the one that the process named, cleaned, and Origin is unknown.
type Event struct {
	Kind    Kind
	Action  Action
	Time    time.Time
	PID     uint32 // thread group, in the host's namespace
	TID     uint32
	PPID    uint32
	UID     uint32
	Started uint64 // of the process, ns since boot: with PID it is the process, also after PID reuse
	Comm    string
	Cgroup  uint64 // id of the cgroup v2 folder (its inode number)

	File      File
	Target    string // second path, or the script that an interpreter was started for
	Args      string // of an exec, space-separated, at most 512 bytes
	Peer      netip.AddrPort
	UDP       bool
	Call      string // of a Privilege event: "setuid", "setns", "unshare", "ptrace", "init_module", "bpf"
	Code      uint32
	Sensitive bool // of an Open: by the list of sensitive paths
	Recalled  bool // the file is blocked, see [Sensor.Block], or the process descends from one that used such a file
}

// File is a file as the kernel knows it.
type File struct {
	Path      string // "" for a memfd
	Dev       uint64 // of the superblock, as stat(2) has it in st_dev
	Inode     uint64
	RealDev   uint64 // of the file below the overlay that holds the content, which all containers of a layer share;
	RealInode uint64 // elsewhere Dev and Inode. It is what [Sensor.Block] wants
	Origin    Origin
	Layer     int  // 1 is the topmost lower layer, as in lowerdir=; 0 where Origin is not lower or copied up
	Deleted   bool // no link is left
	Writable  bool // opened for writing
}

// Follow is what to do about the processes of a cgroup. The zero value watches.
type Follow struct {
	// KillDrift ends a process whose executable is only in the writable layer, in memory or deleted.
	KillDrift bool
	// KillRecalled ends a process that executes, opens or maps a file that [Sensor.Block] names.
	KillRecalled bool
	// DenyEgress makes connect and sendmsg fail with EPERM for every process of the cgroup; loopback stays.
	DenyEgress bool
	// DenyTaintedEgress does so for processes that have loaded blocked content and were not killed.
	DenyTaintedEgress bool
}

// Counters are running totals since the sensor was loaded.
type Counters struct {
	Seen, Emitted   uint64 // events that a program looked at, and that passed the filters
	DroppedCritical uint64 // for want of room in the ring
	DroppedBulk     uint64
	Throttled       uint64 // by a cgroup's token bucket
	ByKind          map[Kind]uint64
}
