package blobtest

import (
	"io"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

func resumeHere(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	resumeAcross(t, s, s)
}

func resumeAfterRestart(t *testing.T, reopen func() blob.Store) {
	resumeAcross(t, reopen(), reopen())
}

func resumeAcross(t *testing.T, first, second blob.Store) {
	t.Helper()
	data := pattern(900_001)
	u := create(t, first)
	write(t, u, data[:500_000])
	suspend(t, u)
	again := resume(t, second, u.ID())
	if again.ID() != u.ID() || again.Size() != 500_000 {
		t.Fatalf("resumed as %s with %d bytes", again.ID(), again.Size())
	}
	write(t, again, data[500_000:])
	if d, err := again.Commit(t.Context(), digest.FromBytes(data)); err != nil || d != digest.FromBytes(data) {
		t.Fatalf("commit = %s, %v", d, err)
	}
	wantBytes(t, "resumed blob", Get(t, second, digest.FromBytes(data)), data)
}

func manySittings(t *testing.T, reopen func() blob.Store) {
	s, data := reopen(), pattern(50_000)
	u := create(t, s)
	for i := 0; i < len(data); i += 1000 {
		write(t, u, data[i:i+1000])
		suspend(t, u)
		u = resume(t, s, u.ID())
		if u.Size() != int64(i+1000) {
			t.Fatalf("size %d after %d bytes", u.Size(), i+1000)
		}
	}
	if _, err := u.Commit(t.Context(), digest.FromBytes(data)); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, reopen func() blob.Store) {
	data := pattern(2000)
	u := create(t, reopen())
	write(t, u, data[:1000])
	suspend(t, u)
	u = resume(t, reopen(), u.ID())
	write(t, u, data[1000:])
	for range 2 {
		r, err := u.Content()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		wantBytes(t, "content", got, data)
		if d := u.Digest(); d != digest.FromBytes(data) {
			t.Errorf("digest %s, want that of what was written, %s", d, digest.FromBytes(data))
		}
	}
	if _, err := u.Commit(t.Context(), digest.FromBytes(data)); err != nil {
		t.Errorf("commit after reading: %v", err)
	}
}

func busy(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	u := create(t, s)
	_, err := s.Resume(t.Context(), u.ID())
	wantCode(t, "resume of a new upload", err, fault.Conflict, "upload-busy")
	suspend(t, u)
	u = resume(t, s, u.ID())
	_, err = s.Resume(t.Context(), u.ID())
	wantCode(t, "resume of a resumed upload", err, fault.Conflict, "upload-busy")
	write(t, u, []byte("still works"))
	if _, err := u.Commit(t.Context(), digest.FromBytes([]byte("still works"))); err != nil {
		t.Error(err)
	}
}

func endedUploads(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	aborted, committed := create(t, s), create(t, s)
	if err := aborted.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := committed.Commit(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	ids := []string{aborted.ID(), committed.ID(), "", "..", "../objects/checkpoint", strings.Repeat("0", 32), strings.Repeat("A", 32)}
	for _, id := range ids {
		for range 2 { // a failed attempt leaves nothing held
			_, err := s.Resume(t.Context(), id)
			wantCode(t, "resume "+id, err, fault.NotFound, "upload-unknown")
		}
	}
}
