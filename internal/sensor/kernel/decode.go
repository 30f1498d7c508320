package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// The offsets of bpf/event.h's struct head.
const (
	atKind, atAction, atOrigin, atFlags               = 0, 1, 2, 3
	atPathLen, atTargetLen, atArgsLen, atLayer        = 4, 6, 8, 10
	atPID, atTID, atPPID, atUID, atCode               = 12, 16, 20, 24, 28
	atTime, atStarted, atCgroup, atInode, atRealInode = 32, 40, 48, 56, 64
	atDev, atRealDev, atAddr, atPort, atCall, atComm  = 72, 76, 80, 96, 98, 104
	headSize                                          = 120
	flagDeleted, flagWritable, flagUDP                = 1, 2, 4
	flagSensitive, flagIPv6, flagCode, flagRecalled   = 8, 16, 32, 64
	maxInterned                                       = 8192
	relativeElsewhere                                 = 1<<32 - 1
)

var errShort = errors.New("kernel: an event is shorter than it says")

// decoder turns records into events. It keeps the strings that it has seen: most events name a file,
// a command and a peer that an earlier one did.
type decoder struct {
	strings map[string]string
	boot    time.Time // when the machine started, by the clock that events are told in
	paths   *patterns
}

func newDecoder(p *patterns) *decoder {
	return &decoder{strings: map[string]string{}, paths: p}
}

// decode fills e. It reports false for an open that only looked sensitive.
func (d *decoder) decode(raw []byte, e *Event) (bool, error) {
	if len(raw) < headSize {
		return false, errShort
	}
	le := binary.LittleEndian
	flags := raw[atFlags]
	*e = Event{
		Kind: Kind(raw[atKind]), Action: Action(raw[atAction]),
		Time: d.boot.Add(time.Duration(le.Uint64(raw[atTime:]))),
		PID:  le.Uint32(raw[atPID:]), TID: le.Uint32(raw[atTID:]),
		PPID: le.Uint32(raw[atPPID:]), UID: le.Uint32(raw[atUID:]),
		Started: le.Uint64(raw[atStarted:]), Cgroup: le.Uint64(raw[atCgroup:]),
		Comm: d.text(raw[atComm : atComm+16]), Code: le.Uint32(raw[atCode:]),
		Call: callName(raw[atCall]), UDP: flags&flagUDP != 0, Recalled: flags&flagRecalled != 0,
		File: File{
			Dev: device(le.Uint32(raw[atDev:])), Inode: le.Uint64(raw[atInode:]),
			RealDev: device(le.Uint32(raw[atRealDev:])), RealInode: le.Uint64(raw[atRealInode:]),
			Origin: Origin(raw[atOrigin]), Layer: int(le.Uint16(raw[atLayer:])),
			Deleted: flags&flagDeleted != 0, Writable: flags&flagWritable != 0,
		},
	}
	e.Peer = peer(raw, flags)
	base := int(e.Code)
	if err := d.readStrings(raw, e); err != nil {
		return false, err
	}
	d.cleanPaths(e, base)
	e.Sensitive = flags&flagSensitive != 0 && d.paths.match(e.File.Path)
	keep := e.Sensitive || e.Kind != Open || e.Recalled || e.Action != Observed || flags&flagCode != 0
	return keep, nil
}

func (d *decoder) readStrings(raw []byte, e *Event) error {
	le := binary.LittleEndian
	path, target, args := int(le.Uint16(raw[atPathLen:])), int(le.Uint16(raw[atTargetLen:])), int(le.Uint16(raw[atArgsLen:]))
	rest := raw[headSize:]
	if path+target+args > len(rest) {
		return errShort
	}
	e.File.Path = d.text(rest[:path])
	e.Target = d.text(rest[path : path+target])
	if args > 0 {
		e.Args = d.text(spaced(rest[path+target : path+target+args]))
	}
	return nil
}

// cleanPaths finishes what the kernel only joined. Of a rename, base is how much of the first path is
// the folder that both are relative to.
func (d *decoder) cleanPaths(e *Event, base int) {
	if e.Kind != Rename && e.Kind != Unlink && e.Kind != Chmod {
		return
	}
	if e.Kind == Rename {
		e.Code = 0
		if e.Target != "" && e.Target[0] != '/' && base <= len(e.File.Path) {
			e.Target = path.Clean("/" + e.File.Path[:base] + "/" + e.Target)
		}
	}
	if e.File.Path != "" {
		e.File.Path = path.Clean("/" + e.File.Path)
	}
}

// text returns the string up to the first NUL, the same one for the same bytes.
func (d *decoder) text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	if len(b) == 0 {
		return ""
	}
	if s, ok := d.strings[string(b)]; ok {
		return s
	}
	if len(d.strings) >= maxInterned {
		clear(d.strings)
	}
	s := string(b)
	d.strings[s] = s
	return s
}

// spaced puts spaces for the NULs between arguments.
func spaced(args []byte) []byte {
	out := bytes.TrimRight(bytes.Clone(args), "\x00")
	for i, c := range out {
		if c == 0 {
			out[i] = ' '
		}
	}
	return out
}

func peer(raw []byte, flags byte) netip.AddrPort {
	kind := Kind(raw[atKind])
	if kind != Connect && kind != Bind && kind != Accept && kind != SendTo {
		return netip.AddrPort{}
	}
	addr := netip.AddrFrom16([16]byte(raw[atAddr : atAddr+16]))
	if flags&flagIPv6 == 0 || addr.Is4In6() {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(raw[atPort:]))
}

// device turns the kernel's number of a device into the one that stat(2) tells.
func device(kernel uint32) uint64 { return unix.Mkdev(kernel>>20, kernel&(1<<20-1)) }

func kernelDevice(dev uint64) uint32 { return unix.Major(dev)<<20 | unix.Minor(dev)&(1<<20-1) }
