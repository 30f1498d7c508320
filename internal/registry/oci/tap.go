package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/evidence"
)

// sniffBytes is a tar header: with fewer, plain archives cannot be told from other content.
const sniffBytes = 512

// errAborted is what a layer reader sees when its upload came to nothing.
var errAborted = errors.New("the upload was aborted")

// tap lets a layer be read while it is uploaded. It watches the bytes go by and, when the first
// of them could be a layer's, starts a reader that follows the upload in the blob store: what was
// just written comes from memory, and a reader that is slower than the network delays nobody.
//
// A tap never fails: an upload must not, for its contents. Its methods are called by one goroutine
// at a time; it ends with finish or abort.
type tap struct {
	book *layerBook
	size int64 // bytes seen

	head    []byte // the first bytes, until decided
	decided bool
	tail    *follower    // nil when nothing reads
	result  chan outcome // one, when tail is not nil
}

// outcome is what a layer reader returned.
type outcome struct {
	inventory *evidence.Inventory
	err       error
}

// saw notes that p was written to u.
func (t *tap) saw(u blob.Upload, p []byte) {
	t.size += int64(len(p))
	if t.decided {
		t.tail.grow(t.size)
		return
	}
	t.head = append(t.head, p[:min(len(p), sniffBytes)]...)
	if len(t.head) >= sniffBytes {
		t.decide(u)
	}
}

// decide starts the reader, when the first bytes could be a layer's and a reader is free.
func (t *tap) decide(u blob.Upload) {
	t.decided = true
	if !looksLikeLayer(t.head) || !t.book.begin() {
		return
	}
	content, err := u.Content()
	if err != nil {
		t.book.end()
		return
	}
	t.tail, t.result = newFollower(content, t.size), make(chan outcome, 1)
	source, result := t.tail, t.result
	t.book.group.Go(func() {
		defer t.book.end()
		defer source.Close()
		inventory, err := t.book.readLayer(source)
		result <- outcome{inventory, err}
	})
}

// finish says that all bytes are in u and returns where the reader's outcome will come; nil when
// nothing was read. It comes before u ends.
func (t *tap) finish(u blob.Upload) <-chan outcome {
	if !t.decided {
		t.decide(u)
	}
	t.tail.end(io.EOF)
	return t.result
}

// abort ends the reader of an upload that came to nothing. A nil tap is allowed.
func (t *tap) abort() {
	if t == nil {
		return
	}
	t.decided = true
	t.tail.end(errAborted)
}

// follower reads content that is still growing. A nil follower is told things in vain.
type follower struct {
	io.ReadCloser
	at int64 // bytes read; the reader's alone

	mu    sync.Mutex
	moved *sync.Cond
	size  int64 // bytes that are there; guarded by mu
	last  error // what follows them; nil while more may come; guarded by mu
}

func newFollower(content io.ReadCloser, size int64) *follower {
	f := &follower{ReadCloser: content, size: size}
	f.moved = sync.NewCond(&f.mu)
	return f
}

func (f *follower) grow(size int64) { f.tell(func() { f.size = size }) }

// end says that nothing more will come; the first word counts.
func (f *follower) end(err error) {
	f.tell(func() {
		if f.last == nil {
			f.last = err
		}
	})
}

func (f *follower) tell(change func()) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.moved.Broadcast()
}

// Read waits until there is something to read, or the upload has ended.
func (f *follower) Read(p []byte) (int, error) {
	left, err := f.wait()
	if err != nil {
		return 0, err
	}
	n, err := f.ReadCloser.Read(p[:min(int64(len(p)), left)])
	f.at += int64(n)
	if err == io.EOF && n == 0 {
		err = io.ErrUnexpectedEOF // the store's reader does not see what was written after it was opened
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// wait returns how many bytes can be read now. An aborted upload is not read on.
func (f *follower) wait() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.size == f.at && f.last == nil {
		f.moved.Wait()
	}
	if f.last == errAborted || f.size == f.at {
		return 0, f.last
	}
	return f.size - f.at, nil
}

const (
	// courtesy is how many times as long as it works a reader rests while somebody uploads.
	courtesy = 12
	// maxRest bounds one rest.
	maxRest = 200 * time.Millisecond
)

// courteous lets a layer reader stand back while bytes are moving in, where a client waits for its
// upload and nobody for the last file of a layer. It also ends the reading with the server.
type courteous struct {
	book *layerBook
	io.Reader
	since time.Time // when the reader got its last piece
}

func (c *courteous) Read(p []byte) (int, error) {
	if c.book.standBack && c.book.uploading.Load() > 0 && !c.since.IsZero() {
		c.rest(min(courtesy*time.Since(c.since), maxRest))
	}
	if err := c.book.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.Reader.Read(p)
	c.since = time.Now()
	return n, err
}

func (c *courteous) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.book.ctx.Done():
	}
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
