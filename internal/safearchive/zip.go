package safearchive

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/hullmark/hullmark/internal/fault"
)

// WalkZip reads the zip archive r of size bytes, as Walk reads a tar archive: a wheel, a jar or a nupkg
// that somebody will unpack with a tool that we do not control. Members come in the order of their
// bytes, and all of a member's content is read and checked, whatever visit leaves of it.
//
// A zip archive describes each member twice, in front of its content and in the directory at the end,
// and some tools believe the one and some the other. WalkZip takes an archive only where there is nothing
// to choose: the two descriptions agree, the members lie side by side from the first byte to the
// directory, and the directory is followed by one end record that ends with the file. Anything else is
// archive-ambiguous or archive-trailing-data, and so are names that are not UTF-8, backslashes, links,
// and content that does not end where its size says.
func WalkZip(r io.ReaderAt, size int64, limits Limits, visit Visit) error {
	w := &zipWalker{file: &zipFile{r: r, size: size}, limits: limits, visit: visit, crc: crc32.NewIEEE()}
	if limits.Packed > 0 && size > limits.Packed {
		return tooLarge(limits.Packed)
	}
	end, err := w.file.end(limits)
	if err != nil {
		return err
	}
	members, err := w.file.directory(end, limits)
	if err != nil {
		return err
	}
	if err := w.check(members); err != nil {
		return err
	}
	slices.SortFunc(members, func(a, b zipMember) int { return cmp.Compare(a.offset, b.offset) })
	for i := range members {
		next := end.directory
		if i+1 < len(members) {
			next = members[i+1].offset
		}
		if err := w.member(&members[i], next); err != nil {
			return err
		}
	}
	if len(members) == 0 && end.directory != 0 {
		return hiddenBytes(0)
	}
	return nil
}

type zipWalker struct {
	file   *zipFile
	limits Limits
	visit  Visit

	position int64 // where the next member has to begin
	packed   bufio.Reader
	inflater io.ReadCloser
	crc      hash.Hash32
}

// check looks at what the directory says about all members before any of them is read.
func (w *zipWalker) check(members []zipMember) error {
	var unpacked, packed int64
	files, folders := map[string]bool{}, map[string]bool{}
	for i := range members {
		m := &members[i]
		if err := m.describe(w.limits); err != nil {
			return err
		}
		unpacked, packed = unpacked+m.size, packed+m.packed
		if w.limits.Unpacked > 0 && (unpacked > w.limits.Unpacked || unpacked < 0) {
			return tooLarge(w.limits.Unpacked)
		}
		p := m.entry.Path
		if m.entry.Kind == Dir {
			folders[p] = true
		} else if files[p] {
			return duplicate(m.name)
		} else {
			files[p] = true
		}
		for dir := parent(p); dir != "" && !folders[dir]; dir = parent(dir) {
			folders[dir] = true
		}
	}
	if w.limits.Ratio > 0 && unpacked > ratioGrace && unpacked/w.limits.Ratio > packed {
		return bomb(w.limits.Ratio)
	}
	for p := range files {
		if folders[p] {
			return duplicate(p)
		}
	}
	return nil
}

func parent(p string) string {
	return p[:max(strings.LastIndexByte(p, '/'), 0)]
}

// member checks and shows one member, which has to reach from w.position to next.
func (w *zipWalker) member(m *zipMember, next int64) error {
	if m.offset < w.position {
		return twoReadings("%s lies over another entry", quote(m.name))
	}
	if m.offset > w.position {
		return hiddenBytes(w.position)
	}
	begin, err := w.file.local(m)
	if err != nil {
		return err
	}
	end := begin + m.packed
	if end > next || end < begin {
		return twoReadings("%s lies over what follows it", quote(m.name))
	}
	if err := w.file.descriptor(m, end, next-end); err != nil {
		return err
	}
	w.position = next
	if m.entry.Path == "." {
		return nil
	}
	return w.see(m, begin)
}

// see shows the member's content and reads it to its end.
func (w *zipWalker) see(m *zipMember, begin int64) error {
	raw := &source{Reader: io.NewSectionReader(w.file.r, begin, m.packed)}
	w.packed.Reset(raw)
	plain, err := w.plain(m)
	if err != nil {
		return err
	}
	w.crc.Reset()
	content := &source{Reader: io.TeeReader(&exactly{r: plain, left: m.size, name: m.name}, w.crc)}
	err = w.visit(m.entry, content)
	if err == nil {
		_, err = io.Copy(io.Discard, content)
	}
	switch {
	case raw.err != nil:
		return fmt.Errorf("read archive: %w", raw.err)
	case content.err != nil:
		if errors.As(content.err, new(*fault.Error)) {
			return content.err
		}
		return malformedZip(content.err)
	case err != nil:
		return err
	case w.crc.Sum32() != m.crc:
		return malformedZip(fmt.Errorf("checksum of %s", quote(m.name)))
	}
	if _, err := w.packed.ReadByte(); err != io.EOF {
		return twoReadings("%s has bytes behind its compressed content", quote(m.name))
	}
	return nil
}

// plain yields the member's content. The decoder takes single bytes from w.packed, and so takes none
// that is not its own.
func (w *zipWalker) plain(m *zipMember) (io.Reader, error) {
	if m.method == methodStored {
		return &w.packed, nil
	}
	if w.inflater == nil {
		w.inflater = flate.NewReader(&w.packed)
		return w.inflater, nil
	}
	return w.inflater, w.inflater.(flate.Resetter).Reset(&w.packed, nil)
}

// exactly passes on left bytes and wants r to end there.
type exactly struct {
	r    io.Reader
	left int64
	name string
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	if e.left > 0 {
		n, err := e.r.Read(p)
		e.left -= int64(n)
		if err == io.EOF && e.left > 0 {
			err = io.ErrUnexpectedEOF
		}
		return n, ignoreEnd(err)
	}
	var one [1]byte
	if n, err := io.ReadFull(e.r, one[:]); n > 0 {
		return 0, twoReadings("%s is longer than its size says", quote(e.name))
	} else if err != io.EOF {
		return 0, err
	}
	return 0, io.EOF
}

func ignoreEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// The refusals that only zip archives know.

func twoReadings(what string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "archive-ambiguous",
		"%s, so that zip readers could see different files; pack it again with the ecosystem's own tool", fmt.Sprintf(what, args...))
}

func hiddenBytes(at int64) *fault.Error {
	return fault.New(fault.Invalid, "archive-trailing-data",
		"the archive has bytes at %d that belong to no entry, which some tools would unpack and others not; pack it again", at)
}

func malformedZip(cause error) *fault.Error {
	return fault.New(fault.Invalid, "archive-malformed",
		"the archive is damaged or is not a zip archive; pack it again with the ecosystem's own tool").Because(cause)
}
