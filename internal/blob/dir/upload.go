package dir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	idBytes   = 16        // 128 random bits: an upload's identifier is its only protection
	copyBytes = 512 << 10 // one read, one write and one round of hashing per this many bytes
	// writebackBytes is how much is written before the disk is set to work on it.
	writebackBytes = 8 << 20
)

// running is a SHA-256 over the first size bytes of an upload.
type running struct {
	hash hash.Hash
	size int64
}

// upload is one sitting at an upload's file.
type upload struct {
	store *Store
	id    string
	file  *os.File
	running
	handed int64 // bytes given to the disk ahead of the commit
}

var _ io.ReaderFrom = (*upload)(nil)

// Create implements [blob.Store].
func (s *Store) Create(context.Context) (blob.Upload, error) {
	var raw [idBytes]byte
	rand.Read(raw[:]) // never fails: the process dies first
	id := hex.EncodeToString(raw[:])
	path, _ := s.uploadPath(id)
	s.hold(id)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		s.release(id, nil)
		return nil, fmt.Errorf("create upload: %w", err)
	}
	return &upload{store: s, id: id, file: f, running: running{hash: digest.NewHash(digest.SHA256)}}, nil
}

// Resume implements [blob.Store]. The first sitting after a restart reads the bytes once to
// bring the hash up to date; later ones go on from the hash that was kept.
func (s *Store) Resume(ctx context.Context, id string) (blob.Upload, error) {
	path, ok := s.uploadPath(id)
	if !ok {
		return nil, uploadUnknown()
	}
	kept, ok := s.hold(id)
	if !ok {
		return nil, fault.New(fault.Conflict, "upload-busy",
			"another request is writing to this upload; wait for it to end, then ask where the upload stands")
	}
	u, err := s.reopen(ctx, id, path, kept)
	if err != nil {
		s.release(id, nil)
		return nil, err
	}
	return u, nil
}

func uploadUnknown() error {
	return fault.New(fault.NotFound, "upload-unknown",
		"there is no such upload, or it has ended; start a new one")
}

func (s *Store) reopen(ctx context.Context, id, path string, kept running) (*upload, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, uploadUnknown()
	} else if err != nil {
		return nil, fmt.Errorf("resume upload: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	// The kept hash counts only when it covers the file exactly.
	if err == nil && (kept.hash == nil || kept.size != size) {
		kept, err = hashFile(ctx, f, digest.SHA256)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("resume upload: %w", err)
	}
	return &upload{store: s, id: id, file: f, running: kept}, nil
}

// hashFile reads f from its start; f's offset is left at the end of what was read.
func hashFile(ctx context.Context, f *os.File, alg string) (running, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return running{}, err
	}
	r := running{hash: digest.NewHash(alg)}
	buf := buffers.Get().(*[copyBytes]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return running{}, err
		}
		n, err := f.Read(buf[:])
		r.hash.Write(buf[:n])
		r.size += int64(n)
		if errors.Is(err, io.EOF) {
			return r, nil
		} else if err != nil {
			return running{}, err
		}
	}
}

// hold takes the upload, or reports that somebody has it. It returns the hash kept from the
// last sitting, if there is one.
func (s *Store) hold(id string) (running, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[id] {
		return running{}, false
	}
	s.held[id] = true
	kept := s.resting[id]
	delete(s.resting, id)
	return kept, true
}

// release gives the upload back; keep is the hash for the next sitting, nil when there is none.
func (s *Store) release(id string, keep *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
	if keep != nil {
		s.resting[id] = *keep
	}
}

func (u *upload) ID() string  { return u.id }
func (u *upload) Size() int64 { return u.size }

// Digest implements [blob.Upload].
func (u *upload) Digest() digest.Digest { return digest.Sum(digest.SHA256, u.hash) }

// Write appends p. After a short write (a full disk) hash and size still describe the file.
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.file.Write(p)
	u.hash.Write(p[:n])
	u.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write upload: %w", err)
	}
	if waiting := u.size - u.handed; waiting >= writebackBytes {
		startWriteback(u.file, u.handed, waiting)
		u.handed = u.size
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that io.Copy moves large pieces without a buffer of its own.
func (u *upload) ReadFrom(r io.Reader) (total int64, err error) {
	buf := buffers.Get().(*[copyBytes]byte)
	defer buffers.Put(buf)
	for {
		n, readErr := r.Read(buf[:])
		written, err := u.Write(buf[:n])
		total += int64(written)
		if err != nil {
			return total, err
		}
		if errors.Is(readErr, io.EOF) {
			return total, nil
		} else if readErr != nil {
			return total, readErr
		}
	}
}

// buffers are shared by all uploads; a pool has no state that a test could see.
var buffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// Content implements [blob.Upload]. It reads the file through a handle of its own, and asks the file for its size: others
// may read while one goroutine writes.
func (u *upload) Content() (blob.Reader, error) {
	f, err := openFile(u.file.Name())
	if err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	return f, nil
}

// Commit implements [blob.Upload]. Whatever the error, the upload is gone afterwards: after a
// failed fsync nobody can say which of its bytes the disk has, so it is never tried again.
func (u *upload) Commit(ctx context.Context, want digest.Digest) (digest.Digest, error) {
	defer u.store.release(u.id, nil)
	path := u.file.Name()
	defer os.Remove(path) // no longer there after success
	defer u.file.Close()
	got, err := u.sum(ctx, want)
	if err != nil {
		return "", fmt.Errorf("commit upload: %w", err)
	}
	if want != "" && got != want {
		return "", fault.New(fault.Invalid, "digest-mismatch",
			"the bytes received have digest %s, not %s as announced; send them again from the start", got, want)
	}
	if err := u.publish(got); err != nil {
		return "", fmt.Errorf("commit upload: %w", err)
	}
	return got, nil
}

// sum returns the digest under want's algorithm. Only SHA-256 runs along with the writes; the
// rare SHA-512 is computed by reading the file again.
func (u *upload) sum(ctx context.Context, want digest.Digest) (digest.Digest, error) {
	if want.Algorithm() != digest.SHA512 {
		return u.Digest(), nil
	}
	r, err := hashFile(ctx, u.file, digest.SHA512)
	if err != nil {
		return "", err
	}
	return digest.Sum(digest.SHA512, r.hash), nil
}

// publish gives the bytes their name. When the name exists, its bytes were fsynced before they
// got it, so this upload is dropped; but the writer that won may not have fsynced the folder yet.
// A stored blob of another length was damaged since, and these bytes mend it.
func (u *upload) publish(d digest.Digest) error {
	name, err := u.store.blobName(d)
	if err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && info.Size() == u.size {
		return durable.SyncFolder(filepath.Dir(name))
	}
	return durable.Publish(u.file, name)
}

// Suspend implements [blob.Upload]. It does not fsync: bytes that a power cut takes are missing
// from the size that Resume reports, and any other damage is caught by the digest at Commit.
func (u *upload) Suspend() error {
	err := u.file.Close()
	if err != nil {
		u.store.release(u.id, nil)
		return fmt.Errorf("suspend upload: %w", err)
	}
	u.store.release(u.id, &u.running)
	return nil
}

// Abort implements [blob.Upload].
func (u *upload) Abort() error {
	defer u.store.release(u.id, nil)
	u.file.Close()
	if err := os.Remove(u.file.Name()); err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}
