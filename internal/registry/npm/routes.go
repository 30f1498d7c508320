package npm

import (
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	g := r.guard()
	const read, publish, own = evidence.Read, evidence.Publish, evidence.Own
	return slices.Concat(r.organisationRoutes(), r.stageRoutes(), []registry.Route{
		g.Named("GET", "/{name}", read, nil, r.servePackument),
		g.Named("GET", "/{name}/{version}", read, nil, r.serveVersion),
		g.Named("GET", "/{name}/-/{file}", read, nil, r.serveTarball),
		g.Named("PUT", "/{name}", publish, nil, r.put),

		g.Named("PUT", "/{name}/-rev/{rev}", own, nil, r.change),
		g.Named("DELETE", "/{name}/-rev/{rev}", own, nil, r.unpublishAll),
		g.Named("DELETE", "/{name}/-/{file}/-rev/{rev}", own, nil, r.unpublishFile),

		g.Named("GET", "/-/package/{name}/dist-tags", read, nil, r.serveTags),
		g.Named("PUT", "/-/package/{name}/dist-tags/{tag}", publish, nil, r.setTag),
		g.Named("POST", "/-/package/{name}/dist-tags/{tag}", publish, nil, r.setTag),
		g.Named("DELETE", "/-/package/{name}/dist-tags/{tag}", publish, nil, r.removeTag),
		g.Named("GET", "/-/package/{name}/visibility", read, nil, r.serveVisibility),
		g.Named("GET", "/-/package/{name}/collaborators", publish, nil, r.serveCollaborators),
		g.Named("POST", "/-/package/{name}/access", own, nil, g.StepUp(r.setAccess)),

		g.Named("GET", "/-/package/{name}/trust", own, nil, r.listTrusted),
		g.Named("POST", "/-/package/{name}/trust", own, nil, g.StepUp(r.addTrusted)),
		g.Named("DELETE", "/-/package/{name}/trust/{id}", own, nil, g.StepUp(r.removeTrusted)),
		g.Anyone("POST", exchangePath+"{package}", r.exchangeToken),

		g.Anyone("GET", "/-/ping", r.ping),
		g.Anyone("GET", "/-/npm/v1/keys", r.serveKeys),
		g.Named("GET", "/-/npm/v1/attestations/{release}", read, releaseName, r.serveAttestations),
		g.Visitor("GET", "/-/v1/search", r.search),
		g.Visitor("POST", "/-/npm/v1/security/advisories/bulk", r.bulkAdvisories),
		g.Visitor("POST", "/-/npm/v1/security/audits/quick", r.quickAudit),
		g.Visitor("POST", "/-/npm/v1/security/audits", r.quickAudit),

		g.Anyone("POST", "/-/v1/login", r.startLogin),
		g.Anyone("GET", "/-/v1/done/{poll}", r.pollLogin),
		g.Anyone("PUT", "/-/user/{user}", r.legacyLogin),
		g.Account("GET", "/-/user/{user}", r.serveUser),
		g.Account("DELETE", "/-/user/token/{token}", r.revokeToken),

		g.Account("GET", "/-/whoami", r.whoami),
		g.Account("GET", "/-/npm/v1/user", r.profile),
		g.Account("POST", "/-/npm/v1/user", r.setProfile),
		g.Account("GET", "/-/npm/v1/tokens", r.listTokens),
		g.Account("POST", "/-/npm/v1/tokens", r.createToken),
		g.Account("DELETE", "/-/npm/v1/tokens/token/{token}", r.revokeToken),
	})
}
