package api

import (
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// AccessAdmin is for site administrators only; the other accesses are package registry's.
const AccessAdmin = "admin"

// Route is a row of the route table. Its namespace is one, or an organisation, that the path or
// the body names.
type Route struct {
	registry.Route
	// Admin lets site administrators do what otherwise needs Permission. Reading they always may.
	Admin bool
}

// Routes returns the route table, which says of every route what api/openapi.yaml says.
func (a *API) Routes() []Route { return a.routes }

func (a *API) table() []Route {
	read, own := evidence.Read, evidence.Own
	return slices.Concat(a.accountTable(), a.trustTable(), []Route{
		a.anyone("GET", "/healthz", a.health),
		a.anyone("GET", "/version", a.version),
		a.account("GET", "/whoami", a.whoami),

		a.anyone("GET", "/trace", a.whole(a.trace)),
		a.namespace("GET", "/records/{subject}", read, a.whole(a.statements)),
		a.namespace("GET", "/records/{subject}/bundle", read, a.whole(a.bundle)),
		a.anyone("GET", "/log/checkpoint", a.checkpoint),
		a.anyone("GET", "/log/inclusion", a.inclusion),
		a.anyone("GET", "/log/consistency", a.consistency),
		a.anyone("GET", "/recalls", a.listRecalls),
		a.namespace("POST", "/recalls", own, a.makeRecall),
		a.namespace("GET", "/recalls/preview", own, a.whole(a.previewRecall)),
		a.namespace("GET", "/recalls/{seq}/receipts", own, a.recallReceipts),
		a.namespace("DELETE", "/recalls/{subject}", own, a.liftRecall),

		a.admin("GET", "/upstreams", a.listUpstreams),
		a.admin("GET", "/reports", a.listReports),
		a.account("POST", "/reports", a.makeReport),
		a.admin("PUT", "/reports/{report}", a.closeReport),
		a.namespace("GET", "/advisories/osv/{advisory}", read, a.getAdvisory),
		a.anyone("GET", "/advisories/osv/all.zip", a.exportAdvisories),
		a.anyone("GET", "/advisories/osv/all.ndjson", a.streamAdvisories),
		a.anyone("GET", "/advisories/osv/modified_id.csv", a.listAdvisories),

		a.account("GET", "/holds", a.listHolds),
		a.namespace("GET", "/holds/{subject}", evidence.Publish, a.getHold),
		a.publishing("DELETE", "/holds/{subject}", a.rejectHold),
		a.publishing("POST", "/approvals", a.approve),
		a.admin("GET", "/hold-settings", a.getHoldSettings(siteScope)),
		a.admin("PUT", "/hold-settings", a.putHoldSettings(siteScope)),
		a.namespace("GET", "/namespaces/{ecosystem}/{name}/hold-settings", own, a.getHoldSettings(namespaceScope)),
		a.namespace("PUT", "/namespaces/{ecosystem}/{name}/hold-settings", own, a.putHoldSettings(namespaceScope)),
		a.namespace("GET", "/packages/{ecosystem}/{name}/hold-settings", evidence.Stage, a.getHoldSettings(nameScope)),
		a.owning("PUT", "/packages/{ecosystem}/{name}/hold-settings", a.putHoldSettings(nameScope)),
		a.owning("PUT", "/packages/{ecosystem}/{name}/tokens-allowed", a.allowTokens),

		a.anyone("GET", "/packages", a.listPackages),
		a.namespace("GET", "/packages/{ecosystem}/{name}", read, a.getPackage),
		a.namespace("GET", "/images/{digest}", read, a.whole(a.getImage)),
		a.namespace("GET", "/images/{digest}/record", read, a.whole(a.getImageRecord)),

		a.account("GET", "/policies", a.getPolicies),
		a.admin("PUT", "/policies", a.putPolicies),
		a.account("GET", "/policies/{revision}", a.getPoliciesAt),
		a.account("GET", "/exceptions", a.listExceptions),
		a.account("POST", "/exceptions", a.requestException),
		a.admin("POST", "/cooldown-exemptions", a.exempt),
		a.namespace("POST", "/exceptions/{number}/approval", own, a.approveException),
		a.namespace("DELETE", "/exceptions/{number}", own, a.revokeException),
		a.namespace("GET", "/decisions/{id}/explanation", evidence.Publish, a.explainDecision),
	})
}

// accountTable are the routes about people, what they own and what they sign in with.
func (a *API) accountTable() []Route {
	read, own := evidence.Read, evidence.Own
	return []Route{
		a.admin("GET", "/users", a.listUsers),
		a.admin("POST", "/users", a.createUser),
		a.admin("GET", "/enrolments", a.listEnrolments),
		a.admin("POST", "/enrolments", a.enrol),
		a.admin("DELETE", "/enrolments/{id}", a.revokeEnrolment),
		a.account("GET", "/organisations", a.listOrganisations),
		a.account("POST", "/organisations", a.createOrganisation),
		a.namespace("GET", "/organisations/{organisation}/members", read, a.listMembers),
		a.namespace("PUT", "/organisations/{organisation}/members/{account}", own, a.setMember),
		a.namespace("DELETE", "/organisations/{organisation}/members/{account}", own, a.removeMember),
		a.namespace("GET", "/organisations/{organisation}/teams", read, a.listTeams),
		a.namespace("POST", "/organisations/{organisation}/teams", own, a.createTeam),
		a.namespace("DELETE", "/organisations/{organisation}/teams/{team}", own, a.destroyTeam),
		a.namespace("PUT", "/organisations/{organisation}/teams/{team}/members/{account}", own, a.addTeamMember),
		a.namespace("DELETE", "/organisations/{organisation}/teams/{team}/members/{account}", own, a.removeTeamMember),
		a.namespace("PUT", "/organisations/{organisation}/teams/{team}/names/{ecosystem}/{name}", own, a.grantTeam),
		a.namespace("DELETE", "/organisations/{organisation}/teams/{team}/names/{ecosystem}/{name}", own, a.revokeTeam),
		a.namespace("GET", "/organisations/{organisation}/namespaces", read, a.listNamespaces),
		a.namespace("POST", "/organisations/{organisation}/namespaces", own, a.claimNamespace),
		a.namespace("GET", "/namespaces/{ecosystem}/{name}", read, a.getNamespace),
		a.namespace("PUT", "/namespaces/{ecosystem}/{name}", own, a.changeNamespace),
		a.namespace("GET", "/namespaces/{ecosystem}/{name}/proof", read, a.getNamespaceProof),
		a.namespace("POST", "/namespaces/{ecosystem}/{name}/proof", own, a.proveNamespace),
		a.namespace("GET", "/namespaces/{ecosystem}/{name}/keys", read, a.listSigningKeys),
		a.namespace("POST", "/namespaces/{ecosystem}/{name}/keys", own, a.addSigningKey),
		a.namespace("DELETE", "/namespaces/{ecosystem}/{name}/keys/{fingerprint}", own, a.removeSigningKey),
		a.namespace("POST", "/namespaces/{ecosystem}/{name}/offer", own, a.offerNamespace),
		a.namespace("PUT", "/organisations/{organisation}/namespaces/{ecosystem}/{name}", own, a.acceptNamespace),
		a.account("GET", "/tokens", a.listTokens),
		a.account("POST", "/tokens", a.createToken),
		a.account("DELETE", "/tokens/{id}", a.revokeToken),
		a.account("POST", "/logins/{code}/approval", a.approveLogin),

		a.anyone("GET", "/challenges/{poll}", a.pollChallenge),
		a.account("GET", "/sessions", a.listSessions),
		a.account("DELETE", "/sessions", a.endSessions),
		a.account("GET", "/email", a.getEmail),
		a.account("PUT", "/email", a.setEmail),
		a.account("POST", "/email/verification", a.verifyEmail),
		a.account("GET", "/mfa", a.getFactors),
		a.account("POST", "/mfa/totp", a.beginTOTP),
		a.account("POST", "/mfa/totp/confirmation", a.confirmTOTP),
		a.account("DELETE", "/mfa/totp", a.removeTOTP),
		a.account("POST", "/mfa/recovery-codes", a.renewRecoveryCodes),
		a.namespace("GET", "/organisations/{organisation}/mfa", read, a.listMFARules),
		a.namespace("PUT", "/organisations/{organisation}/mfa", own, a.setOrganisationMFA),
		a.namespace("PUT", "/namespaces/{ecosystem}/{name}/mfa", own, a.setNamespaceMFA),
		a.namespace("PUT", "/packages/{ecosystem}/{name}/mfa", own, a.setPackageMFA),
	}
}

func (a *API) anyone(method, pattern string, h handler) Route {
	return a.route(method, pattern, registry.AccessAnyone, "", h)
}

func (a *API) account(method, pattern string, h handler) Route {
	return a.route(method, pattern, registry.AccessAccount, "", h)
}

func (a *API) admin(method, pattern string, h handler) Route {
	return a.route(method, pattern, AccessAdmin, "", h)
}

// namespace makes a route on a namespace. Everything that changes one is open to site
// administrators too: recalls, members, visibility. Publishing and approving are not among them.
func (a *API) namespace(method, pattern string, p evidence.Permission, h handler) Route {
	r := a.route(method, pattern, registry.AccessNamespace, p, h)
	r.Admin = p != evidence.Read
	return r
}

// publishing makes a route for who may publish the name, and so for no site administrator as such.
func (a *API) publishing(method, pattern string, h handler) Route {
	return a.route(method, pattern, registry.AccessNamespace, evidence.Publish, h)
}

// owning makes a route for owners of the name or organisation, and so for no site administrator as such.
func (a *API) owning(method, pattern string, h handler) Route {
	return a.route(method, pattern, registry.AccessNamespace, evidence.Own, h)
}

func (a *API) route(method, pattern, access string, p evidence.Permission, h handler) Route {
	needsAccount := access != registry.AccessAnyone && p != evidence.Read // what is public, anyone may read
	return Route{Route: registry.Route{
		Method: method, Pattern: pattern, Permission: p, Access: access, Handler: a.handle(needsAccount, h),
	}}
}
