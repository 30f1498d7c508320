package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// maxDocument is the longest manifest or index that is read, in bytes.
const maxDocument = 8 << 20

// maxMembers is how many members an image archive may have: blobs, folders, some JSON. A tar with
// more is not one.
const maxMembers = 20_000

// section is a part of a file.
type section struct{ offset, size int64 }

// archive is a tar on disk whose members are found by name and read where they lie.
type archive struct {
	ctx     context.Context
	file    *os.File
	spooled bool // file is our own temporary one
	size    int64
	members map[string]section
	links   map[string]string
}

var errTooManyMembers = errors.New("too many members for an image archive")

// openArchive lists the tar f. A compressed one is unpacked to a temporary file first, because
// members are read in another order than they are stored.
func openArchive(ctx context.Context, f *os.File) (*archive, error) {
	a := &archive{ctx: ctx, file: f, members: map[string]section{}, links: map[string]string{}}
	if err := a.spool(); err != nil {
		return nil, err
	}
	info, err := a.file.Stat()
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("open archive: %w", err)
	}
	a.size = info.Size()
	if err := a.list(); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// spool replaces a compressed file by its content.
func (a *archive) spool() error {
	stream, free, err := safearchive.Decompress(a.file, safearchive.LayerLimits())
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer free()
	if stream == io.Reader(a.file) {
		return nil
	}
	tmp, err := os.CreateTemp("", "hullmark-inspect-*.tar")
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	// Without a name, the file goes away however the process ends.
	_ = os.Remove(tmp.Name())
	if _, err := io.Copy(tmp, &cancellable{a.ctx, stream}); err != nil {
		tmp.Close()
		return fmt.Errorf("unpack archive: %w", err)
	}
	a.file, a.spooled = tmp, true
	return nil
}

// Close frees a temporary file; the caller's own stays open.
func (a *archive) Close() error {
	if a.spooled {
		return a.file.Close()
	}
	return nil
}

// list notes where the members are. What is not a tar, or not an image, has none.
func (a *archive) list() error {
	w := a.window(section{0, a.size})
	visit := func(e safearchive.Entry, _ io.Reader) error {
		switch e.Kind {
		case safearchive.File:
			// The walk has read just the header: the content begins here.
			offset, err := w.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			a.members[e.Path] = section{offset, e.Size}
		case safearchive.Symlink:
			a.links[e.Path] = path.Join(path.Dir(e.Path), e.Target)
		}
		if len(a.members)+len(a.links) > maxMembers {
			return errTooManyMembers
		}
		return nil
	}
	err := safearchive.Survey(w, safearchive.LayerLimits(), visit, func(*fault.Error) {})
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if errors.Is(err, errTooManyMembers) {
		clear(a.members)
		clear(a.links)
	}
	return nil
}

// find resolves the links that docker save wrote for layers that repeat.
func (a *archive) find(name string) (section, bool) {
	const longestChain = 8
	for range longestChain {
		if s, ok := a.members[name]; ok {
			return s, true
		}
		next, ok := a.links[name]
		if !ok {
			break
		}
		name = next
	}
	return section{}, false
}

func (a *archive) has(name string) bool {
	_, ok := a.find(name)
	return ok
}

// open implements store.
func (a *archive) open(name string) (io.ReadCloser, error) {
	s, ok := a.find(path.Clean(name))
	if !ok {
		return nil, missing(name)
	}
	return reading{a.window(s), io.NopCloser(nil)}, nil
}

func (a *archive) all() io.Reader { return a.window(section{0, a.size}) }

func (a *archive) window(s section) *safearchive.Window {
	return safearchive.NewWindow(cancellableAt{a.ctx, a.file}, s.offset, s.size)
}

func missing(name string) *fault.Error {
	return fault.New(fault.Invalid, "image-incomplete", "the image lacks %.200q, which its manifest names; export it again", name)
}

// reading is a window on a file, and what closes the file.
type reading struct {
	*safearchive.Window
	io.Closer
}

// cancellable ends a long copy when ctx does.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c *cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

type cancellableAt struct {
	ctx context.Context
	io.ReaderAt
}

func (c cancellableAt) ReadAt(p []byte, off int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.ReaderAt.ReadAt(p, off)
}
