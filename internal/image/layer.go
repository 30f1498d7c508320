// Package image reads what is inside container images: each layer once, as a stream, and an image
// as the merge of its layers without touching their bytes again.
//
// [ReadLayer] makes an [evidence.Inventory] of one layer while somebody else hashes and stores the
// same bytes: packages (dpkg, apk, chisel, npm, Python, Go build info), the digests of executables,
// libraries and scripts, whiteouts, os-release. [Squash] merges the inventories of an image's layers
// and says which layer and instruction brought each component, what it replaced, and what is no
// longer there. [Inspect] does both for an archive or a folder on disk.
//
// A layer is a stranger's bytes: reading never fails because of them. What cannot be read is left
// out and the inventory says so (Incomplete). The package follows no link, unpacks no member to
// disk and refuses to guess a component that no package metadata declares.
package image

import (
	"bufio"
	"fmt"
	"io"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Analyser names this reader and its version in the record. It changes when the same bytes give
// another inventory, so that layers are read again.
const Analyser = "layer/2"

// blockSize is how much is hashed at a time, in bytes.
const blockSize = 64 << 10

// Reader reads layers. The zero value is ready to use and safe for concurrent use.
type Reader struct {
	// Limits bound the archive; zero means safearchive.LayerLimits.
	Limits safearchive.Limits
	// Memory is about how many bytes an inventory may take; zero means 24 MiB, which is some
	// 100,000 files. What does not fit is left out and the inventory marked incomplete.
	Memory int
	// DiffID is trusted instead of computed when it is set. An uncompressed layer in an
	// io.Seeker is then read only where something is found.
	DiffID digest.Digest
	// Release reads a package tarball instead of a layer: every regular file is indexed, and the
	// manifest in the top folder counts.
	Release bool
}

const defaultMemory = 24 << 20

// ReadLayer reads a layer (gzip, zstd or plain tar) with the default limits. See [Reader.Read].
func ReadLayer(r io.Reader) (*evidence.Inventory, error) { return Reader{}.Read(r) }

// Read reads r to its end, whatever it holds, and returns what was found. Malformed or hostile
// content makes an incomplete inventory; one that could not be unpacked to its end has no DiffID.
// The error is one of r itself.
func (rd Reader) Read(r io.Reader) (*evidence.Inventory, error) {
	if rd.Limits == (safearchive.Limits{}) {
		rd.Limits = safearchive.LayerLimits()
	}
	c := newCollector(rd)
	if rd.DiffID != "" {
		return rd.readTrusted(r, c)
	}
	below := &tap{Reader: r}
	c.note(rd.readHashed(below, c))
	if _, err := io.Copy(io.Discard, below); err != nil {
		return nil, fmt.Errorf("read layer: %w", err)
	}
	return c.finish(), nil
}

// readTrusted leaves the bytes that nothing asks for unread.
func (rd Reader) readTrusted(r io.Reader, c *collector) (*evidence.Inventory, error) {
	below := r
	var t *tap
	if _, ok := r.(io.Seeker); !ok {
		t = &tap{Reader: r}
		below = t
	}
	stream, free, err := safearchive.Decompress(below, rd.Limits)
	if err == nil {
		defer free()
		err = safearchive.Survey(stream, rd.Limits, c.visit, c.skip)
	}
	if t != nil && t.err != nil {
		return nil, fmt.Errorf("read layer: %w", t.err)
	}
	c.note(err)
	c.inv.DiffID = rd.DiffID
	return c.finish(), nil
}

// readHashed reads the whole stream through a hash. The diffID covers the padding after the
// archive's end too, so what the walk leaves is read as well.
func (rd Reader) readHashed(r io.Reader, c *collector) error {
	stream, free, err := safearchive.Decompress(r, rd.Limits)
	if err != nil {
		return err
	}
	defer free()
	h := digest.NewHash(digest.SHA256)
	tee := bufio.NewReaderSize(io.TeeReader(stream, h), blockSize)
	c.note(safearchive.Survey(struct{ io.Reader }{tee}, rd.Limits, c.visit, c.skip))
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{stream}, c.buf); err != nil {
		return err
	}
	c.inv.DiffID = digest.Sum(digest.SHA256, h)
	return nil
}

// tap remembers the error of the reader that the caller gave, so that it is not taken for a
// fault of the content. It hides a Seek: every byte has to pass.
type tap struct {
	io.Reader
	err error
}

func (t *tap) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.Reader.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
