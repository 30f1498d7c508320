package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxMountSources is how many repositories a mount without a source looks at.
const maxMountSources = 20

// copyBytes is how much of a body is moved at a time.
const copyBytes = 256 << 10

// sitting is one request's work on an upload: the bytes go to the store and past the layer reader.
type sitting struct {
	upload blob.Upload
	tap    *tap // nil when the layer is not read now
}

// startUpload begins an upload (end-4a), takes a whole blob (end-4b), or mounts one that another
// repository has (end-11). A mount that cannot be done becomes an upload.
func (g *Registry) startUpload(c *call) error {
	q := c.r.URL.Query()
	if err := checkAlgorithm(q.Get("digest-algorithm")); err != nil {
		return err
	}
	if q.Has("mount") {
		if mounted, err := g.mount(c, q.Get("mount"), q.Get("from")); mounted || err != nil {
			return err
		}
	} else if q.Has("digest") {
		return g.wholeUpload(c, q.Get("digest"))
	}
	u, err := g.core.Blobs().Create(c.r.Context())
	if err != nil {
		return err
	}
	if err := u.Suspend(); err != nil {
		return err
	}
	return g.accepted(c, u, http.StatusAccepted)
}

// checkAlgorithm: the digest is computed when it is named at the end, so the announcement
// (end-4c) only has to be one that we can keep.
func checkAlgorithm(name string) error {
	if name == "" || name == digest.SHA256 || name == digest.SHA512 {
		return nil
	}
	return fault.New(fault.Invalid, "digest-invalid", "%q is not a digest algorithm here; use sha256 or sha512", fault.Clip(name))
}

// accepted answers with where the upload stands and where it goes on.
func (g *Registry) accepted(c *call, u blob.Upload, status int) error {
	h := c.w.Header()
	h.Set("Location", "/v2/"+c.name+"/blobs/uploads/"+g.sessions.name(c.name, u.ID()))
	h.Set("Range", rangeOf(u.Size()))
	h.Set("Docker-Upload-UUID", u.ID())
	h.Set("Content-Length", "0")
	if status == http.StatusNoContent {
		h.Del("Content-Length")
	}
	c.w.WriteHeader(status)
	return nil
}

func (g *Registry) wholeUpload(c *call, want string) error {
	d, err := digest.Parse(want)
	if err != nil {
		return err
	}
	u, err := g.core.Blobs().Create(c.r.Context())
	if err != nil {
		return err
	}
	s := &sitting{upload: u, tap: g.tapFor(c.r.Context(), d)}
	if err := g.receive(c, s); err != nil {
		s.tap.abort()
		return errors.Join(err, u.Abort())
	}
	return g.commit(c, s, d)
}

// tapFor spares a layer that is on the record a second reading.
func (g *Registry) tapFor(ctx context.Context, d digest.Digest) *tap {
	if known, err := g.layers.knows(ctx, d); known || err != nil {
		return nil
	}
	return g.layers.tap()
}

// mount links a blob of a repository that the caller may read.
func (g *Registry) mount(c *call, want, from string) (bool, error) {
	d, err := digest.Parse(want)
	if err != nil {
		return false, err
	}
	sources := []string{from}
	if from == "" {
		if sources, err = g.core.NamesWithBlob(c.r.Context(), purl.OCI, d, maxMountSources); err != nil {
			return false, err
		}
	}
	for _, source := range sources {
		if !validName(source) || !g.readable(c, source) {
			continue
		}
		size, err := g.core.LinkedBlob(c.r.Context(), purl.OCI, source, d)
		if err == nil {
			return true, g.linked(c, d, size)
		}
	}
	return false, nil
}

// readable asks whether the caller may read another repository, within the token's limits or
// because anybody may.
func (g *Registry) readable(c *call, name string) bool {
	actor := c.actor
	if c.grant != nil && !c.grant.allows(evidence.Read, name) {
		actor = evidence.Actor{}
	}
	return g.core.MayRead(c.r.Context(), actor, purl.OCI, name) == nil
}

// resume takes up the upload that the path names.
func (g *Registry) resume(c *call) (*sitting, error) {
	id, err := g.sessions.open(c.name, c.upload)
	if err != nil {
		return nil, err
	}
	u, err := g.core.Blobs().Resume(c.r.Context(), id)
	if err != nil {
		return nil, err
	}
	return &sitting{upload: u, tap: g.sessions.resume(id, u.Size())}, nil
}

// suspend ends the sitting and keeps the upload.
func (g *Registry) suspend(s *sitting) error {
	g.sessions.suspend(s.upload.ID(), s.tap)
	return s.upload.Suspend()
}

// appendUpload takes a chunk, or a stream of unknown length (end-5).
func (g *Registry) appendUpload(c *call) error {
	s, err := g.resume(c)
	if err != nil {
		return err
	}
	if err := g.receive(c, s); err != nil {
		return g.keep(c, s, err)
	}
	if err := g.suspend(s); err != nil {
		return err
	}
	return g.accepted(c, s.upload, http.StatusAccepted)
}

// keep suspends an upload whose chunk was refused, and says where it stands, so that the client
// can go on from there.
func (g *Registry) keep(c *call, s *sitting, cause error) error {
	h := c.w.Header()
	h.Set("Location", "/v2/"+c.name+"/blobs/uploads/"+c.upload)
	h.Set("Range", rangeOf(s.upload.Size()))
	return errors.Join(cause, g.suspend(s))
}

// finishUpload takes the last chunk, if there is one, and names the blob (end-6). Bytes of another
// digest than announced are thrown away.
func (g *Registry) finishUpload(c *call) error {
	d, err := digest.Parse(c.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	s, err := g.resume(c)
	if err != nil {
		return err
	}
	if err := g.receive(c, s); err != nil {
		return g.keep(c, s, err)
	}
	return g.commit(c, s, d)
}

func (g *Registry) commit(c *call, s *sitting, want digest.Digest) error {
	size := s.upload.Size()
	var reading <-chan outcome
	if s.tap != nil {
		reading = s.tap.finish(s.upload)
	}
	d, err := s.upload.Commit(c.r.Context(), want)
	if err != nil {
		return err // the reader may end; nobody looks at what it found
	}
	g.layers.uploaded(d, reading)
	return g.linked(c, d, size)
}

// receive copies the request's body to the upload. With a Content-Range the chunk must begin where
// the upload ends.
func (g *Registry) receive(c *call, s *sitting) error {
	most := g.config.Limits.Blob - s.upload.Size()
	expected := c.r.ContentLength
	if header := c.r.Header.Get("Content-Range"); header != "" {
		chunk, err := parseSpan(header)
		if err != nil {
			return err
		}
		if err := checkChunk(chunk, s.upload.Size(), expected); err != nil {
			return err
		}
		expected = chunk.length()
	}
	if expected > most {
		return errBlobTooLarge(g.config.Limits.Blob)
	}
	g.layers.uploading.Add(1)
	defer g.layers.uploading.Add(-1)
	return s.copy(c.r.Body, expected, most, g.config.Limits.Blob)
}

func checkChunk(chunk span, at, length int64) error {
	if chunk.first != at {
		return fault.New(fault.Invalid, "upload-range",
			"the upload has %d bytes and the chunk begins at %d; ask the upload's Location for its Range and go on from there", at, chunk.first)
	}
	if length >= 0 && length != chunk.length() {
		return fault.New(fault.Invalid, "upload-range-malformed",
			"Content-Range speaks of %d bytes and the body has %d; make them agree", chunk.length(), length)
	}
	return nil
}

func errBlobTooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "blob-too-large", "the blob is larger than the %d bytes that this server takes; split the layer", limit)
}

// Write implements io.Writer.
func (s *sitting) Write(p []byte) (int, error) {
	n, err := s.upload.Write(p)
	if s.tap != nil {
		s.tap.saw(s.upload, p[:n])
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom: fewer and larger writes than io.Copy makes by itself.
func (s *sitting) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{s}, r, make([]byte, copyBytes))
}

// copy moves a body of expected bytes (-1: unknown, at most most) to the store and the tap. What
// arrived before an error stays in the upload.
func (s *sitting) copy(body io.Reader, expected, most, limit int64) error {
	if expected >= 0 {
		most = expected
	}
	source := &bodyReader{Reader: io.LimitReader(body, most)}
	n, err := io.Copy(s, source)
	switch {
	case source.err != nil || err == nil && expected >= 0 && n < expected:
		return fault.New(fault.Invalid, "upload-cut-off", "the upload stopped after %d bytes; go on from where its Location says", n).Because(source.err)
	case err != nil:
		return fmt.Errorf("write upload: %w", err)
	case expected < 0 && n == most && !atEnd(body):
		return errBlobTooLarge(limit)
	}
	return nil
}

// atEnd reports whether nothing follows.
func atEnd(r io.Reader) bool {
	n, err := io.ReadFull(r, make([]byte, 1))
	return n == 0 && err == io.EOF
}

// bodyReader remembers the client's errors apart from the store's.
type bodyReader struct {
	io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// uploadStatus says how much of an upload is here (end-13).
func (g *Registry) uploadStatus(c *call) error {
	s, err := g.resume(c)
	if err != nil {
		return err
	}
	if err := g.suspend(s); err != nil {
		return err
	}
	return g.accepted(c, s.upload, http.StatusNoContent)
}

// cancelUpload forgets an upload (end-14).
func (g *Registry) cancelUpload(c *call) error {
	s, err := g.resume(c)
	if err != nil {
		return err
	}
	s.tap.abort()
	if err := s.upload.Abort(); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
