package gem

import (
	"bytes"
	"compress/zlib"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// alive answers GET and HEAD /: gem looks here whether there is a compact index.
// Source: RubyGems 3.3, source.rb, "dependency_resolver_set".
func (r *Registry) alive(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	return respondText(w, http.StatusOK, "Hullmark: gems\n")
}

// serveInfo answers GET /info/{name}.
func (r *Registry) serveInfo(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	if asked := o.asked.Load(); asked != 0 {
		registry.SayAge(w.Header(), time.Unix(0, asked), r.clock.Now())
	}
	o.info.Serve(w, req)
	return nil
}

// byFile is the name, as the core has it, of the gem that a file in the path belongs to.
func (r *Registry) byFile(ending string) func(*http.Request) string {
	return func(req *http.Request) string {
		full, _ := strings.CutSuffix(req.PathValue("file"), ending)
		return normal(r.locate(req.Context(), full).name)
	}
}

// locate finds out which gem a full name is of: most have one reading, of several the one that is hosted
// here, or that is listed at all, holds.
func (r *Registry) locate(ctx context.Context, full string) split {
	all := splits(full)
	switch len(all) {
	case 0:
		return split{name: full}
	case 1:
		return all[0]
	}
	for _, s := range all {
		if _, err := r.core.Release(ctx, purl.Gem, normal(s.name), s.key()); err == nil {
			return s
		}
	}
	for _, s := range all {
		if o, err := r.offer(ctx, s.name); err == nil {
			if _, found := o.find(s.key()); found {
				return s
			}
		}
	}
	return all[0]
}

// gemIn returns the version that a file in the path names.
func (r *Registry) gemIn(req *http.Request, ending string) (*offer, version, error) {
	full, ok := strings.CutSuffix(req.PathValue("file"), ending)
	s := r.locate(req.Context(), full)
	if !ok || s.version == "" {
		return nil, version{}, errGemUnknown(req.PathValue("file"))
	}
	o, err := r.offer(req.Context(), s.name)
	if err != nil {
		return nil, version{}, err
	}
	v, found := o.find(s.key())
	if !found {
		return nil, version{}, errGemUnknown(full)
	}
	return o, v, nil
}

// serveQuick answers GET /quick/Marshal.4.8/{file}: the gemspec of one version, which gem asks for before it
// downloads. What consumers do not see has none.
func (r *Registry) serveQuick(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, v, err := r.gemIn(req, ".gemspec.rz")
	if err != nil {
		return err
	}
	if err := r.visible(req.Context(), actor, o, v); err != nil {
		return err
	}
	m := gemspec.NewMarshaller()
	m.Specification(v.spec)
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write(m.Out)
	z.Close()
	h := w.Header()
	h.Set("Etag", strconv.Quote(md5Hex(b.Bytes())))
	h["Content-Type"], h["Cache-Control"], h["Vary"], h["X-Content-Type-Options"] = []string{"application/octet-stream"}, revalidate, varies, nosniff
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(b.Bytes()))
	return nil
}

// visible is the pull gate for what is only described: what is offered may be seen, and who
// may download the rest may see it, too.
func (r *Registry) visible(ctx context.Context, actor evidence.Actor, o *offer, v version) error {
	for _, offered := range o.offered {
		if offered.Version == v.Version {
			return nil
		}
	}
	return r.core.MayDownload(ctx, actor, purl.Gem, o.name, v.Release)
}

// serveGem answers GET /gems/{file}, through the pull gate.
func (r *Registry) serveGem(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, v, err := r.gemIn(req, ".gem")
	if err != nil {
		return err
	}
	if v.listed != nil {
		return r.serveListed(w, req, actor, o, v)
	}
	return r.core.ServeRelease(w, req, actor, purl.Gem, o.name, v.Release, "application/octet-stream")
}

// errNoDependencies is what rubygems.org answers to GET /api/v1/dependencies, too: clients go on with the
// compact index.
func errNoDependencies() error {
	return fault.New(fault.NotFound, "route-unknown", "The dependency API has gone away. See https://blog.rubygems.org/2023/02/22/dependency-api-deprecation.html for more information")
}
