package safearchive

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// defaultWindow is what every zstd decoder must support. Source: RFC 8878, 3.1.1.1.2.
const defaultWindow = 8 << 20

const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
	// zstdSkippable begins a skippable frame, after a first byte of 0x50 to 0x5f.
	zstdSkippable = "\x2a\x4d\x18"
)

// Decompress returns the tar stream inside r, which is gzip, zstd or plain by its first bytes, and
// a function that frees the decoder. The stream fails with code archive-too-large beyond the
// limits and archive-malformed where the compression is broken; an error of r comes out wrapped.
//
// Where r is an io.Seeker and plain, so is the stream, and Walk skips what is not read.
func Decompress(r io.Reader, limits Limits) (io.Reader, func(), error) {
	if seeker, ok := r.(io.ReadSeeker); ok {
		plain, err := isPlain(seeker)
		if err != nil {
			return nil, nil, err
		}
		if plain {
			return seeker, func() {}, nil
		}
	}
	d := &decoder{limits: limits, source: &source{Reader: r}}
	buffered := bufio.NewReaderSize(&counted{Reader: d.source, n: &d.in}, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("read archive: %w", err)
	}
	free, err := d.open(buffered, magic, limits.Window)
	if err != nil {
		return nil, nil, d.blame(err)
	}
	return d, free, nil
}

// isPlain looks at the first bytes of r and rewinds it.
func isPlain(r io.ReadSeeker) (bool, error) {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, fmt.Errorf("read archive: %w", err)
	}
	magic := make([]byte, 4)
	n, err := io.ReadFull(r, magic)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, fmt.Errorf("read archive: %w", err)
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return false, fmt.Errorf("read archive: %w", err)
	}
	return !isGzip(magic[:n]) && !isZstd(magic[:n]), nil
}

func isGzip(magic []byte) bool { return bytes.HasPrefix(magic, []byte(gzipMagic)) }

func isZstd(magic []byte) bool {
	if len(magic) == 4 && magic[0]&0xf0 == 0x50 && string(magic[1:]) == zstdSkippable {
		return true
	}
	return bytes.HasPrefix(magic, []byte(zstdMagic))
}

// decoder bounds what comes out of a stream and tells whose error it is when it breaks.
type decoder struct {
	limits  Limits
	source  *source
	z       io.Reader
	in, out int64
}

func (d *decoder) open(r *bufio.Reader, magic []byte, window uint64) (func(), error) {
	switch {
	case isGzip(magic):
		z, err := gzip.NewReader(r)
		d.z = z
		return func() {}, err
	case isZstd(magic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(max(window, defaultWindow)))
		if err != nil {
			return nil, err
		}
		d.z = z
		return z.Close, nil
	default:
		d.z = r
		return func() {}, nil
	}
}

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.z.Read(p)
	d.out += int64(n)
	if over := d.over(); over != nil {
		return n, over
	}
	if err != nil && err != io.EOF {
		return n, d.blame(err)
	}
	return n, err
}

func (d *decoder) over() error {
	l := d.limits
	switch {
	case l.Packed > 0 && d.in > l.Packed:
		return tooLarge(l.Packed)
	case l.Unpacked > 0 && d.out > l.Unpacked:
		return tooLarge(l.Unpacked)
	case l.Ratio > 0 && d.out > ratioGrace && d.out-ratioGrace > l.Ratio*d.in:
		return bomb(l.Ratio)
	}
	return nil
}

func (d *decoder) blame(err error) error {
	if d.source.err == nil {
		return malformed(err)
	}
	return fmt.Errorf("read archive: %w", d.source.err)
}

// counted adds up the bytes that are read.
type counted struct {
	io.Reader
	n *int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}
