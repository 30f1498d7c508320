package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// ServeRelease answers a GET or HEAD with the artifact of a release of the name, through the pull gate: see
// [Core.MayDownload] and [Core.ServeBlob].
func (c *Core) ServeRelease(w http.ResponseWriter, r *http.Request, actor evidence.Actor, ecosystem, name string, rel Release, contentType string) error {
	if err := c.MayDownload(r.Context(), actor, ecosystem, name, rel); err != nil {
		return err
	}
	return c.ServeBlob(w, r, rel.Artifact, rel.Published, contentType)
}

// ServeBlob answers with the bytes of a blob, or with the part that is asked for. They never change, but only the
// caller may keep them: a shared cache would go on serving a release that was recalled. A Cache-Control header
// that is set already stays. The caller has asked the pull gate.
func (c *Core) ServeBlob(w http.ResponseWriter, r *http.Request, d digest.Digest, modified time.Time, contentType string) error {
	content, err := c.open(r.Context(), d)
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h["Etag"] = []string{`"` + d.Hex() + `"`}
	h["Content-Type"] = []string{contentType}
	h["X-Content-Type-Options"] = nosniff
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = immutable
	}
	if r.Method != http.MethodGet || asksForPart(r.Header) {
		http.ServeContent(w, r, "", modified, content)
		return nil
	}
	h["Content-Length"] = []string{strconv.FormatInt(content.Size(), 10)}
	h["Last-Modified"] = []string{modified.UTC().Format(http.TimeFormat)}
	if whole, ok := content.(fromMemory); ok {
		w.Write(whole.data) // a failure means that the caller has gone
		return nil
	}
	io.CopyN(w, content, content.Size()) // as above
	return nil
}

// Header values that never change, so that sending them allocates nothing.
var (
	immutable = []string{"private, max-age=31536000, immutable"}
	nosniff   = []string{"nosniff"}
)

// asksForPart reports whether an answer may be anything else than the whole file.
func asksForPart(h http.Header) bool {
	for _, key := range []string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if _, ok := h[key]; ok {
			return true
		}
	}
	return false
}

const (
	maxSmall   = 64 << 10 // bytes up to which a blob is sent from memory: a build asks for hundreds of small files
	smallCache = 16 << 20 // bytes of those that are kept
)

// small is a blob that is kept in memory. Its key is its digest, so that it never has to be forgotten.
type small struct {
	digest string
	data   []byte
}

// CacheKey, CacheRevision and CacheWeight implement Cacheable.
func (s *small) CacheKey() string     { return s.digest }
func (s *small) CacheRevision() int64 { return 0 }
func (s *small) CacheWeight() int64   { return 300 + int64(len(s.data)) }

// fromMemory reads a small blob.
type fromMemory struct {
	*bytes.Reader
	data []byte
}

func (fromMemory) Close() error { return nil }

// open returns the bytes of a blob: a large one's as the file that it is, which the system sends by itself.
func (c *Core) open(ctx context.Context, d digest.Digest) (blob.Reader, error) {
	if kept := c.small.Get(string(d)); kept != nil {
		return fromMemory{bytes.NewReader(kept.data), kept.data}, nil
	}
	file, err := c.blobs.Open(ctx, d)
	if err != nil || file.Size() > maxSmall {
		return file, err
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	c.small.Put(&small{string(d), data})
	return fromMemory{bytes.NewReader(data), data}, nil
}
