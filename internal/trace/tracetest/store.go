// Package tracetest makes records to trace in: by hand, a release and an image at a time
// ([Builder]), or a whole deterministic company ([Generate]) for measurements. Both append
// statements, as the gates do; neither writes a projection.
//
// It is test support and refuses to be anything else: its blobs live in memory.
package tracetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// Begin is when the records begin; every append is a second later.
var begin = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// Open returns an empty record in a temporary database, which is closed with the test. schemas are
// migrated besides the record's own.
func Open(t testing.TB, schemas ...store.Schema) (*evidence.Record, *store.DB) {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "hullmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context(), append(schemas, evidence.Schema())...); err != nil {
		t.Fatal(err)
	}
	record, err := evidence.Open(t.Context(), db, newMemory(), ticking())
	if err != nil {
		t.Fatal(err)
	}
	return record, db
}

func ticking() clock.Clock {
	var mu sync.Mutex
	now := begin
	return clock.Func(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	})
}

// memory is a blob store that only keeps inventories.
type memory struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
}

func newMemory() *memory { return &memory{blobs: map[digest.Digest][]byte{}} }

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// Open implements blob.Store.
func (m *memory) Open(_ context.Context, d digest.Digest) (blob.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[d]
	if !ok {
		return nil, fault.New(fault.NotFound, "blob-unknown", "there is no blob %s", d)
	}
	return memoryReader{bytes.NewReader(b)}, nil
}

// Stat implements blob.Store.
func (m *memory) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	r, err := m.Open(ctx, d)
	if err != nil {
		return 0, err
	}
	return r.Size(), nil
}

// Delete implements blob.Store.
func (m *memory) Delete(_ context.Context, d digest.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, d)
	return nil
}

// Create implements blob.Store.
func (m *memory) Create(context.Context) (blob.Upload, error) { return &memoryUpload{store: m}, nil }

var errNotKept = errors.New("tracetest: the memory store does not keep uploads or objects")

// Resume implements blob.Store.
func (m *memory) Resume(context.Context, string) (blob.Upload, error) { return nil, errNotKept }

// WriteObject implements blob.Store.
func (m *memory) WriteObject(context.Context, string, []byte) error { return errNotKept }

// ReadObject implements blob.Store.
func (m *memory) ReadObject(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist }

type memoryUpload struct {
	bytes.Buffer
	store *memory
}

func (u *memoryUpload) ID() string            { return "memory" }
func (u *memoryUpload) Size() int64           { return int64(u.Len()) }
func (u *memoryUpload) Digest() digest.Digest { return digest.FromBytes(u.Bytes()) }
func (u *memoryUpload) Content() (blob.Reader, error) {
	return memoryReader{bytes.NewReader(u.Bytes())}, nil
}
func (u *memoryUpload) Suspend() error { return errNotKept }
func (u *memoryUpload) Abort() error   { return nil }

func (u *memoryUpload) Commit(_ context.Context, want digest.Digest) (digest.Digest, error) {
	d := u.Digest()
	if want != "" && d != want {
		return "", fault.New(fault.Integrity, "digest-mismatch", "expected %s, got %s", want, d)
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	u.store.blobs[d] = u.Bytes()
	return d, nil
}
