package npm

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/fault"
)

// tarball is the attachment of a publish request on its way into the blob store.
type tarball struct {
	name   string // as the request calls it
	upload blob.Upload
	sha512 hash.Hash
	sha1   hash.Hash // npm's legacy shasum; compared and served, never trusted
}

// receive is scanDocument's callback: it decodes base64 into an upload. One tarball is taken, and one
// provenance bundle.
func (p *publication) receive(ctx context.Context, name string, data io.Reader) error {
	if strings.HasSuffix(name, attachmentSuffix) {
		return p.receiveBundle(name, data)
	}
	if p.tarball != nil {
		return malformed("it holds more than one tarball")
	}
	upload, err := p.r.core.Blobs().Create(ctx)
	if err != nil {
		return fmt.Errorf("receive tarball: %w", err)
	}
	t := &tarball{name: name, upload: upload, sha512: sha512.New(), sha1: sha1.New()}
	p.tarball = t
	limit := p.r.limits.Archive.Packed
	source := &blame{r: base64.NewDecoder(base64.StdEncoding, data)}
	n, err := io.Copy(io.MultiWriter(upload, t.sha512, t.sha1), io.LimitReader(source, limit+1))
	switch {
	case source.err != nil && fault.KindOf(source.err) == fault.Invalid:
		return source.err
	case source.err != nil:
		return malformed("the attachment %q is not base64", clip(name)).Because(source.err)
	case err != nil:
		return fmt.Errorf("receive tarball: %w", err)
	case n > limit:
		return fault.New(fault.TooLarge, "body-too-large", "the tarball is larger than %d MiB; leave out what is not needed to use it", limit>>20)
	}
	return nil
}

// integrity returns the tarball's Subresource Integrity string, and shasum the hex SHA-1.
func (t *tarball) integrity() string {
	return "sha512-" + base64.StdEncoding.EncodeToString(t.sha512.Sum(nil))
}

func (t *tarball) shasum() string { return hex.EncodeToString(t.sha1.Sum(nil)) }

// blame remembers an error of the reader below, to tell it from one of the writer.
type blame struct {
	r   io.Reader
	err error
}

func (b *blame) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
