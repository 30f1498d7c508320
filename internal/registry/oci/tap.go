package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"

	"github.com/hullmark/hullmark/internal/evidence"
)

const (
	// sniffBytes is a tar header: with fewer, plain archives cannot be told from other content.
	sniffBytes = 512
	// feedBytes is how much is handed to a layer reader at a time, and feedDepth how many such
	// pieces may wait: together the 4 MiB by which an upload may run ahead of its reader.
	feedBytes = 256 << 10
	feedDepth = 16
)

// errAborted is what a layer reader sees when its upload came to nothing.
var errAborted = errors.New("the upload was aborted")

// tap lets a layer be read while it is uploaded. Written to by the upload, it looks at the first
// bytes and, when they could be a layer, feeds all of them to a reader in a goroutine of its own.
// It never fails: an upload must not, for its contents. Its methods are called by one goroutine
// at a time; it ends with finish or abort.
type tap struct {
	book *layerBook
	size int64 // bytes seen

	head    []byte // the first bytes, until decided
	decided bool

	piece  []byte       // filling up
	feed   chan []byte  // to the reader; nil when there is none
	broken bool         // set before feed is closed: the bytes are not whole
	result chan outcome // one, when feed is not nil
}

// outcome is what a layer reader returned.
type outcome struct {
	inventory *evidence.Inventory
	err       error
}

// Write implements io.Writer. It blocks while the reader is feedDepth pieces behind.
func (t *tap) Write(p []byte) (int, error) {
	t.size += int64(len(p))
	if t.decided {
		t.pass(p)
		return len(p), nil
	}
	t.head = append(t.head, p...)
	if len(t.head) >= sniffBytes {
		t.decide()
	}
	return len(p), nil
}

// decide starts the reader, when the first bytes could be a layer and a reader is free.
func (t *tap) decide() {
	t.decided = true
	head := t.head
	t.head = nil
	if !looksLikeLayer(head) || !t.book.begin() {
		return
	}
	t.feed, t.result = make(chan []byte, feedDepth), make(chan outcome, 1)
	source := &feedReader{tap: t, feed: t.feed}
	t.book.group.Go(func() { t.read(source) })
	t.pass(head)
}

func (t *tap) pass(p []byte) {
	for t.feed != nil && len(p) > 0 {
		if t.piece == nil {
			t.piece = make([]byte, 0, feedBytes)
		}
		n := min(len(p), cap(t.piece)-len(t.piece))
		t.piece = append(t.piece, p[:n]...)
		p = p[n:]
		if len(t.piece) == cap(t.piece) {
			t.feed <- t.piece
			t.piece = nil
		}
	}
}

// read runs the layer reader over the feed and drains what it leaves.
func (t *tap) read(source io.Reader) {
	defer t.book.end()
	inventory, err := t.book.reader.ReadLayer(source)
	if _, rest := io.Copy(io.Discard, source); err == nil {
		err = rest
	}
	t.result <- outcome{inventory, err}
}

// finish says that all bytes were written and returns where the reader's outcome will come;
// nil when the bytes were not read.
func (t *tap) finish() <-chan outcome {
	if !t.decided {
		t.decide()
	}
	if t.feed == nil {
		return nil
	}
	if len(t.piece) > 0 {
		t.feed <- t.piece
	}
	close(t.feed)
	t.feed = nil
	return t.result
}

// abort ends the reader of an upload that came to nothing. A nil tap is allowed.
func (t *tap) abort() {
	if t == nil {
		return
	}
	t.decided = true
	if t.feed != nil {
		t.broken = true
		close(t.feed)
		t.feed = nil
	}
}

// feedReader is the reader's end of a tap.
type feedReader struct {
	tap  *tap
	feed <-chan []byte
	rest []byte
}

func (f *feedReader) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		piece, more := <-f.feed
		if !more {
			if f.tap.broken {
				return 0, errAborted
			}
			return 0, io.EOF
		}
		f.rest = piece
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// looksLikeLayer reports whether content that begins with head could be a layer: gzip, zstd, or a
// tar archive by its first header's checksum. An empty archive begins with zeros.
func looksLikeLayer(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\x1f\x8b\x08")) || bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")) {
		return true
	}
	if len(head) < sniffBytes {
		return false
	}
	_, err := tar.NewReader(bytes.NewReader(head[:sniffBytes])).Next()
	return err == nil || len(bytes.Trim(head[:sniffBytes], "\x00")) == 0
}
