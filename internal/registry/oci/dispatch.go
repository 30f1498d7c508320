package oci

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// endpoint is one row of the API: rights are checked from it, before serve runs.
type endpoint struct {
	method, pattern string
	access          string
	permission      evidence.Permission
	serve           func(*call) error
}

// call is one request on its way through.
type call struct {
	target
	w     http.ResponseWriter
	r     *http.Request
	actor evidence.Actor
	grant *grant // what the bearer token is limited to; nil when there is none
}

func (g *Registry) endpoints() []endpoint {
	both := []string{http.MethodGet, http.MethodHead}
	var all []endpoint
	add := func(access string, permission evidence.Permission, serve func(*call) error, pattern string, methods ...string) {
		for _, m := range methods {
			all = append(all, endpoint{method: m, pattern: pattern, access: access, permission: permission, serve: serve})
		}
	}
	add(registry.AccessAnyone, "", g.issueToken, patternToken, http.MethodGet, http.MethodPost)
	add(registry.AccessAccount, "", g.ping, patternBase, both...)                                     // end-1
	add(registry.AccessAccount, "", g.catalog, patternCatalog, both[0])                               // not in the specification; clients use it
	add(registry.AccessNamespace, evidence.Read, g.getBlob, patternBlob, both...)                     // end-2
	add(registry.AccessNamespace, evidence.Read, g.getManifest, patternManifest, both...)             // end-3
	add(registry.AccessNamespace, evidence.Read, g.getManifest, patternTagged, both...)               // end-3
	add(registry.AccessNamespace, evidence.Stage, g.startUpload, patternUploads, http.MethodPost)     // end-4a, 4b, 4c, 11
	add(registry.AccessNamespace, evidence.Stage, g.appendUpload, patternUpload, http.MethodPatch)    // end-5
	add(registry.AccessNamespace, evidence.Stage, g.finishUpload, patternUpload, http.MethodPut)      // end-6
	add(registry.AccessNamespace, evidence.Stage, g.uploadStatus, patternUpload, http.MethodGet)      // end-13
	add(registry.AccessNamespace, evidence.Stage, g.cancelUpload, patternUpload, http.MethodDelete)   // end-14
	add(registry.AccessNamespace, evidence.Stage, g.putManifest, patternTagged, http.MethodPut)       // end-7a
	add(registry.AccessNamespace, evidence.Stage, g.putManifest, patternManifest, http.MethodPut)     // end-7b
	add(registry.AccessNamespace, evidence.Read, g.listTags, patternTags, both[0])                    // end-8
	add(registry.AccessNamespace, evidence.Publish, g.deleteTag, patternTagged, http.MethodDelete)    // end-9
	add(registry.AccessNamespace, evidence.Own, g.deleteManifest, patternManifest, http.MethodDelete) // end-9
	add(registry.AccessNamespace, evidence.Own, g.deleteBlob, patternBlob, http.MethodDelete)         // end-10
	add(registry.AccessNamespace, evidence.Read, g.listReferrers, patternReferrers, both[0])          // end-12
	return all
}

// Routes returns the table that the registry dispatches and authorises by.
func (g *Registry) Routes() []registry.Route {
	var routes []registry.Route
	for _, e := range g.endpoints() {
		routes = append(routes, registry.Route{
			Method: e.method, Pattern: e.pattern, Permission: e.permission, Access: e.access, Handler: g.dispatch,
		})
	}
	return routes
}

func (g *Registry) dispatch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff") // what is served here was made by strangers
	c := &call{w: w, r: r}
	if err := g.answer(c); err != nil {
		g.fail(c, err)
	}
}

func (g *Registry) answer(c *call) error {
	t, err := parsePath(c.r.URL.Path)
	if err != nil {
		return err
	}
	c.target = t
	e, ok := g.serve[c.r.Method+" "+t.pattern]
	if !ok {
		return g.errMethod(c)
	}
	if e.access != registry.AccessAnyone {
		if err := g.admit(c, e); err != nil {
			return err
		}
	}
	return e.serve(c)
}

func (g *Registry) errMethod(c *call) error {
	var allow []string
	for _, e := range g.serve {
		if e.pattern == c.pattern {
			allow = append(allow, e.method)
		}
	}
	slices.Sort(allow)
	c.w.Header().Set("Allow", strings.Join(allow, ", "))
	return fault.New(fault.Unsupported, "operation-unsupported", "%s is not possible here; the Allow header lists what is", fault.Clip(c.r.Method))
}

// admit authenticates the caller and asks for the endpoint's permission. The caller's rights are
// asked first and the token's limits second, so that somebody who lacks a right reads which one,
// and is not sent for another token that would not help.
func (g *Registry) admit(c *call, e endpoint) error {
	if err := g.identify(c); err != nil {
		return err
	}
	if e.access == registry.AccessAccount {
		return g.admitAccount(c)
	}
	err := g.core.Access().Authorize(c.r.Context(), c.actor, e.permission, purl.OCI, c.name)
	if err != nil {
		return g.refuse(c, e, unaskable(err))
	}
	return g.withinGrant(c, e.permission, c.name)
}

// unaskable turns the question for a second factor into a refusal: container clients take a 401 for a
// question about their login, and ask for another token until they give up.
func unaskable(err error) error {
	if !evidence.NeedsFactor(err) {
		return err
	}
	return fault.New(fault.Denied, "factor-unaskable",
		"this needs a second factor, which container clients cannot ask for; push from a pipeline by a trusted publisher, or with a token that may pass without: hullmark token create --bypass-2fa").Because(err)
}

// refuse records that an authenticated caller was kept from writing, as the core does for what
// passes through it.
func (g *Registry) refuse(c *call, e endpoint, err error) error {
	if c.actor.Anonymous() || e.permission == evidence.Read || fault.KindOf(err) == fault.Internal {
		return err
	}
	return g.core.Refuse(c.r.Context(), c.actor, "publish", purl.Image(c.name, ""), err)
}

// ping answers whether the API is there. It asks for a login although it shows nothing: clients
// learn here, and only here, where to get a token.
func (g *Registry) ping(c *call) error { return writeJSON(c, http.StatusOK, struct{}{}) }
