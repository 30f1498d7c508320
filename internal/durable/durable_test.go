package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/durable"
)

func TestWriteFileReplacesTheWholeFileAndItsMode(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "made", "on", "the way", "file")
	for _, c := range []struct {
		data string
		mode os.FileMode
	}{{"a longer first version", 0o644}, {"second", 0o600}, {"", 0o640}} {
		if err := durable.WriteFile(name, []byte(c.data), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != c.data {
			t.Errorf("file holds %q, %v; want %q", got, err, c.data)
		}
		if info, _ := os.Stat(name); info.Mode().Perm() != c.mode {
			t.Errorf("mode %o, want %o", info.Mode().Perm(), c.mode)
		}
	}
	onlyEntry(t, filepath.Dir(name), "file")
}

// onlyEntry checks that no temporary file was left beside the wanted one.
func onlyEntry(t *testing.T, folder, want string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || entries[0].Name() != want {
		t.Errorf("%s holds %v, %v; want only %s", folder, entries, err, want)
	}
}

func TestConcurrentWritersLeaveOneWholeVersion(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "new folder", "file")
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			if err := durable.WriteFile(name, []byte(strings.Repeat(string(rune('a'+i)), 10_000)), 0o600); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	got, err := os.ReadFile(name)
	if err != nil || len(got) != 10_000 || strings.Trim(string(got), string(got[:1])) != "" {
		t.Errorf("%d bytes, not one writer's version: %v", len(got), err)
	}
	onlyEntry(t, filepath.Dir(name), "file")
}

func TestFailedWriteKeepsTheOldContent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target := filepath.Join(folder, "a folder with something in it")
	if err := os.MkdirAll(filepath.Join(target, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(target, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	onlyEntry(t, folder, filepath.Base(target))
	onlyEntry(t, target, "something")
}

func TestPublishNamesTheFileAndClosesIt(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f, err := os.Create(filepath.Join(folder, "upload"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("bytes"); err != nil {
		t.Fatal(err)
	}
	if err := durable.Publish(f, filepath.Join(folder, "named")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("more"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
	onlyEntry(t, folder, "named")
}

func TestPublishClosesTheFileAlsoWhenItFails(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "upload"))
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.Publish(f, filepath.Join(t.TempDir(), "no", "such", "folder")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that says the folder is missing", err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
}

func TestMkdirAllMakesParentsThatOnlyTheOwnerEnters(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	for range 2 { // the second time there is nothing to do
		if err := durable.MkdirAll(filepath.Join(top, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"a", "a/b"} {
		if info, err := os.Stat(filepath.Join(top, folder)); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v; want a folder of mode 0700", folder, info, err)
		}
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(filepath.Join(file, "below")); err == nil {
		t.Error("a folder was made below a file")
	}
}

func TestSyncFolderNeedsAFolder(t *testing.T) {
	t.Parallel()
	if err := durable.SyncFolder(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
	if err := durable.SyncFolder(t.TempDir()); err != nil {
		t.Error(err)
	}
}
