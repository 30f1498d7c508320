package registry

import (
	"crypto/sha256"
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
	inv := &evidence.Inventory{Analyser: ReleaseAnalyser}
	sum, scanner := sha256.New(), signal.NewScanner()
	both := io.MultiWriter(sum, scanner)
	err = safearchive.Walk(counted, limits, func(e safearchive.Entry, content io.Reader) error {
		inv.Entries++
		if e.Kind != safearchive.File {
			return look(e, content)
		}
		sum.Reset()
		scanner.Begin(e.Path)
		tee := io.TeeReader(content, both)
		if err := look(e, tee); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, tee); err != nil {
			return err
		}
		scanner.End()
		inv.Files = append(inv.Files, evidence.File{Path: e.Path, Size: e.Size, Mode: e.Mode, SHA256: digest.Sum(digest.SHA256, sum)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	inv.Bytes, inv.Signals = counted.n, scanner.Signals()
	if inv.Entries == 0 {
		return nil, fault.New(fault.Invalid, "archive-empty", "the archive holds nothing; pack it again")
	}
	return inv, nil
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
