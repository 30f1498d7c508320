// Package blobtest is the suite that every [blob.Store] passes. It tests behaviour that callers
// rely on and nothing that only one implementation has.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// Opener returns functions that open stores for one test. Every call of a returned function
// opens the same content anew, as a restarted process would; each call of the Opener is a new,
// empty store.
type Opener func(t *testing.T) (reopen func() blob.Store)

// Run runs the suite. Each case gets a store of its own and runs in parallel with the others,
// but for the one that counts allocations: a caller that runs Run itself in parallel spoils it.
func Run(t *testing.T, open Opener) {
	cases := map[string]func(*testing.T, func() blob.Store){
		"a committed blob is read back whole and in ranges":   roundTrip,
		"an empty blob is a blob":                             emptyBlob,
		"a wrong digest stores nothing and ends the upload":   mismatch,
		"an unnamed commit gets the sha256 of its bytes":      unnamedCommit,
		"sha512 is computed when it is announced":             sha512Digest,
		"a blob under sha512 is not there under sha256":       algorithmsAreApart,
		"what was never stored is blob-unknown":               unknownBlob,
		"a digest that is no digest is refused, not a path":   badDigest,
		"a deleted blob is gone, and deleting twice is fine":  deleteBlob,
		"an open reader survives the deletion of its blob":    deleteWhileOpen,
		"an upload goes on where it was suspended":            resumeHere,
		"an upload goes on after a restart":                   resumeAfterRestart,
		"many short sittings make one blob":                   manySittings,
		"an upload's content can be read while it grows":      content,
		"an upload held by somebody is busy":                  busy,
		"an aborted, committed or invented upload is unknown": endedUploads,
		"writers of one digest do not disturb each other":     concurrentWriters,
		"a commit of what exists succeeds":                    commitTwice,
		"an object is replaced whole and survives a restart":  objects,
		"a missing object is fs.ErrNotExist":                  missingObject,
		"an object name that could escape is refused":         badObjectNames,
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	t.Run("a blob is streamed, never held in memory", func(t *testing.T) { boundedMemory(t, open(t)) })
}

// Put stores data in one sitting and fails the test when that does not work.
func Put(t *testing.T, s blob.Store, data []byte) digest.Digest {
	t.Helper()
	u := create(t, s)
	write(t, u, data)
	d, err := u.Commit(context.Background(), digest.FromBytes(data))
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return d
}

// Get reads the blob and fails the test when that does not work.
func Get(t *testing.T, s blob.Store, d digest.Digest) []byte {
	t.Helper()
	r, err := s.Open(context.Background(), d)
	if err != nil {
		t.Fatalf("open %s: %v", d.Short(), err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %s: %v", d.Short(), err)
	}
	if r.Size() != int64(len(data)) {
		t.Errorf("Size() = %d for a blob of %d bytes", r.Size(), len(data))
	}
	return data
}

func create(t *testing.T, s blob.Store) blob.Upload {
	t.Helper()
	u, err := s.Create(context.Background())
	if err != nil {
		t.Fatalf("create upload: %v", err)
	}
	return u
}

func resume(t *testing.T, s blob.Store, id string) blob.Upload {
	t.Helper()
	u, err := s.Resume(context.Background(), id)
	if err != nil {
		t.Fatalf("resume upload: %v", err)
	}
	return u
}

func write(t *testing.T, u blob.Upload, data []byte) {
	t.Helper()
	if n, err := io.Copy(u, bytes.NewReader(data)); err != nil || n != int64(len(data)) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(data), err)
	}
}

func suspend(t *testing.T, u blob.Upload) {
	t.Helper()
	if err := u.Suspend(); err != nil {
		t.Fatalf("suspend: %v", err)
	}
}

func wantCode(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != code || f.Kind != kind {
		t.Errorf("%s: error %v, want %s of kind %s", what, err, code, kind)
	}
}

func wantBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d wanted", what, len(got), len(want))
	}
}

func objects(t *testing.T, reopen func() blob.Store) {
	ctx, s := t.Context(), reopen()
	for _, value := range []string{"first", "second, longer", ""} {
		for _, name := range []string{"checkpoint", "tile/0/x001/067.p/5", "tile/0/x001/067"} {
			if err := s.WriteObject(ctx, name, []byte(value)); err != nil {
				t.Fatal(err)
			}
			got, err := reopen().ReadObject(ctx, name)
			if err != nil || string(got) != value {
				t.Errorf("%s reads as %q, %v after %q was written", name, got, err, value)
			}
		}
	}
}

func missingObject(t *testing.T, reopen func() blob.Store) {
	for _, name := range []string{"checkpoint", "tile/0/000"} {
		if _, err := reopen().ReadObject(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
}

func badObjectNames(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	for _, name := range []string{"", ".", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "a/.hidden", "a\x00b", `a\b`} {
		if err := s.WriteObject(t.Context(), name, []byte("x")); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("write %q: %v, want fs.ErrInvalid", name, err)
		}
		if _, err := s.ReadObject(t.Context(), name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("read %q: %v, want fs.ErrInvalid", name, err)
		}
	}
}

func badDigest(t *testing.T, reopen func() blob.Store) {
	s := reopen()
	for _, d := range []digest.Digest{"", "sha256:", "sha256:../../../../etc/passwd", "md5:" + digest.Digest(strings.Repeat("0", 64))} {
		_, openErr := s.Open(t.Context(), d)
		wantCode(t, "open "+string(d), openErr, fault.Invalid, "digest-invalid")
		_, statErr := s.Stat(t.Context(), d)
		wantCode(t, "stat "+string(d), statErr, fault.Invalid, "digest-invalid")
		wantCode(t, "delete "+string(d), s.Delete(t.Context(), d), fault.Invalid, "digest-invalid")
	}
}
