package safearchive

import (
	"errors"
	"io"
)

// windowSize is how much a Window reads ahead, in bytes: small enough that skipping a file wastes
// little, large enough that a folder of small files is one read.
const windowSize = 32 << 10

// Window reads a part of an open file with few system calls: forward in small steps from memory,
// and forward in large ones by seeking. It is what Decompress and Walk want of a local archive.
// A Window is used by one goroutine; several may share one file.
type Window struct {
	file      io.ReaderAt
	base, end int64 // the part, in the file
	pos       int64 // next byte, in the file
	buf       []byte
	at        int64 // where buf begins, in the file
	n         int   // how much of buf is filled
}

// NewWindow returns a reader over the size bytes of file that begin at offset.
func NewWindow(file io.ReaderAt, offset, size int64) *Window {
	return &Window{file: file, base: offset, end: offset + size, pos: offset, at: offset, buf: make([]byte, windowSize)}
}

// Read implements io.Reader. A read as large as the buffer goes to the file directly.
func (w *Window) Read(p []byte) (int, error) {
	if w.pos >= w.end {
		return 0, io.EOF
	}
	if left := w.end - w.pos; int64(len(p)) > left {
		p = p[:left]
	}
	if w.pos < w.at || w.pos >= w.at+int64(w.n) {
		if len(p) >= len(w.buf) {
			return w.direct(p)
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.buf[w.pos-w.at:w.n])
	w.pos += int64(n)
	return n, nil
}

func (w *Window) direct(p []byte) (int, error) {
	n, err := w.file.ReadAt(p, w.pos)
	w.pos += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (w *Window) fill() error {
	want := min(int64(len(w.buf)), w.end-w.pos)
	n, err := w.file.ReadAt(w.buf[:want], w.pos)
	w.at, w.n = w.pos, n
	if n > 0 {
		return nil
	}
	return err
}

// Seek implements io.Seeker.
func (w *Window) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		offset += w.base
	case io.SeekCurrent:
		offset += w.pos
	case io.SeekEnd:
		offset += w.end
	}
	if offset < w.base {
		return 0, errors.New("seek before the start of the window")
	}
	w.pos = offset
	return offset - w.base, nil
}
