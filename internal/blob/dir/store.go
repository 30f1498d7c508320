// Package dir is a blob store in a folder of a local disk.
//
// The layout is plain, so that an operator can read, copy and check it with a shell:
//
//	blobs/<algorithm>/<first two hex digits>/<hex>   immutable content
//	uploads/<id>                                     content on its way in
//	objects/<name>                                   small named files
//
// A blob is hashed while it is written. It gets its name only after its bytes are fsynced, and a
// commit returns only after the folder with that name is fsynced too; what is visible is whole,
// and what was acknowledged survives a power cut (as far as the disk honours fsync).
//
// One process owns the folder. Nothing here locks it against a second one: a second process can
// not damage a blob, but it could take up an upload that is already held.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

// Store is a folder of blobs. It implements [blob.Store] and is safe for concurrent use.
type Store struct {
	folder string

	mu      sync.Mutex
	held    map[string]bool    // uploads that somebody has open; guarded by mu
	resting map[string]running // hashes of suspended uploads, so that the next sitting need not read again; guarded by mu
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in folder and creates what is missing of it. All fan-out folders are made
// here and fsynced once, so that no commit ever depends on a folder another commit has just made.
func Open(folder string) (*Store, error) {
	for _, sub := range []string{"uploads", "objects", "blobs/" + digest.SHA256, "blobs/" + digest.SHA512} {
		if err := durable.MkdirAll(filepath.Join(folder, sub)); err != nil {
			return nil, fmt.Errorf("open blob folder: %w", err)
		}
	}
	for _, alg := range []string{digest.SHA256, digest.SHA512} {
		if err := fanOut(filepath.Join(folder, "blobs", alg)); err != nil {
			return nil, fmt.Errorf("open blob folder: %w", err)
		}
	}
	return &Store{folder: folder, held: map[string]bool{}, resting: map[string]running{}}, nil
}

func fanOut(folder string) error {
	for i := range 256 {
		err := os.Mkdir(filepath.Join(folder, fmt.Sprintf("%02x", i)), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return durable.SyncFolder(folder)
}

// Open implements [blob.Store]. The Reader is a [*File], which the kernel can send to a socket
// without copying.
func (s *Store) Open(_ context.Context, d digest.Digest) (blob.Reader, error) {
	name, err := s.blobName(d)
	if err != nil {
		return nil, err
	}
	f, err := openFile(name)
	if err != nil {
		return nil, unknownOr("open blob", d, err)
	}
	return f, nil
}

func openFile(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{File: f, size: info.Size()}, nil
}

// File is an open blob. The embedded [os.File] is what lets io.Copy and http.ServeContent use
// sendfile; it is opened read-only.
type File struct {
	*os.File
	size int64
}

// Size returns the length in bytes.
func (f *File) Size() int64 { return f.size }

// Stat implements [blob.Store].
func (s *Store) Stat(_ context.Context, d digest.Digest) (int64, error) {
	name, err := s.blobName(d)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, unknownOr("stat blob", d, err)
	}
	return info.Size(), nil
}

// Delete implements [blob.Store]. The removal is durable when it returns.
func (s *Store) Delete(_ context.Context, d digest.Digest) error {
	name, err := s.blobName(d)
	if err != nil {
		return err
	}
	if err := os.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return durable.SyncFolder(filepath.Dir(name))
}

// blobName parses d again although its type promises that it is valid: a digest becomes a path
// here, and a conversion from an unchecked string must not become an escape.
func (s *Store) blobName(d digest.Digest) (string, error) {
	if _, err := digest.Parse(string(d)); err != nil {
		return "", err
	}
	hex := d.Hex()
	return filepath.Join(s.folder, "blobs", d.Algorithm(), hex[:2], hex), nil
}

func unknownOr(op string, d digest.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "blob-unknown",
			"there is no blob %s here; push it first, or check the digest", d).Because(err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// WriteObject implements [blob.Store].
func (s *Store) WriteObject(_ context.Context, name string, data []byte) error {
	path, err := s.objectPath("write", name)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write object %s: %w", name, err)
	}
	return nil
}

// ReadObject implements [blob.Store].
func (s *Store) ReadObject(_ context.Context, name string) ([]byte, error) {
	path, err := s.objectPath("read", name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	return data, nil
}
