package safearchive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// Visit is called for each member in the archive's order. content yields the file's bytes and is
// valid until Visit returns; what it does not read is skipped, by seeking where the archive is an
// io.Seeker. An error ends the walk and is returned as it is.
type Visit func(e Entry, content io.Reader) error

// Walk reads the tar archive r, which Decompress has unpacked, and refuses it with an archive-…
// fault at the first member that a package must not hold. After the last member it reads r to the
// end, so that a checksum there is checked, and refuses anything but padding there. An archive that
// two readers could take apart differently is refused with code archive-ambiguous. An error of r
// itself is returned wrapped.
func Walk(r io.Reader, limits Limits, visit Visit) error {
	w := newWalker(io.TeeReader(r, new(frame)), limits, visit)
	w.refuse = func(f *fault.Error) error { return f }
	w.strict = &strictness{files: map[string]struct{}{}, links: map[string]struct{}{}}
	if err := w.run(); err != nil {
		return err
	}
	return w.drain()
}

// Survey reads the tar archive r and leaves out the members that are hostile, telling skipped
// about each. It returns an archive-… fault only where reading cannot go on: the archive is
// malformed or cut off, or a limit on the whole is exceeded. Bytes after the end of the archive are
// not read.
//
// Cut off is an archive without a byte, and one that ends inside a header, a file or the padding
// behind it. One that ends between two members without the two blocks of zeroes that POSIX asks for
// (pax, "ustar Interchange Format") is taken as whole: tar implementations unpack it without a word.
func Survey(r io.Reader, limits Limits, visit Visit, skipped func(*fault.Error)) error {
	w := newWalker(r, limits, visit)
	w.refuse = func(f *fault.Error) error { skipped(f); return nil }
	begin, err := w.position()
	if err != nil {
		return err
	}
	if err := w.run(); err != nil {
		return err
	}
	end, err := w.position()
	if err == nil && (end == begin || (end-begin)%blockSize != 0) {
		return cutOff()
	}
	return err
}

// blockSize is what a tar archive is made of, in bytes. archive/tar reads whole blocks, and takes
// padding that is not there for the end of the archive.
const blockSize = 512

type walker struct {
	source *source
	seeker io.Seeker // nil where the archive can only be read
	tar    *tar.Reader
	limits Limits
	visit  Visit
	// refuse is told of a hostile member; what it returns ends the walk.
	refuse func(*fault.Error) error
	// strict is nil for a survey.
	strict *strictness

	entries          int
	unpacked, sparse int64
}

func newWalker(r io.Reader, limits Limits, visit Visit) *walker {
	s := &source{Reader: r}
	w := &walker{source: s, limits: limits, visit: visit, tar: tar.NewReader(s)}
	if seeker, ok := r.(io.Seeker); ok {
		w.seeker = seeker
		w.tar = tar.NewReader(struct {
			*source
			io.Seeker
		}{s, seeker})
	}
	return w
}

// position is how far the archive has been read, in bytes.
func (w *walker) position() (int64, error) {
	if w.seeker == nil {
		return w.source.n, nil
	}
	at, err := w.seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, fmt.Errorf("read archive: %w", err)
	}
	return at, nil
}

func (w *walker) run() error {
	for {
		header, err := w.tar.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return w.blame(err)
		}
		if err := w.member(header); err != nil {
			return err
		}
	}
}

// blame tells the archive's faults from those of the reader below.
func (w *walker) blame(err error) error {
	if w.source.err == nil {
		return malformed(err)
	}
	return fmt.Errorf("read archive: %w", w.source.err)
}

func (w *walker) member(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // in a package a comment: see frame
	}
	w.entries++
	if w.limits.Entries > 0 && w.entries > w.limits.Entries {
		return tooManyEntries(w.limits.Entries)
	}
	e, refusal := w.entry(h)
	if refusal == nil && w.strict != nil {
		refusal = w.strict.check(h, e)
	}
	if refusal != nil {
		return w.refuse(refusal)
	}
	if err := w.weigh(e); err != nil {
		return err
	}
	if e.Path == "." {
		return nil
	}
	return w.see(e)
}

// see calls visit. Where the content could not be read, that is the error, whatever visit made of it.
func (w *walker) see(e Entry) error {
	content := &source{Reader: w.tar}
	err := w.visit(e, content)
	if content.err != nil {
		return w.blame(content.err)
	}
	return err
}

// entry describes the member, or says why it is left out.
func (w *walker) entry(h *tar.Header) (Entry, *fault.Error) {
	e := Entry{Mode: h.FileInfo().Mode(), Kind: kindOf(h.Typeflag)}
	e.Mode &^= e.Mode.Type()
	cleaned, ok := clean(h.Name)
	if !ok {
		return e, pathEscape(h.Name)
	}
	if deeper(cleaned, w.limits.PathLength, w.limits.Depth) {
		return e, pathTooLong(h.Name)
	}
	e.Path = cleaned
	switch e.Kind {
	case File:
		e.Size = h.Size
		return e, w.weighSparse(h)
	case Symlink:
		e.Target = strings.Clone(h.Linkname)
	case Hardlink:
		if e.Target, ok = clean(h.Linkname); !ok {
			return e, linkEscape(h.Name, h.Linkname)
		}
	}
	if deeper(e.Target, w.limits.PathLength, 0) {
		return e, pathTooLong(h.Linkname)
	}
	return e, nil
}

// weigh counts the declared sizes: a member that is skipped by seeking costs nothing to declare.
func (w *walker) weigh(e Entry) error {
	w.unpacked += e.Size
	if w.limits.Unpacked > 0 && (w.unpacked > w.limits.Unpacked || w.unpacked < 0) {
		return tooLarge(w.limits.Unpacked)
	}
	return nil
}

// weighSparse leaves out a file with holes before it is counted or read: archive/tar yields the
// holes as zeroes, and hashing a terabyte of them takes an hour.
func (w *walker) weighSparse(h *tar.Header) *fault.Error {
	if !isSparse(h) || w.limits.Sparse <= 0 {
		return nil
	}
	if h.Size > w.limits.Sparse-w.sparse {
		return sparseTooLarge(h.Name, w.limits.Sparse)
	}
	w.sparse += h.Size
	return nil
}

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func kindOf(typeflag byte) Kind {
	switch typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return File
	case tar.TypeDir:
		return Dir
	case tar.TypeSymlink:
		return Symlink
	case tar.TypeLink:
		return Hardlink
	default:
		return Special
	}
}

// drain reads what follows the archive's end, within the limit of the reader below. Only padding may:
// members behind the end are there for some tools and not for others.
func (w *walker) drain() error {
	_, err := io.Copy(padding{}, w.source)
	switch {
	case err == nil:
		return nil
	case w.source.err == nil:
		return trailing()
	}
	return fmt.Errorf("read archive: %w", w.source.err)
}

var errNotPadding = errors.New("data after the end of the archive")

// padding is a writer that takes zeros.
type padding struct{}

// Write implements io.Writer.
func (padding) Write(p []byte) (int, error) {
	for i, b := range p {
		if b != 0 {
			return i, errNotPadding
		}
	}
	return len(p), nil
}

// source remembers the error of the reader below, which archive/tar passes on indistinguishably
// from its own.
type source struct {
	io.Reader
	n   int64 // bytes read
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
