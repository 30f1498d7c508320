package gem

import (
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	return slices.Concat(r.readRoutes(), r.apiRoutes(), r.writeRoutes())
}

// readRoutes are what gem install and bundle install ask for.
func (r *Registry) readRoutes() []registry.Route {
	g := r.guard()
	const read = evidence.Read
	return []registry.Route{
		g.Anyone("GET", "/{$}", r.alive),
		g.Visitor("GET", "/versions", r.serveVersions),
		g.Visitor("GET", "/names", r.serveNames),
		g.Visitor("GET", "/specs.4.8.gz", r.serveSpecs("specs", released)),
		g.Visitor("GET", "/latest_specs.4.8.gz", r.serveSpecs("latest", latest)),
		g.Visitor("GET", "/prerelease_specs.4.8.gz", r.serveSpecs("prerelease", prereleased)),
		g.Named("GET", "/info/{name}", read, named, r.serveInfo),
		g.Named("GET", "/quick/Marshal.4.8/{file}", read, r.byFile(".gemspec.rz"), r.serveQuick),
		g.Named("GET", "/gems/{file}", read, r.byFile(".gem"), r.serveGem),
	}
}

func (r *Registry) writeRoutes() []registry.Route {
	g := r.guard()
	login := "this needs a key: sign in with gem signin --host " + strings.TrimSuffix(r.base, "/") + ", or set GEM_HOST_API_KEY"
	return []registry.Route{
		g.InBody("POST", "/api/v1/gems", evidence.Publish, login, r.push),
		g.InBody("DELETE", "/api/v1/gems/yank", evidence.Own, login, r.yank),
		g.Account("POST", "/api/v1/api_key", r.createKey),
		g.Account("PUT", "/api/v1/api_key", r.raiseKey),
		g.Account("GET", "/api/v1/profile/me.yaml", r.serveMe),
		g.Account("GET", "/api/v1/profile/me.json", r.serveMe),
		g.Account("POST", "/api/v1/webauthn_verification", r.askWebAuthn),
		g.Account("GET", "/api/v1/webauthn_verification/{code}/status.json", r.pollWebAuthn),
		g.Anyone("POST", "/api/v1/oidc/trusted_publisher/exchange_token", r.exchangeToken),
	}
}
