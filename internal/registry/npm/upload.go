package npm

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// tarball is the attachment of a publish request on its way into the blob store.
type tarball struct {
	*registry.Incoming
	name   string // as the request calls it
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
	t := &tarball{name: name, sha512: sha512.New(), sha1: sha1.New()}
	p.tarball = t
	var err error
	t.Incoming, err = p.r.core.Receive(ctx, "the tarball", base64.NewDecoder(base64.StdEncoding, data), p.r.limits.Archive.Packed, t.sha512, t.sha1)
	if _, corrupt := errors.AsType[base64.CorruptInputError](err); corrupt || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("the attachment %q is not base64", fault.Clip(name)).Because(err)
	}
	return err
}

// integrity returns the tarball's Subresource Integrity string, and shasum the hex SHA-1.
func (t *tarball) integrity() string {
	return "sha512-" + base64.StdEncoding.EncodeToString(t.sha512.Sum(nil))
}

func (t *tarball) shasum() string { return hex.EncodeToString(t.sha1.Sum(nil)) }
