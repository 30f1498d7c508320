package npm

import (
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// ping answers GET /-/ping.
func (r *Registry) ping(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	r.respond(w, http.StatusOK, struct{}{})
	return nil
}

// whoami answers GET /-/whoami.
func (r *Registry) whoami(w http.ResponseWriter, _ *http.Request, actor evidence.Actor) error {
	r.respond(w, http.StatusOK, map[string]string{"username": actor.Account})
	return nil
}

// couchUser is the prefix under which npm names users. Source: npm-profile, couchEndpoint.
const couchUser = "org.couchdb.user:"

// serveUser answers GET /-/user/org.couchdb.user:{name}, which npm owner asks before it changes
// anything. It gives back the name that was asked for, known or not: whether there is such a user
// is told to those who may make them an owner, by the step that follows.
func (r *Registry) serveUser(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, isUser := strings.CutPrefix(req.PathValue("user"), couchUser)
	if !isUser {
		return fault.New(fault.NotFound, "route-unknown", "users have addresses of the form /-/user/%s<name>", couchUser)
	}
	r.respond(w, http.StatusOK, map[string]any{"_id": couchUser + name, "name": name, "email": "", "type": "user", "roles": []string{}})
	return nil
}

// serveVisibility answers GET /-/package/{name}/visibility. Of a name that has no package it says
// what it says of a private one that the caller may not see: not found, which npm publish takes
// for a new package (libnpmpublish, publish.js).
func (r *Registry) serveVisibility(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name := req.PathValue("name")
	if _, err := r.core.Lookup(req.Context(), purl.NPM, name); err != nil {
		return err
	}
	public, err := r.accounts.Public(req.Context(), name)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, map[string]bool{"public": public})
	return nil
}

// serveCollaborators answers GET /-/package/{name}/collaborators.
func (r *Registry) serveCollaborators(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	people, err := r.accounts.Collaborators(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	access := map[string]string{}
	for _, p := range people {
		access[p.User] = "write"
		if p.Permission == evidence.Read {
			access[p.User] = "read"
		}
	}
	r.respond(w, http.StatusOK, access)
	return nil
}
