package registry

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/signal"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// ReleaseAnalyser names the reader of release archives and its version: it changes when the same
// archive would be indexed differently.
const ReleaseAnalyser = "release/3"

// IndexArchive reads a release's tar archive (gzip, zstd or plain) once and lists its regular
// files with their SHA-256. look is shown every member in the archive's order and may read from
// content; what it leaves is read all the same. An archive that a package must not be is refused
// with one of safearchive's codes, and an error of look ends the reading.
func IndexArchive(r io.Reader, limits safearchive.Limits, look safearchive.Visit) (*evidence.Inventory, error) {
	plain, free, err := safearchive.Decompress(r, limits)
	if err != nil {
		return nil, err
	}
	defer free()
	counted := &countingReader{r: plain}
	x := newIndexer(look)
	if err := safearchive.Walk(counted, limits, x.visit); err != nil {
		return nil, err
	}
	return x.inventory(counted.n)
}

// IndexZip is IndexArchive for a zip archive of size bytes: a wheel, a jar, a nupkg.
func IndexZip(r io.ReaderAt, size int64, limits safearchive.Limits, look safearchive.Visit) (*evidence.Inventory, error) {
	x := newIndexer(look)
	if err := safearchive.WalkZip(r, size, limits, x.visit); err != nil {
		return nil, err
	}
	return x.inventory(x.content)
}

// indexer lists the files of an archive while it is walked.
type indexer struct {
	inv     *evidence.Inventory
	look    safearchive.Visit
	sum     hash.Hash
	scanner *signal.Scanner
	both    io.Writer
	content int64 // bytes of the files
}

func newIndexer(look safearchive.Visit) *indexer {
	x := &indexer{inv: &evidence.Inventory{Analyser: ReleaseAnalyser}, look: look, sum: sha256.New(), scanner: signal.NewScanner()}
	x.both = io.MultiWriter(x.sum, x.scanner)
	return x
}

func (x *indexer) visit(e safearchive.Entry, content io.Reader) error {
	x.inv.Entries++
	if e.Kind != safearchive.File {
		return x.look(e, content)
	}
	x.sum.Reset()
	x.scanner.Begin(e.Path)
	tee := io.TeeReader(content, x.both)
	if err := x.look(e, tee); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return err
	}
	x.scanner.End()
	x.content += e.Size
	x.inv.Files = append(x.inv.Files, evidence.File{Path: e.Path, Size: e.Size, Mode: e.Mode, SHA256: digest.Sum(digest.SHA256, x.sum)})
	return nil
}

func (x *indexer) inventory(bytes int64) (*evidence.Inventory, error) {
	x.inv.Bytes, x.inv.Signals = bytes, x.scanner.Signals()
	if x.inv.Entries == 0 {
		return nil, fault.New(fault.Invalid, "archive-empty", "the archive holds nothing; pack it again")
	}
	return x.inv, nil
}

// ReleaseContents returns the statement that the release's archive holds what the inventory,
// stored as a blob, lists.
func ReleaseContents(p purl.PURL, artifact, stored digest.Digest, inv *evidence.Inventory) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, artifact)},
		Predicate: evidence.Contents{
			Of: "release", Analyser: inv.Analyser, Inventory: stored,
			Components: len(inv.Components), Files: len(inv.Files), Incomplete: inv.Incomplete,
		},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
