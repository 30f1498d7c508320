package pypi

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// metadataSuffix asks for the metadata of a file in place of the file. Source: PEP 658.
const metadataSuffix = ".metadata"

func cutMetadata(file string) (string, bool) { return strings.CutSuffix(file, metadataSuffix) }

// serveFile answers GET /files/{name}/{file} and the same with .metadata behind it.
func (r *Registry) serveFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name := pathName(req)
	want, metadata := cutMetadata(req.PathValue("file"))
	hosted, err := r.core.Hosted(req.Context(), purl.PyPI, name)
	if err != nil {
		return err
	}
	if !hosted && r.config.Upstream != nil {
		return r.serveListed(w, req, actor, name, want, metadata)
	}
	rel, err := r.core.File(req.Context(), purl.PyPI, name, want)
	if err != nil {
		return err
	}
	if err := r.core.MayDownload(req.Context(), actor, purl.PyPI, name, rel); err != nil {
		return err
	}
	if metadata {
		return r.serveMetadata(w, req, rel)
	}
	blob, err := r.core.Blobs().Open(req.Context(), rel.Artifact)
	if err != nil {
		return err
	}
	defer blob.Close()
	fileHeader(w, "application/octet-stream", string(rel.Artifact))
	http.ServeContent(w, req, "", rel.Published, blob)
	return nil
}

// serveMetadata answers with the METADATA that was read out of a wheel.
func (r *Registry) serveMetadata(w http.ResponseWriter, req *http.Request, rel registry.Release) error {
	known, err := r.facts(req.Context(), rel.Metadata)
	if err != nil {
		return err
	}
	if known.Core == "" || rel.ArtifactType != string(wheel) {
		return fault.New(fault.NotFound, "version-unknown", "%s has no metadata of its own; download the file", clip(rel.File))
	}
	raw, err := blob.Get(req.Context(), r.core.Blobs(), known.Core)
	if err != nil {
		return err
	}
	fileHeader(w, "text/plain; charset=utf-8", string(known.Core))
	http.ServeContent(w, req, "", rel.Published, bytes.NewReader(raw))
	return nil
}

func fileHeader(w http.ResponseWriter, contentType, tag string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Etag", `"`+tag+`"`)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
}
