package npm

import (
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	const read, publish, own = evidence.Read, evidence.Publish, evidence.Own
	return slices.Concat(r.organisationRoutes(), r.stageRoutes(), []registry.Route{
		r.named("GET", "/{name}", read, r.servePackument),
		r.named("GET", "/{name}/{version}", read, r.serveVersion),
		r.named("GET", "/{name}/-/{file}", read, r.serveTarball),
		r.named("PUT", "/{name}", publish, r.put),

		r.named("PUT", "/{name}/-rev/{rev}", own, r.change),
		r.named("DELETE", "/{name}/-rev/{rev}", own, r.unpublishAll),
		r.named("DELETE", "/{name}/-/{file}/-rev/{rev}", own, r.unpublishFile),

		r.named("GET", "/-/package/{name}/dist-tags", read, r.serveTags),
		r.named("PUT", "/-/package/{name}/dist-tags/{tag}", publish, r.setTag),
		r.named("POST", "/-/package/{name}/dist-tags/{tag}", publish, r.setTag),
		r.named("DELETE", "/-/package/{name}/dist-tags/{tag}", publish, r.removeTag),
		r.named("GET", "/-/package/{name}/visibility", read, r.serveVisibility),
		r.named("GET", "/-/package/{name}/collaborators", publish, r.serveCollaborators),
		r.named("POST", "/-/package/{name}/access", own, r.steppedUp(r.setAccess)),

		r.named("GET", "/-/package/{name}/trust", own, r.listTrusted),
		r.named("POST", "/-/package/{name}/trust", own, r.inPerson(r.addTrusted)),
		r.named("DELETE", "/-/package/{name}/trust/{id}", own, r.inPerson(r.removeTrusted)),
		r.anyone("POST", exchangePath+"{package}", r.exchangeToken),

		r.anyone("GET", "/-/ping", r.ping),
		r.anyone("GET", "/-/npm/v1/keys", r.serveKeys),
		r.release("GET", "/-/npm/v1/attestations/{release}", read, r.serveAttestations),
		r.visitor("GET", "/-/v1/search", r.search),
		r.visitor("POST", "/-/npm/v1/security/advisories/bulk", r.bulkAdvisories),
		r.visitor("POST", "/-/npm/v1/security/audits/quick", r.quickAudit),
		r.visitor("POST", "/-/npm/v1/security/audits", r.quickAudit),

		r.anyone("POST", "/-/v1/login", r.startLogin),
		r.anyone("GET", "/-/v1/done/{poll}", r.pollLogin),
		r.anyone("PUT", "/-/user/{user}", r.legacyLogin),
		r.account("GET", "/-/user/{user}", r.serveUser),
		r.account("DELETE", "/-/user/token/{token}", r.revokeToken),

		r.account("GET", "/-/whoami", r.whoami),
		r.account("GET", "/-/npm/v1/user", r.profile),
		r.account("POST", "/-/npm/v1/user", r.setProfile),
		r.account("GET", "/-/npm/v1/tokens", r.listTokens),
		r.account("POST", "/-/npm/v1/tokens", r.createToken),
		r.account("DELETE", "/-/npm/v1/tokens/token/{token}", r.revokeToken),
	})
}
