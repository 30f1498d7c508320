package pypi

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	g := r.guard()
	ours := g // what the command line asks, in its own words
	ours.Fail, ours.OTP = r.problem, func(req *http.Request) string { return req.Header.Get("Hullmark-Otp") }
	const read = evidence.Read
	return append(r.sessionRoutes(),
		g.Visitor("GET", "/simple/{$}", r.serveNames),
		g.Named("GET", "/simple/{name}", read, pathName, r.redirectIndex),
		g.Named("GET", "/simple/{name}/{$}", read, pathName, r.serveIndex),
		g.Named("GET", "/files/{name}/{file}", read, pathName, r.serveFile),

		g.Named("GET", "/integrity/{name}/{version}/{file}/provenance", read, pathName, r.serveProvenance),
		g.Named("GET", "/pypi/{name}/json", read, pathName, r.serveJSON),
		g.Named("GET", "/pypi/{name}/{version}/json", read, pathName, r.serveJSON),
		ours.Named("PATCH", "/pypi/{name}/{version}", evidence.Publish, pathName, ours.StepUp(r.yank)),
		g.Anyone("GET", "/namespaces", r.serveNamespaces),
		g.Anyone("GET", "/namespace/{namespace}", r.serveNamespace),

		g.InBody("POST", "/legacy/{$}", evidence.Publish, login, r.upload),
		g.Anyone("POST", "/legacy", r.redirectUpload),
	)
}
