package oci

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// TrustUser is the user name under which a pipeline sends the identity token of its CI provider as password.
const TrustUser = "oidc"

// Trust exchanges the identity tokens of pipelines; errors are faults and are shown to the caller.
type Trust interface {
	// Exchange returns the credential (evidence.Actor.Credential) that a token is good for. The same token
	// from the same address and for the same name gets the same credential again, as long as that lives:
	// a client repeats its password with every scope.
	Exchange(ctx context.Context, name, token, remoteAddr string) (credential string, err error)
	// Check verifies a token and does not use it up.
	Check(ctx context.Context, token string) error
}

// logIn returns who asks for a bearer token.
func (g *Registry) logIn(r, login *http.Request, scopes []string) (evidence.Actor, error) {
	user, token, ok := login.BasicAuth()
	if !ok || user != TrustUser || g.config.Trust == nil {
		return g.core.Access().Authenticate(login)
	}
	name := wanted(scopes)
	if name == "" {
		// "docker login" asks for no repository: it wants to know whether the password is right.
		return evidence.Actor{}, g.config.Trust.Check(r.Context(), token)
	}
	credential, err := g.config.Trust.Exchange(r.Context(), name, token, r.RemoteAddr)
	if err != nil {
		return evidence.Actor{}, err
	}
	return g.config.Accounts.ActorOf(r.Context(), credential, r.RemoteAddr)
}

// wanted returns the repository that a pipeline wants to push to or, when it pushes to none, to pull from. A
// push that mounts blobs asks for the repository that they come from, too.
func wanted(scopes []string) string {
	var pulled string
	for _, scope := range scopes {
		a, ok := parseScope(scope)
		if !ok || a.Type != "repository" {
			continue
		}
		if slices.Contains(a.Actions, "push") {
			return a.Name
		}
		if pulled == "" && strings.Contains(scope, "pull") {
			pulled = a.Name
		}
	}
	return pulled
}
