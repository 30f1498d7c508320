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
)

// serveFile answers GET of a file or of one of its checksums, through the pull gate.
func (r *Registry) serveFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	t := targetOf(req)
	o, err := r.offer(req.Context(), t.name())
	if err != nil {
		return err
	}
	release, ok := o.file(t.coordinates)
	switch {
	case !ok && len(o.releases) == 0:
		return r.serveUpstreamFile(w, req, actor, t)
	case !ok:
		return fileUnknown(t.coordinates)
	case t.sum != "":
		sum, err := r.checksum(req.Context(), release, t.sum)
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
func (r *Registry) serveRelease(w http.ResponseWriter, req *http.Request, t target, release registry.Release) error {
	h := w.Header()
	h["Content-Security-Policy"] = sandbox
	if t.snapshot() && t.build == t.version {
		h["Cache-Control"] = revalidate
	}
	return r.core.ServeBlob(w, req, release.Artifact, release.Published, contentType(t.coordinates))
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
func servePage(w http.ResponseWriter, req *http.Request, t target, page *registry.Page) {
	if t.sum != "" {
		sum, _ := hashOf(bytes.NewReader(page.Body()), t.sum) // memory does not fail
		serveSum(w, sum)
		return
	}
	page.Serve(w, req)
}

// contentType is what a file is served as, by its extension.
func contentType(c coordinates) string {
	switch {
	case c.sidecar == sidecarPGP:
		return plainText
	case c.sidecar == sidecarSigstore, c.extension == "module":
		return "application/json"
	case c.extension == "pom", c.extension == "xml":
		return xmlType
	case c.extension == "jar", c.extension == "war", c.extension == "ear":
		return "application/java-archive"
	case c.extension == "zip":
		return "application/zip"
	}
	return "application/octet-stream"
}

const xmlType = "application/xml"
