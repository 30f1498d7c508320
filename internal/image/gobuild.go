package image

import (
	"bytes"
	"encoding/binary"
	"runtime/debug"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	buildInfoMagic = "\xff Go buildinf:"
	buildInfoAlign = 16
	// buildInfoHeader is the magic, the pointer size, flags and padding.
	buildInfoHeader = 32
	// flagInline says that the strings follow the header; before Go 1.18 they did not.
	flagInline = 2
	// maxBuildInfo is the longest list of modules that is read, in bytes.
	maxBuildInfo = 1 << 20
)

// buildInfoScanner finds the build info of a Go executable in the bytes that pass by on their way
// into a hash, so that a binary of any size is read once and never held.
//
// The linker puts the record into a writable segment, and debug/buildinfo looks for it only there;
// elsewhere the magic may belong to a Go binary that this one embeds. Source: debug/buildinfo.
// Binaries of Go before 1.18 keep pointers instead of text and are not read.
type buildInfoScanner struct {
	segments []span
	pos      int64  // in the file, of the next byte
	held     []byte // the end of what passed by, or the beginning of a record
	at       int64  // where held begins
	found    *debug.BuildInfo
}

// span is a part of a file, in bytes.
type span struct{ from, to int64 }

// newBuildInfoScanner takes the first block of the file; write must still be called with it.
func newBuildInfoScanner(head []byte) *buildInfoScanner {
	return &buildInfoScanner{segments: writableSegments(head)}
}

func (s *buildInfoScanner) write(block []byte) {
	from, to := s.pos, s.pos+int64(len(block))
	s.pos = to
	if s.found != nil {
		return
	}
	for _, seg := range s.segments {
		lo, hi := max(from, seg.from), min(to, seg.to)
		if lo < hi {
			s.scan(block[lo-from:hi-from], lo)
		}
	}
}

// scan looks for a record in what was held back and part, which is at offset at of the file.
func (s *buildInfoScanner) scan(part []byte, at int64) {
	if s.at+int64(len(s.held)) != at {
		s.held, s.at = s.held[:0], at
	}
	s.held = append(s.held, part...)
	for s.found == nil {
		i := bytes.Index(s.held, []byte(buildInfoMagic))
		if i < 0 {
			s.drop(len(s.held) - len(buildInfoMagic) + 1)
			return
		}
		s.drop(i)
		info, done := decodeBuildInfo(s.held)
		if s.at%buildInfoAlign != 0 {
			info, done = nil, true
		}
		if !done && len(s.held) < maxBuildInfo {
			return
		}
		s.found = info
		s.drop(1)
	}
	s.held = nil
}

// drop forgets the first n held bytes.
func (s *buildInfoScanner) drop(n int) {
	if n > 0 {
		s.at += int64(n)
		s.held = append(s.held[:0], s.held[n:]...)
	}
}

// decodeBuildInfo reads a record at the start of b. done is false while b is too short to tell.
func decodeBuildInfo(b []byte) (info *debug.BuildInfo, done bool) {
	if len(b) < buildInfoHeader {
		return nil, false
	}
	if b[15]&flagInline == 0 {
		return nil, true
	}
	version, rest, done := varString(b[buildInfoHeader:])
	if !done || version == nil {
		return nil, done
	}
	mod, _, done := varString(rest)
	if !done || !strings.HasPrefix(string(version), "go") && !strings.HasPrefix(string(version), "devel") {
		return nil, done
	}
	info = &debug.BuildInfo{}
	// Sixteen bytes of sentinel stand around the text.
	if n := len(mod); n >= 33 && mod[n-17] == '\n' {
		if parsed, err := debug.ParseBuildInfo(string(mod[16 : n-16])); err == nil {
			info = parsed
		}
	}
	info.GoVersion = string(version)
	return info, true
}

// varString cuts a length-prefixed string from b; nil when the length is absurd.
func varString(b []byte) (s, rest []byte, done bool) {
	n, size := binary.Uvarint(b)
	switch {
	case size == 0:
		return nil, nil, false
	case size < 0 || n > maxBuildInfo:
		return nil, nil, true
	case uint64(len(b)-size) < n:
		return nil, nil, false
	}
	end := size + int(n)
	return b[size:end:end], b[end:], true
}

// components are the modules that the executable p was linked from.
func (s *buildInfoScanner) components(p string) []evidence.Component {
	if s.found == nil {
		return nil
	}
	var out []evidence.Component
	add := func(name, version string) {
		if believable(name) && (version == "" || believable(version)) {
			out = append(out, evidence.Component{PURL: purl.New(purl.Golang, name, version), Path: p})
		}
	}
	goVersion, _, _ := strings.Cut(s.found.GoVersion, " ")
	if v, ok := strings.CutPrefix(goVersion, "go"); ok {
		add("stdlib", v)
	}
	if m := s.found.Main; m.Version != "" && m.Version != "(devel)" {
		add(m.Path, m.Version)
	}
	for _, dep := range s.found.Deps {
		add(linked(dep))
	}
	return out
}

// linked returns the module whose code is in the binary: the replacement, or for one from a local
// folder the name alone, because no version describes that.
func linked(m *debug.Module) (name, version string) {
	switch {
	case m.Replace == nil:
		return m.Path, m.Version
	case m.Replace.Version == "" || m.Replace.Version == "(devel)":
		return m.Path, ""
	}
	return m.Replace.Path, m.Replace.Version
}

// writableSegments returns the parts of an ELF file that are loaded writable; the whole file when
// head does not hold the program headers.
func writableSegments(head []byte) []span {
	const (
		ptLoad  = 1
		pfExec  = 1
		pfWrite = 2
	)
	whole := []span{{0, 1 << 62}}
	headers, order, wide, ok := programHeaders(head)
	if !ok {
		return whole
	}
	var out []span
	for _, h := range headers {
		kind, flags, offset, size := order.Uint32(h), order.Uint32(h[4:]), order.Uint64(h[8:]), order.Uint64(h[32:])
		if !wide {
			flags, offset, size = order.Uint32(h[24:]), uint64(order.Uint32(h[4:])), uint64(order.Uint32(h[16:]))
		}
		if kind == ptLoad && flags&(pfExec|pfWrite) == pfWrite && offset < 1<<61 && size < 1<<61 {
			out = append(out, span{int64(offset), int64(offset + size)})
		}
	}
	return out
}

// programHeaders cuts the program header table out of head. wide means 64 bits.
// Source: System V ABI, "ELF header" and "Program header".
func programHeaders(head []byte) (headers [][]byte, order binary.ByteOrder, wide, ok bool) {
	if len(head) < 64 {
		return nil, nil, false, false
	}
	order = binary.ByteOrder(binary.LittleEndian)
	if head[5] == 2 {
		order = binary.BigEndian
	}
	wide = head[4] == 2
	offset, size, count, least := uint64(order.Uint32(head[28:])), order.Uint16(head[42:]), order.Uint16(head[44:]), uint16(40)
	if wide {
		offset, size, count, least = order.Uint64(head[32:]), order.Uint16(head[54:]), order.Uint16(head[56:]), 56
	}
	table := uint64(size) * uint64(count)
	// least keeps the fields above inside of one header.
	if size < least || offset > uint64(len(head)) || table > uint64(len(head))-offset {
		return nil, nil, false, false
	}
	for i := range uint64(count) {
		from := offset + i*uint64(size)
		headers = append(headers, head[from:from+uint64(size)])
	}
	return headers, order, wide, true
}
