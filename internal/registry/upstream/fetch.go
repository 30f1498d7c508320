package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// fetch brings a file in: into the spool, checked, durable, looked into, on the record.
func (c *Client) fetch(ctx context.Context, f *flight, src *source, address, name string, wanted registry.Wanted) (digest.Digest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.get(ctx, src, address, wanted)
	if err != nil {
		return "", err
	}
	from := watch(resp.Body, time.Duration(c.settings.Idle), cancel)
	defer from.Close()
	spool, err := c.core.Blobs().Create(ctx)
	if err != nil {
		return "", err
	}
	f.begin(resp.ContentLength, spool)
	sums := newSums(claims(wanted.Digests))
	if err := c.receive(f, spool, sums, from, resp.ContentLength); err != nil {
		if fault.KindOf(err) == fault.Internal {
			err = unavailable(src.base.String(), errors.Join(err, context.Cause(ctx)))
		}
		return "", errors.Join(err, spool.Abort())
	}
	if !sums.hold() {
		c.log.Warn("an upstream sent another file than it lists", "release", wanted.PURL, "url", address)
		return "", errors.Join(registry.UpstreamChanged(wanted.PURL), spool.Abort())
	}
	size := spool.Size()
	artifact, err := spool.Commit(ctx, wantedDigest(wanted))
	if err != nil {
		if fault.As(err).Code == "digest-mismatch" {
			err = registry.UpstreamChanged(wanted.PURL)
		}
		return "", err
	}
	if wanted.Keep != nil {
		return artifact, wanted.Keep(ctx, artifact, size)
	}
	return artifact, c.record(ctx, src, address, name, wanted, artifact, size)
}

// wantedDigest is the digest under which the file must be stored: that under which it is known. Empty for
// "whatever SHA-256 it has".
func wantedDigest(wanted registry.Wanted) digest.Digest { return wanted.Artifact }

// get asks for a file as it is, without an encoding of the transfer.
func (c *Client) get(ctx context.Context, src *source, address string, wanted registry.Wanted) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "hullmark")
	r.Header.Set("Accept-Encoding", "identity")
	if wanted.Accept != "" {
		r.Header.Set("Accept", wanted.Accept)
	}
	resp, err := src.client.Do(r)
	if err != nil {
		return nil, unavailable(src.base.String(), err)
	}
	switch {
	case resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Encoding") == "" && resp.ContentLength <= c.settings.MaxFile:
		return resp, nil
	case resp.StatusCode == http.StatusOK && resp.ContentLength > c.settings.MaxFile:
		err = tooLarge(wanted, c.settings.MaxFile)
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		err = fault.New(fault.NotFound, "version-unknown", "the upstream lists %s and does not have it any more", wanted.PURL)
	default:
		err = unavailable(src.base.String(), fmt.Errorf("status %s, encoding %q", resp.Status, resp.Header.Get("Content-Encoding")))
	}
	return nil, errors.Join(err, resp.Body.Close())
}

func tooLarge(wanted registry.Wanted, limit int64) error {
	return fault.New(fault.Unavailable, "upstream-too-large", "%s is larger than the %d bytes that are fetched here", wanted.PURL, limit)
}

// pieceBytes is how much is read at a time.
const pieceBytes = 256 << 10

// receive copies the upstream's bytes into the spool and tells those who wait.
func (c *Client) receive(f *flight, spool blob.Upload, sums io.Writer, from io.Reader, length int64) error {
	buf := make([]byte, pieceBytes)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			sums.Write(buf[:n])
			if _, werr := spool.Write(buf[:n]); werr != nil {
				return werr
			}
			if spool.Size() > c.settings.MaxFile {
				return fault.New(fault.Unavailable, "upstream-too-large", "the file is larger than the %d bytes that are fetched here", c.settings.MaxFile)
			}
			f.grow(n)
		}
		switch {
		case err == io.EOF && length >= 0 && spool.Size() != length:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// record puts the file on the record with what it holds, and asks once more whether it was recalled: that may
// have been by its digest, or by a file inside.
func (c *Client) record(ctx context.Context, src *source, address, name string, wanted registry.Wanted, artifact digest.Digest, size int64) error {
	ecosystem, _, _ := wanted.PURL.Split()
	u := registry.Upload{
		Ecosystem: ecosystem, Name: name, Version: wanted.Version, File: wanted.File, PURL: wanted.PURL, Artifact: artifact, Size: size,
		MediaType: wanted.MediaType, ArtifactType: wanted.ArtifactType, Subject: wanted.Subject, Metadata: wanted.Metadata,
	}
	if u.MediaType == "" {
		u.MediaType = wanted.ContentType
	}
	if wanted.Read != nil {
		draft, err := c.contents(ctx, wanted, artifact)
		if err != nil {
			return err
		}
		u.Contents = append(u.Contents, draft)
	}
	origin := evidence.Origin{
		Upstream: src.base.String(), URL: address, Published: wanted.Published, Publisher: wanted.Publisher, Digests: wanted.Digests,
	}
	if _, err := c.core.Mirror(ctx, u, origin); err != nil {
		return err
	}
	kept, err := c.core.Kept(ctx, ecosystem, name, wanted.Version, wanted.File)
	if err == nil && kept.Recalled != "" {
		err = registry.RecalledRelease(kept)
	}
	return err
}

// contents looks into the file. One that cannot be read is no reason to withhold it: the record says so. One that
// is another than its name says, an Integrity fault, is refused.
func (c *Client) contents(ctx context.Context, wanted registry.Wanted, artifact digest.Digest) (evidence.Draft, error) {
	inv, err := wanted.Read(ctx, artifact)
	if err != nil && (fault.KindOf(err) == fault.Internal || ctx.Err() != nil) {
		return evidence.Draft{}, fmt.Errorf("look into %s: %w", wanted.PURL, err)
	}
	if fault.KindOf(err) == fault.Integrity {
		return evidence.Draft{}, err
	}
	if err != nil || inv == nil {
		reason := "nothing is known of what it holds"
		if err != nil {
			reason = fault.As(err).Text
		}
		return evidence.Draft{
			Subjects:  []evidence.Subject{evidence.About(wanted.PURL, artifact)},
			Predicate: evidence.Gap{What: "contents", Reason: reason},
			Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "pull"}, Assurance: evidence.Observed,
		}, nil
	}
	stored, err := c.core.Record().StoreInventory(ctx, inv)
	if err != nil {
		return evidence.Draft{}, err
	}
	return registry.ReleaseContents(wanted.PURL, artifact, stored, inv), nil
}
