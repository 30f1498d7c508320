package dir_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/blob/blobtest"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/digest"
)

func open(t testing.TB, folder string) *dir.Store {
	t.Helper()
	s, err := dir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStorePassesTheSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) func() blob.Store {
		folder := filepath.Join(t.TempDir(), "missing", "folder")
		return func() blob.Store { return open(t, folder) }
	})
}

func TestLayoutIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	d := blobtest.Put(t, s, []byte("hello"))
	if err := s.WriteObject(t.Context(), "tile/0/000", []byte("t")); err != nil {
		t.Fatal(err)
	}
	u, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blobs/sha256/" + d.Hex()[:2] + "/" + d.Hex(), "objects/tile/0/000", "uploads/" + u.ID()} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
}

func TestNothingOfAnEndedUploadStaysBehind(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	blobtest.Put(t, s, []byte("new"))
	blobtest.Put(t, s, []byte("new")) // the second one drops its bytes
	u, _ := s.Create(t.Context())
	if _, err := u.Commit(t.Context(), digest.FromBytes([]byte("not these"))); err == nil {
		t.Error("a wrong digest was accepted")
	}
	a, _ := s.Create(t.Context())
	if err := a.Abort(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Join(folder, "uploads")); len(left) != 0 {
		t.Errorf("%d files are left in uploads", len(left))
	}
}

func TestUploadCutOffByACrashIsResumedWithTheBytesThatAreThere(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	crashed, err := open(t, folder).Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crashed.Write([]byte("half and the rest")); err != nil {
		t.Fatal(err)
	}
	// A power cut took the end of the file.
	if err := os.Truncate(filepath.Join(folder, "uploads", crashed.ID()), 4); err != nil {
		t.Fatal(err)
	}
	u, err := open(t, folder).Resume(t.Context(), crashed.ID())
	if err != nil || u.Size() != 4 {
		t.Fatalf("resumed with %d bytes, %v; want 4", u.Size(), err)
	}
	if _, err := u.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context(), digest.FromBytes([]byte("half!"))); err != nil {
		t.Error(err)
	}
}

func TestResumeRereadsAFileThatChangedBehindItsBack(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	u, _ := s.Create(t.Context())
	if _, err := u.Write([]byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	if err := u.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(folder, "uploads", u.ID()), 3); err != nil {
		t.Fatal(err)
	}
	again, err := s.Resume(t.Context(), u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if d, err := again.Commit(t.Context(), ""); err != nil || d != digest.FromBytes([]byte("abc")) {
		t.Errorf("commit = %s, %v; want the digest of what the file holds", d, err)
	}
}

func TestFailedPublishLeavesNothingVisible(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	want := digest.FromBytes([]byte("x"))
	if err := os.Remove(filepath.Join(folder, "blobs/sha256", want.Hex()[:2])); err != nil {
		t.Fatal(err)
	}
	u, _ := s.Create(t.Context())
	if _, err := u.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context(), want); err == nil {
		t.Error("commit succeeded without a folder to name the blob in")
	}
	if left, _ := os.ReadDir(filepath.Join(folder, "uploads")); len(left) != 0 {
		t.Errorf("%d files are left in uploads", len(left))
	}
}

func TestPushingAgainMendsABlobThatWasCutShort(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	d := blobtest.Put(t, s, []byte("whole"))
	if err := os.Truncate(filepath.Join(folder, "blobs/sha256", d.Hex()[:2], d.Hex()), 2); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, []byte("whole"))
	if got := blobtest.Get(t, s, d); string(got) != "whole" {
		t.Errorf("the blob holds %q", got)
	}
}

func TestPruneRemovesOldLeftoversAndNothingElse(t *testing.T) {
	t.Parallel()
	folder, now := t.TempDir(), time.Now()
	s := open(t, folder)
	ids := map[string]string{}
	for _, name := range []string{"old", "young", "held"} {
		u, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = u.ID()
		if name != "held" {
			u.Suspend()
		}
		if name != "young" {
			past := now.Add(-48 * time.Hour)
			os.Chtimes(filepath.Join(folder, "uploads", u.ID()), past, past)
		}
	}
	left, err := s.Leftovers(t.Context(), 24*time.Hour, now)
	if err != nil || len(left) != 1 || left[0].ID != ids["old"] {
		t.Errorf("Leftovers = %v, %v; want the old one", left, err)
	}
	if n, err := s.PruneUploads(t.Context(), 24*time.Hour, now); err != nil || n != 1 {
		t.Errorf("PruneUploads = %d, %v; want 1", n, err)
	}
	for name, want := range map[string]bool{"old": false, "young": true, "held": true} {
		if _, err := os.Stat(filepath.Join(folder, "uploads", ids[name])); (err == nil) != want {
			t.Errorf("the %s upload is there: %v, want %v", name, err == nil, want)
		}
	}
}

func TestResumeStopsReadingWhenTheRequestEnds(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	u, _ := open(t, folder).Create(t.Context())
	u.Write([]byte("bytes"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := open(t, folder)
	if _, err := s.Resume(ctx, u.ID()); err == nil {
		t.Error("resumed although the request had ended")
	}
	if _, err := s.Resume(t.Context(), u.ID()); err != nil {
		t.Errorf("the failed attempt still holds the upload: %v", err)
	}
}

func TestReaderCanBeSentByTheKernel(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	data := []byte(strings.Repeat("0123456789", 100_000))
	d := blobtest.Put(t, s, data)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := s.Open(r.Context(), d)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		// net uses sendfile for what has a file descriptor to offer.
		if _, ok := f.(syscall.Conn); !ok {
			t.Error("the reader hides its file descriptor")
		}
		http.ServeContent(w, r, "", time.Time{}, f)
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, data) {
		t.Errorf("served %d bytes, %v; want %d", len(got), err, len(data))
	}
}

func BenchmarkPush200MB(b *testing.B) {
	s := open(b, b.TempDir())
	chunk := bytes.Repeat([]byte("layer bytes "), 1<<16)
	const size = 200 << 20
	b.SetBytes(size)
	for b.Loop() {
		u, err := s.Create(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for u.Size() < size {
			if _, err := u.Write(chunk); err != nil {
				b.Fatal(err)
			}
		}
		d, err := u.Commit(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Delete(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
}
