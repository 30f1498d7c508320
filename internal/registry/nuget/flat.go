package nuget

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// serveVersions answers GET flat/{id}/index.json: all versions that are offered, unlisted ones included.
// Source: NuGet docs, "Package content".
func (r *Registry) serveVersions(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	page, err := r.page(req.Context(), pathName(req), "flat", func(o *offer) (any, error) {
		versions := make([]string, len(o.entries))
		for i, e := range o.entries {
			versions[i] = e.Version
		}
		return map[string][]string{"versions": versions}, nil
	})
	if err != nil {
		return err
	}
	page.Serve(w, req)
	return nil
}

// serveFile answers GET flat/{id}/{version}/{file}: the package, its nuspec or its readme, through the pull
// gate.
func (r *Registry) serveFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name, file := pathName(req), lower(req.PathValue("file"))
	v, err := nupkg.ParseVersion(req.PathValue("version"))
	if err != nil {
		return fileUnknown(name, file)
	}
	key := v.Key()
	switch file {
	case fileName(name, key, packageType), fileName(name, key, symbolsType):
		return r.servePackage(w, req, actor, name, key, file)
	case name + ".nuspec":
		return r.serveDocument(w, req, actor, name, key, "application/xml", func(m *metadata) digest.Digest { return m.Nuspec })
	case "readme":
		return r.serveDocument(w, req, actor, name, key, "text/markdown; charset=utf-8", func(m *metadata) digest.Digest { return m.Readme })
	}
	return fileUnknown(name, file)
}

func fileUnknown(name, file string) error {
	return fault.New(fault.NotFound, "version-unknown", "%s has no file %q", name, fault.Clip(file))
}

func (r *Registry) servePackage(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name, key, file string) error {
	ctx := req.Context()
	rel, err := r.core.File(ctx, purl.NuGet, name, file)
	if fault.KindOf(err) == fault.NotFound && err != nil && strings.HasSuffix(file, "."+packageType) {
		return r.serveUpstream(w, req, actor, name, key)
	}
	if err != nil {
		return err
	}
	return r.core.ServeRelease(w, req, actor, purl.NuGet, name, rel, contentType)
}

// serveDocument answers with a small document of a version.
func (r *Registry) serveDocument(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name, key, kind string, which func(*metadata) digest.Digest) error {
	ctx := req.Context()
	e, err := r.find(ctx, name, key)
	if err != nil {
		return err
	}
	if err := r.gate(ctx, actor, name, e); err != nil {
		return err
	}
	data, err := r.smallDocument(ctx, name, e, lower(req.PathValue("file")), which)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
	return nil
}

func (r *Registry) smallDocument(ctx context.Context, name string, e *entry, file string, which func(*metadata) digest.Digest) ([]byte, error) {
	if e.Origin != "" {
		return r.upstreamDocument(ctx, name, e, file)
	}
	d := which(e.metadata)
	if d == "" {
		return nil, fileUnknown(name, file)
	}
	return blob.Get(ctx, r.core.Blobs(), d)
}

// gate is the pull gate for what tells of a version.
func (r *Registry) gate(ctx context.Context, actor evidence.Actor, name string, e *entry) error {
	return r.core.MayDownload(ctx, actor, purl.NuGet, name, e.Release)
}
