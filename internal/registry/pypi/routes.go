package pypi

import (
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	g := r.guard()
	const read = evidence.Read
	return []registry.Route{
		g.Visitor("GET", "/simple/{$}", r.serveNames),
		g.Named("GET", "/simple/{name}", read, pathName, r.redirectIndex),
		g.Named("GET", "/simple/{name}/{$}", read, pathName, r.serveIndex),
		g.Named("GET", "/files/{name}/{file}", read, pathName, r.serveFile),

		g.Visitor("POST", "/legacy/{$}", r.upload),
		g.Visitor("POST", "/legacy", r.redirectUpload),
	}
}
