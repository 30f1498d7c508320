// Package durable writes files that survive a power cut, with its system calls written down.
//
// A file is durable once its bytes are fsynced and the folder that names it is fsynced after the
// rename. Nothing here protects against a disk that lies about fsync.
package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile replaces name by data so that after a crash at any point either the old or the new
// content is there, whole: write to a temporary sibling, fsync, rename, fsync the folder. The
// folder is created when missing. It is safe for concurrent use; the last rename wins.
func WriteFile(name string, data []byte, mode os.FileMode) error {
	folder := filepath.Dir(name)
	if err := MkdirAll(folder); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".tmp-*")
	if err != nil {
		return fmt.Errorf("durable write: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return fmt.Errorf("durable write: %w", err)
	}
	if err := f.Chmod(mode); err != nil {
		f.Close()
		return fmt.Errorf("durable write: %w", err)
	}
	return Publish(f, name)
}

// Publish fsyncs and closes f, renames it to name and fsyncs name's folder. f must lie on the
// same file system. f is closed whatever happens.
func Publish(f *os.File, name string) error {
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("fsync: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return SyncFolder(filepath.Dir(name))
}

// MkdirAll creates folder and its missing parents (mode 0700) and fsyncs each parent that gained
// an entry.
func MkdirAll(folder string) error {
	if info, err := os.Stat(folder); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(folder)
	if parent != folder {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make folder: %w", err)
	}
	return SyncFolder(parent)
}

// SyncFolder fsyncs a folder, which makes renames and new names in it durable.
func SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("fsync folder: %w", err)
	}
	return nil
}
