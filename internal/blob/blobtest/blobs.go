package blobtest

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

func roundTrip(t *testing.T, reopen func() blob.Store) {
	data := pattern(1<<20 + 7)
	d := Put(t, reopen(), data)
	s := reopen()
	wantBytes(t, "after reopening", Get(t, s, d), data)
	if size, err := s.Stat(t.Context(), d); err != nil || size != int64(len(data)) {
		t.Errorf("Stat = %d, %v; want %d", size, err, len(data))
	}
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	part := make([]byte, 1000)
	if _, err := r.ReadAt(part, 500_000); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "a range", part, data[500_000:501_000])
	if _, err := r.Seek(-5, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	tail, _ := io.ReadAll(r)
	wantBytes(t, "the tail", tail, data[len(data)-5:])
}

func emptyBlob(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	wantBytes(t, "empty", Get(t, s, Put(t, s, nil)), nil)
}

func mismatch(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	u := create(t, s)
	write(t, u, []byte("something"))
	claimed := digest.FromBytes([]byte("something else"))
	_, err := u.Commit(t.Context(), claimed)
	wantCode(t, "commit", err, fault.Invalid, "digest-mismatch")
	for _, d := range []digest.Digest{claimed, digest.FromBytes([]byte("something"))} {
		_, err = s.Stat(t.Context(), d)
		wantCode(t, "stat", err, fault.NotFound, "blob-unknown")
	}
	_, err = s.Resume(t.Context(), u.ID())
	wantCode(t, "resume", err, fault.NotFound, "upload-unknown")
}

func unnamedCommit(t *testing.T, reopen func() blob.Store) {
	u := create(t, reopen())
	write(t, u, []byte("x"))
	if d, err := u.Commit(t.Context(), ""); err != nil || d != digest.FromBytes([]byte("x")) {
		t.Errorf("commit = %s, %v", d, err)
	}
}

func sha512Of(data []byte) digest.Digest {
	sum := sha512.Sum512(data)
	return digest.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

func sha512Digest(t *testing.T, reopen func() blob.Store) {
	s, data := reopen(), pattern(700_000)
	u := create(t, s)
	write(t, u, data)
	if d, err := u.Commit(t.Context(), sha512Of(data)); err != nil || d != sha512Of(data) {
		t.Fatalf("commit = %s, %v", d, err)
	}
	wantBytes(t, "sha512", Get(t, s, sha512Of(data)), data)
	wrong := create(t, s)
	write(t, wrong, data[1:])
	_, err := wrong.Commit(t.Context(), sha512Of(data))
	wantCode(t, "wrong sha512", err, fault.Invalid, "digest-mismatch")
}

func algorithmsAreApart(t *testing.T, reopen func() blob.Store) {
	s, data := reopen(), []byte("apart")
	u := create(t, s)
	write(t, u, data)
	if _, err := u.Commit(t.Context(), sha512Of(data)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stat(t.Context(), digest.FromBytes(data))
	wantCode(t, "stat sha256", err, fault.NotFound, "blob-unknown")
}

func unknownBlob(t *testing.T, reopen func() blob.Store) {
	_, err := reopen().Open(t.Context(), digest.FromBytes([]byte("never")))
	wantCode(t, "open", err, fault.NotFound, "blob-unknown")
	_, err = reopen().Stat(t.Context(), sha512Of([]byte("never")))
	wantCode(t, "stat", err, fault.NotFound, "blob-unknown")
}

func deleteBlob(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	d := Put(t, s, []byte("short-lived"))
	for range 2 {
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		_, err := reopen().Stat(t.Context(), d)
		wantCode(t, "stat", err, fault.NotFound, "blob-unknown")
	}
	wantBytes(t, "stored again", Get(t, s, Put(t, s, []byte("short-lived"))), []byte("short-lived"))
}

func deleteWhileOpen(t *testing.T, reopen func() blob.Store) {
	s, data := reopen(), pattern(300_000)
	d := Put(t, s, data)
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "read after delete", got, data)
}

func commitTwice(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	first, second := Put(t, s, []byte("same")), Put(t, s, []byte("same"))
	if first != second {
		t.Errorf("%s and %s for the same bytes", first, second)
	}
	wantBytes(t, "same", Get(t, s, first), []byte("same"))
}

func concurrentWriters(t *testing.T, reopen func() blob.Store) {
	s, data := reopen(), pattern(400_000)
	want := digest.FromBytes(data)
	var writers sync.WaitGroup
	for range 8 {
		u := create(t, s)
		writers.Go(func() {
			if _, err := io.Copy(u, bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
			if d, err := u.Commit(t.Context(), want); err != nil || d != want {
				t.Errorf("commit = %s, %v", d, err)
			}
			// Acknowledged means readable, whoever was first.
			if size, err := s.Stat(t.Context(), want); err != nil || size != int64(len(data)) {
				t.Errorf("stat after commit = %d, %v", size, err)
			}
		})
	}
	writers.Wait()
	wantBytes(t, "the blob", Get(t, s, want), data)
}

func boundedMemory(t *testing.T, reopen func() blob.Store) {
	const size = 64 << 20
	s := reopen()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	u := create(t, s)
	if _, err := io.Copy(u, io.LimitReader(zeros{}, size)); err != nil {
		t.Fatal(err)
	}
	d, err := u.Commit(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		t.Fatalf("read %d of %d bytes: %v", n, size, err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/8 {
		t.Errorf("%d MB were allocated for a blob of %d MB", grown>>20, size>>20)
	}
}

// zeros is an endless stream of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// pattern returns n bytes of which no two stretches are alike for long.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}
