package maven

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// serveFile answers GET of a file or of one of its checksums, through the pull gate.
func (r *Registry) serveFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	t := targetOf(req)
	o, err := r.offer(req.Context(), t.Name())
	if err != nil {
		return err
	}
	release, ok := o.file(t.Coordinates)
	switch {
	case !ok && len(o.releases) == 0:
		return r.serveUpstreamFile(w, req, actor, t)
	case !ok:
		return fileUnknown(t.Coordinates)
	case t.Sum != "":
		sum, err := r.checksum(req.Context(), release, t.Sum)
		if err != nil {
			return err
		}
		serveSum(w, sum)
		return nil
	}
	if err := r.core.MayDownload(req.Context(), actor, purl.Maven, o.name, release); err != nil {
		return err
	}
	return r.serveRelease(w, req, t, release)
}

// serveRelease sends the bytes. A snapshot that was asked for without its timestamp is another one tomorrow.
func (r *Registry) serveRelease(w http.ResponseWriter, req *http.Request, t layout.Target, release registry.Release) error {
	h := w.Header()
	h["Content-Security-Policy"] = sandbox
	if t.Snapshot() && t.Build == t.Version {
		h["Cache-Control"] = revalidate
	}
	return r.core.ServeBlob(w, req, release.Artifact, release.Published, contentType(t.Coordinates))
}

// Header values that never change, so that sending them allocates nothing.
var (
	revalidate = []string{"no-cache"}
	sandbox    = []string{"sandbox; default-src 'none'"} // a pom is XML, and browsers run what XML says
)

func serveSum(w http.ResponseWriter, sum string) {
	w.Header()["Cache-Control"] = revalidate
	registry.Answer(w, http.StatusOK, plainText, []byte(sum))
}

// checksum returns a release's checksum in hex.
func (r *Registry) checksum(ctx context.Context, release registry.Release, algorithm string) (string, error) {
	if algorithm == "sha256" {
		return release.Artifact.Hex(), nil
	}
	f, err := r.stored.Get(ctx, release.Metadata)
	if err != nil {
		return "", err
	}
	return f.sum(algorithm), nil
}

// hashOf returns a checksum in hex.
func hashOf(content io.Reader, algorithm string) (string, error) {
	h := map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}[algorithm]()
	_, err := io.Copy(h, content)
	return hex.EncodeToString(h.Sum(nil)), err
}

// servePage answers with a page, or with one of its checksums.
func servePage(w http.ResponseWriter, req *http.Request, t layout.Target, page *registry.Page) {
	if t.Sum != "" {
		sum, _ := hashOf(bytes.NewReader(page.Body()), t.Sum) // memory does not fail
		serveSum(w, sum)
		return
	}
	page.Serve(w, req)
}

// contentType is what a file is served as, by its extension.
func contentType(c layout.Coordinates) string {
	switch {
	case c.Sidecar == layout.SidecarPGP:
		return plainText
	case c.Sidecar == layout.SidecarSigstore, c.Extension == "module":
		return "application/json"
	case c.Extension == "pom", c.Extension == "xml":
		return xmlType
	case c.Extension == "jar", c.Extension == "war", c.Extension == "ear":
		return "application/java-archive"
	case c.Extension == "zip":
		return "application/zip"
	}
	return "application/octet-stream"
}

const xmlType = "application/xml"
