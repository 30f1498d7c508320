package oci

import (
	"mime"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// getManifest serves a manifest by tag or digest (end-3), if the pull gate lets it out.
func (g *Registry) getManifest(c *call) error {
	r, err := g.find(c)
	if err != nil {
		return err
	}
	if err := g.core.MayDownload(c.r.Context(), c.actor, purl.OCI, c.name, r); err != nil {
		return err
	}
	if c.tag != "" && !accepts(c.r.Header, r.MediaType) {
		return fault.New(fault.NotFound, "manifest-not-accepted",
			"%s is a %s, which the client does not accept; use a newer client or another tag", c.tag, r.MediaType)
	}
	return g.serveContent(c, r.Artifact, r.MediaType)
}

func (g *Registry) find(c *call) (registry.Release, error) {
	if proxied, err := g.proxied(c.r.Context(), c.name); err != nil {
		return registry.Release{}, err
	} else if proxied {
		return g.findUpstream(c)
	}
	if c.tag != "" {
		return g.core.Resolve(c.r.Context(), purl.OCI, c.name, c.tag)
	}
	return g.core.Release(c.r.Context(), purl.OCI, c.name, string(c.digest))
}

// accepts reports whether a client can use a manifest of mediaType. Only a client that names
// manifest types is taken at its word: an old one would take an index for an image.
func accepts(h http.Header, mediaType string) bool {
	picky := false
	for _, value := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		accepted, _, err := mime.ParseMediaType(value)
		switch {
		case err != nil:
			continue
		case accepted == mediaType, accepted == "*/*", accepted == "application/*":
			return true
		case isManifestType(accepted):
			picky = true
		}
	}
	return !picky
}

func isManifestType(t string) bool {
	switch t {
	case typeImage, typeIndex, typeArtifact, typeDockerImage, typeDockerList,
		"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws":
		return true
	}
	return false
}
