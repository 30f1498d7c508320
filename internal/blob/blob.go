// Package blob keeps bytes under their digest, and a few small objects under a name (the tiles
// and checkpoints of the log). Stores live beside it: blob/dir is a folder on a local disk.
//
// A store never holds a whole blob in memory and never names one whose digest it has not
// computed itself. blobtest is the suite that every store passes.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hullmark/hullmark/internal/digest"
)

// Store keeps blobs. Implementations are safe for concurrent use, also by writers of one digest.
type Store interface {
	// Open returns the blob's bytes. It fails with code blob-unknown when there is none.
	Open(ctx context.Context, d digest.Digest) (Reader, error)
	// Stat returns the blob's size in bytes, or code blob-unknown.
	Stat(ctx context.Context, d digest.Digest) (int64, error)
	// Delete removes the blob. Deleting one that is not there is not an error.
	Delete(ctx context.Context, d digest.Digest) error

	// Create begins an upload that survives a restart of the process once it is suspended.
	Create(ctx context.Context) (Upload, error)
	// Resume takes up a suspended upload by its identifier, or fails with code upload-unknown.
	// An upload that somebody else holds open is upload-busy.
	Resume(ctx context.Context, id string) (Upload, error)

	// WriteObject durably replaces the named object; names are slash-separated paths chosen by
	// us, never by a user.
	WriteObject(ctx context.Context, name string, data []byte) error
	// ReadObject returns the named object, or an error that is fs.ErrNotExist.
	ReadObject(ctx context.Context, name string) ([]byte, error)
}

// Reader is an open blob. Its ReadAt makes range requests cheap.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Size returns the length in bytes.
	Size() int64
}

// Upload is a blob on its way in. It is used by one goroutine at a time and ends with exactly one
// of Commit, Suspend and Abort.
type Upload interface {
	io.Writer
	// ID names the upload for Resume; it is unguessable and safe in a URL.
	ID() string
	// Size returns how many bytes have been written, over all sittings.
	Size() int64
	// Digest returns the SHA-256 of what has been written so far.
	Digest() digest.Digest
	// Content returns a reader over what has been written so far, from the start; it is how an
	// upload that was resumed after a restart is read again. Other goroutines than the one that writes may
	// ask for it.
	Content() (Reader, error)
	// Commit makes the bytes durable under their digest: the file is fsynced, then the folder
	// that names it. want is the digest that the bytes must have (its algorithm is the one
	// computed); empty means "whatever sha256 they have". On a mismatch the upload is gone and
	// the error has code digest-mismatch.
	Commit(ctx context.Context, want digest.Digest) (digest.Digest, error)
	// Suspend keeps the bytes for a later Resume.
	Suspend() error
	// Abort forgets the bytes.
	Abort() error
}

// Put makes data durable, and returns its digest.
func Put(ctx context.Context, s Store, data []byte) (digest.Digest, error) {
	u, err := s.Create(ctx)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(data); err != nil {
		return "", errors.Join(err, u.Abort())
	}
	return u.Commit(ctx, "")
}

// Get returns the bytes of a blob that is known to be small.
func Get(ctx context.Context, s Store, d digest.Digest) ([]byte, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, r.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	return data, nil
}
