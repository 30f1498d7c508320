package upstream

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
)

// flight is one fetch, and the spool that those who wait for it read from.
type flight struct {
	begun chan struct{} // closed when the upstream began to send; length and spool are set before
	ended chan struct{} // closed at the end; artifact and err are set before

	length int64 // bytes that the upstream announced; negative when it did not
	spool  blob.Upload

	artifact digest.Digest
	err      error

	// mu guards size, the bytes that are in the spool, and grown, which is closed when there are more.
	mu    sync.Mutex
	size  int64
	grown chan struct{}
}

func newFlight() *flight {
	return &flight{begun: make(chan struct{}), ended: make(chan struct{}), grown: make(chan struct{}), length: -1}
}

// begin lets the waiting read the spool.
func (f *flight) begin(length int64, spool blob.Upload) {
	f.length, f.spool = length, spool
	close(f.begun)
}

// end tells the waiting how it went.
func (f *flight) end(artifact digest.Digest, err error) {
	f.artifact, f.err = artifact, err
	close(f.ended)
}

// open returns a reader over the spool. It fails when the spool has ended.
func (f *flight) open() (io.ReadCloser, error) { return f.spool.Content() }

// grow tells that there are n more bytes in the spool.
func (f *flight) grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size += int64(n)
	close(f.grown)
	f.grown = make(chan struct{})
}

// available returns how many bytes are there, and what is closed when that changes.
func (f *flight) available() (int64, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, f.grown
}

// sendError is a failure to write to the caller.
type sendError struct{ error }

// copyTo sends the spool to w as it grows, all but the last byte; that follows when the fetch ended well.
func (f *flight) copyTo(ctx context.Context, w http.ResponseWriter, spool io.Reader) error {
	var sent int64
	flusher := http.NewResponseController(w)
	send := func(n int64) error {
		if n <= 0 {
			return nil
		}
		copied, err := io.CopyN(w, spool, n)
		sent += copied
		if err != nil {
			return &sendError{err}
		}
		return nil
	}
	for {
		size, grown := f.available()
		if err := send(size - 1 - sent); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ended:
			if f.err != nil {
				return f.err
			}
			size, _ := f.available()
			return send(size - sent)
		case <-grown:
		default:
			// Nothing more for now: what was written should not wait in a buffer.
			if err := flusher.Flush(); err != nil {
				return &sendError{err}
			}
			select {
			case <-ctx.Done():
			case <-f.ended:
			case <-grown:
			}
		}
	}
}

func setLength(h http.Header, n int64) { h.Set("Content-Length", strconv.FormatInt(n, 10)) }
