package npm

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// servePackument answers GET /{name}, in the form that Accept asks for. npm asks for the full form
// when it installs, pnpm and bun for the abbreviated one.
func (r *Registry) servePackument(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	if o.complete != nil && r.wantsToWrite(req, actor, o.name) {
		return r.serveComplete(w, req, o)
	}
	if len(o.releases) == 0 {
		return o.nothingLeft()
	}
	f := full
	if strings.Contains(req.Header.Get("Accept"), contentTypes[abbreviated]) {
		f = abbreviated
	}
	d, err := r.document(req.Context(), o, f)
	if err != nil {
		return err
	}
	o.sayAge(w.Header(), r.clock.Now())
	if o.notice != "" {
		w.Header()["Npm-Notice"] = []string{o.notice}
	}
	d.send(w, req, contentTypes[f])
	return nil
}

// sayAge tells how old a document is whose upstream does not answer (RFC 9111, 5.1), and since when.
func (o *offer) sayAge(h http.Header, now time.Time) {
	if o.source == "" || !o.stale.Load() {
		return
	}
	registry.SayAge(h, time.Unix(0, o.asked.Load()), now)
}

// manifestOf returns the manifest of a version as it is served.
func (r *Registry) manifestOf(ctx context.Context, o *offer, rel registry.Release) (object, error) {
	if o.whole != nil {
		return o.manifest(rel)
	}
	return r.manifest(ctx, o.name, rel)
}

// wantsToWrite reports whether the caller is about to change the document, and may: npm says so before
// it unpublishes, deprecates or changes owners. Source: libnpmpublish, unpublish.js.
func (r *Registry) wantsToWrite(req *http.Request, actor evidence.Actor, name string) bool {
	return req.URL.Query().Get("write") == "true" && r.core.MayPublish(req.Context(), actor, purl.NPM, name)
}

// serveComplete answers with the document that nothing is kept back from. It is made anew each time:
// few ask for it, and it is theirs alone.
func (r *Registry) serveComplete(w http.ResponseWriter, req *http.Request, o *offer) error {
	d, err := r.render(req.Context(), o.complete, full)
	if err == nil {
		err = d.pack()
	}
	if err != nil {
		return fmt.Errorf("render all of %s: %w", o.name, err)
	}
	d.send(w, req, contentTypes[full])
	return nil
}

// nothingLeft says why a name that exists has no version to install. A recall is named with its
// reason: without it, whoever installs takes the answer for a typo and looks elsewhere.
func (o *offer) nothingLeft() error {
	for _, rel := range slices.Backward(o.all) {
		if rel.State == registry.Active && rel.Recalled != "" {
			return fault.New(fault.NotFound, "name-unknown",
				"%s has no version that can be installed: %s was recalled: %s", o.name, rel.Version, rel.Recalled)
		}
	}
	if o.complete != nil {
		return registry.TooYoung(o.complete.releases[0], o.cooldown)
	}
	return fault.New(fault.NotFound, "name-unknown", "%s has no version that can be installed", o.name)
}

// send writes the document, or 304 when the caller has it. "no-cache" lets clients keep it and
// makes them ask each time: a recall must reach them with the next install.
func (d *rendered) send(w http.ResponseWriter, req *http.Request, contentType string) {
	body, tag, length := d.plain, d.plainETag, d.plainLength
	h := w.Header()
	if registry.AcceptsGzip(req.Header.Get("Accept-Encoding")) {
		body, tag, length = d.packed, d.packedETag, d.packedLength
		h["Content-Encoding"] = gzipEncoding
	}
	h["Etag"] = []string{tag}
	h["Vary"] = varies
	h["Cache-Control"] = revalidate
	if registry.MatchesETag(req.Header.Get("If-None-Match"), tag) {
		delete(h, "Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{length}
	h["X-Content-Type-Options"] = nosniff
	if req.Method != http.MethodHead {
		w.Write(body) // a failure means that the caller has gone
	}
}

// Header values that never change, so that sending them allocates nothing.
var (
	gzipEncoding = []string{"gzip"}
	varies       = []string{"Accept, Accept-Encoding"}
	revalidate   = []string{"no-cache"}
	nosniff      = []string{"nosniff"}
)

// serveVersion answers GET /{name}/{version}: one manifest, by version or tag.
func (r *Registry) serveVersion(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	rel, err := o.release(req.PathValue("version"))
	if err != nil {
		return err
	}
	m, err := r.manifestOf(req.Context(), o, rel)
	if err != nil {
		return err
	}
	delete(m, "readme")
	w.Header().Set("Cache-Control", "no-cache")
	r.respond(w, http.StatusOK, m)
	return nil
}

// serveTarball answers GET /{name}/-/{file}, through the pull gate.
func (r *Registry) serveTarball(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	rel, err := o.byFile(req.PathValue("file"))
	if err != nil {
		return err
	}
	if o.source != "" {
		return r.upstream.Serve(w, req, actor, o.name, r.wanted(o.listed[o.used[rel.Version]]))
	}
	return r.core.ServeRelease(w, req, actor, purl.NPM, o.name, rel, tarballContent)
}

// tarballContent is what tarballs are served as.
const tarballContent = "application/octet-stream"

// byFile returns the release whose tarball has the file name, withdrawn and recalled ones included.
func (o *offer) byFile(file string) (registry.Release, error) {
	version := strings.TrimSuffix(strings.TrimPrefix(file, baseName(o.name)+"-"), path.Ext(file))
	if i, ok := o.used[version]; ok && tarballFile(o.name, version) == file {
		return o.all[i], nil
	}
	return registry.Release{}, fault.New(fault.NotFound, "version-unknown", "%s has no tarball %q", purl.New(purl.NPM, o.name, ""), fault.Clip(file))
}
