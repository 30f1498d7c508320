package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Incoming is a file on its way in: its bytes are in the blob store and have no name there yet, and nothing is
// believed of it. It is used by one goroutine at a time. A nil one is none.
type Incoming struct {
	upload blob.Upload // nil once it is stored, or forgotten
	all    io.Writer   // upload, and what else gets the bytes
}

// NewIncoming returns an empty file, to be written. also are given the same bytes: hashes.
func (c *Core) NewIncoming(ctx context.Context, also ...io.Writer) (*Incoming, error) {
	upload, err := c.blobs.Create(ctx)
	if err != nil {
		return nil, fmt.Errorf("receive a file: %w", err)
	}
	return &Incoming{upload: upload, all: io.MultiWriter(append(also, upload)...)}, nil
}

// Receive reads a file of up to limit bytes, which the sender knows as what: "the wheel". also are given the same
// bytes. A longer one is TooLarge with code body-too-large, and one that breaks off Invalid with code
// body-malformed; a fault of the reader's own stays what it is.
func (c *Core) Receive(ctx context.Context, what string, content io.Reader, limit int64, also ...io.Writer) (*Incoming, error) {
	f, err := c.NewIncoming(ctx, also...)
	if err != nil {
		return nil, err
	}
	source := &blame{r: content}
	n, err := io.Copy(f, io.LimitReader(source, limit+1))
	switch {
	case source.err != nil && fault.KindOf(source.err) != fault.Internal:
		err = source.err
	case source.err != nil:
		err = fault.New(fault.Invalid, "body-malformed", "the request cannot be read: it broke off").Because(source.err)
	case err != nil:
		err = fmt.Errorf("receive %s: %w", what, err)
	case n > limit:
		err = fault.New(fault.TooLarge, "body-too-large", "%s is larger than %d MiB; leave out what is not needed to use it", what, limit>>20)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

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

// Write implements io.Writer.
func (f *Incoming) Write(p []byte) (int, error) { return f.all.Write(p) }

// Size returns how many bytes came, and Digest their SHA-256. They are asked before the file is stored.
func (f *Incoming) Size() int64           { return f.upload.Size() }
func (f *Incoming) Digest() digest.Digest { return f.upload.Digest() }

// Look gives parse the bytes, before the file is stored.
func (f *Incoming) Look(parse func(content blob.Reader) error) error {
	content, err := f.upload.Content()
	if err != nil {
		return fmt.Errorf("read what was received: %w", err)
	}
	defer content.Close()
	return parse(content)
}

// Close forgets a file that was not stored.
func (f *Incoming) Close() {
	if f != nil && f.upload != nil {
		f.upload.Abort()
		f.upload = nil
	}
}

// Look gives parse the bytes of a stored blob.
func (c *Core) Look(ctx context.Context, d digest.Digest, parse func(content blob.Reader) error) error {
	content, err := c.blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	defer content.Close()
	return parse(content)
}

// Store makes a received file durable with everything that u is about to name, all at once, since each costs an
// fsync of its own: its metadata (bytes as they are, anything else as JSON), its inventory where it has one, and
// what lies beside, an attestation, say. It fills in Artifact, Size, Metadata and Contents of u. The file is gone
// afterwards, whatever comes out.
func (c *Core) Store(ctx context.Context, f *Incoming, u *Upload, metadata any, beside ...[]byte) error {
	described, plain := metadata.([]byte)
	if !plain {
		var err error
		if described, err = json.Marshal(metadata); err != nil {
			return fmt.Errorf("store %s: %w", u.PURL, err)
		}
	}
	upload := f.upload
	f.upload, u.Size = nil, upload.Size()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		u.Artifact, err = upload.Commit(gctx, "")
		return err
	})
	g.Go(func() (err error) {
		u.Metadata, err = blob.Put(gctx, c.blobs, described)
		return err
	})
	var stored digest.Digest
	if u.Inventory != nil {
		g.Go(func() (err error) {
			stored, err = c.record.StoreInventory(gctx, u.Inventory)
			return err
		})
	}
	for _, data := range beside {
		g.Go(func() error {
			_, err := blob.Put(gctx, c.blobs, data)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("store %s: %w", u.PURL, err)
	}
	if u.Inventory != nil {
		u.Contents = []evidence.Draft{ReleaseContents(u.PURL, u.Artifact, stored, u.Inventory)}
	}
	return nil
}
