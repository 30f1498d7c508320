package image

import (
	"context"
	"io/fs"
	"os"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func inspectFolder(ctx context.Context, path string) (*Report, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "source-unknown", "the folder %s cannot be opened; check its permissions", path).Because(err)
	}
	defer root.Close()
	if _, err := root.Lstat("oci-layout"); err == nil {
		return inspectOCI(OCILayout, layout{ctx, root})
	}
	inv, err := readFolder(ctx, root.FS())
	if err != nil {
		return nil, err
	}
	return single(Folder, inv), nil
}

// readFolder indexes a folder as if it were a layer. What cannot be read is noted, not an error.
func readFolder(ctx context.Context, fsys fs.FS) (*evidence.Inventory, error) {
	c := newCollector(Reader{})
	c.top = true
	limits := safearchive.LayerLimits()
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.note(unreadable(p))
			return nil
		case p == ".":
			return nil
		case c.inv.Entries >= int64(limits.Entries):
			c.note(fault.New(fault.TooLarge, "archive-too-many-entries", "the folder holds more than %d entries; the rest is left out", limits.Entries))
			return fs.SkipAll
		}
		c.folderEntry(fsys, p, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.finish(), nil
}

func unreadable(p string) *fault.Error {
	return fault.New(fault.Denied, "source-unreadable", "%.200q cannot be read; check its permissions", p)
}

// folderEntry shows one file to the collector; only what that asks for is opened.
func (c *collector) folderEntry(fsys fs.FS, p string, d fs.DirEntry) {
	info, err := d.Info()
	if err != nil {
		c.note(unreadable(p))
		return
	}
	e := safearchive.Entry{Path: p, Kind: safearchive.Special, Mode: info.Mode() &^ fs.ModeType}
	switch {
	case info.Mode().IsRegular():
		e.Kind, e.Size = safearchive.File, info.Size()
	case info.IsDir():
		e.Kind = safearchive.Dir
	case info.Mode()&fs.ModeSymlink != 0:
		e.Kind = safearchive.Symlink
	}
	content := &lazyFile{fsys: fsys, path: p}
	defer content.close()
	if err := c.visit(e, content); err != nil {
		c.note(unreadable(p))
	}
}

// lazyFile opens its file at the first read.
type lazyFile struct {
	fsys fs.FS
	path string
	file fs.File
}

func (l *lazyFile) Read(p []byte) (int, error) {
	if l.file == nil {
		f, err := l.fsys.Open(l.path)
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	return l.file.Read(p)
}

func (l *lazyFile) close() {
	if l.file != nil {
		l.file.Close()
	}
}
