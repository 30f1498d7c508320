package oci

import (
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
)

// getBlob serves a blob, whole or in ranges (end-2).
func (g *Registry) getBlob(c *call) error {
	if err := g.core.MayServeBlob(c.r.Context(), c.digest); err != nil {
		return err
	}
	if proxied, err := g.proxied(c.r.Context(), c.name); err != nil {
		return err
	} else if proxied {
		return g.getUpstreamBlob(c)
	}
	if _, err := g.core.LinkedBlob(c.r.Context(), purl.OCI, c.name, c.digest); err != nil {
		return err
	}
	return g.serveContent(c, c.digest, "application/octet-stream")
}

// serveContent sends the stored bytes of d. The reader is passed on as it is: the standard
// library then lets the kernel send the file, and answers ranges and conditions.
func (g *Registry) serveContent(c *call, d digest.Digest, mediaType string) error {
	f, err := g.core.Blobs().Open(c.r.Context(), d)
	if err != nil {
		return err
	}
	defer f.Close()
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", string(d))
	h.Set("ETag", `"`+string(d)+`"`)
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

// deleteBlob takes a blob from the repository (end-10). Other repositories keep it.
func (g *Registry) deleteBlob(c *call) error {
	ctx := c.r.Context()
	if _, err := g.core.LinkedBlob(ctx, purl.OCI, c.name, c.digest); err != nil {
		return err
	}
	if err := g.core.UnlinkBlob(ctx, purl.OCI, c.name, c.digest); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// linked answers that the repository now has the blob.
func (g *Registry) linked(c *call, d digest.Digest, size int64) error {
	if err := g.core.LinkBlob(c.r.Context(), purl.OCI, c.name, d, size); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/v2/"+c.name+"/blobs/"+string(d))
	c.w.Header().Set("Docker-Content-Digest", string(d))
	c.w.WriteHeader(http.StatusCreated)
	return nil
}
