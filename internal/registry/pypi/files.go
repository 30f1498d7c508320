package pypi

import (
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
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
	if !metadata {
		return r.core.ServeRelease(w, req, actor, purl.PyPI, name, rel, "application/octet-stream")
	}
	if err := r.core.MayDownload(req.Context(), actor, purl.PyPI, name, rel); err != nil {
		return err
	}
	return r.serveMetadata(w, req, rel)
}

// serveMetadata answers with the METADATA that was read out of a wheel.
func (r *Registry) serveMetadata(w http.ResponseWriter, req *http.Request, rel registry.Release) error {
	known, err := r.stored.Get(req.Context(), rel.Metadata)
	if err != nil {
		return err
	}
	if known.Core == "" || rel.ArtifactType != string(dist.Wheel) {
		return fault.New(fault.NotFound, "version-unknown", "%s has no metadata of its own; download the file", fault.Clip(rel.File))
	}
	return r.core.ServeBlob(w, req, known.Core, rel.Published, "text/plain; charset=utf-8")
}
