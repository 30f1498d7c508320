package oci

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// catalogScope is the token scope that lets a client list repositories.
const catalogScope = "registry:catalog:*"

// identify finds out who calls: by one of our bearer tokens, or by whatever Access knows.
func (g *Registry) identify(c *call) (err error) {
	if token, ok := ourBearer(c.r); ok {
		c.actor, c.grant, err = g.redeem(c.r, token)
		return err
	}
	c.actor, err = g.core.Access().Authenticate(c.r)
	return err
}

// ourBearer returns the request's bearer token when it has the form of one that we issue: a JWT
// has two dots, an access token none.
func ourBearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "bearer") && strings.Count(token, ".") == 2
}

// admitAccount lets in whoever proved anything at all: even a token issued to nobody shows that
// the client knows how to get one.
func (g *Registry) admitAccount(c *call) error {
	if c.actor.Anonymous() && c.grant == nil {
		return fault.New(fault.Unauthenticated, "login-required", "this needs a login; log in or send a token")
	}
	if c.pattern == patternCatalog && c.grant != nil && !c.grant.allowsCatalog() {
		return errScope(catalogScope)
	}
	return nil
}

// withinGrant checks the limits of the bearer token. They only narrow: the caller's own rights
// are asked apart.
func (g *Registry) withinGrant(c *call, permission evidence.Permission, name string) error {
	if c.grant == nil || c.grant.allows(permission, name) {
		return nil
	}
	return errScope(scopeFor(permission, name))
}

func errScope(scope string) error {
	return fault.New(fault.Unauthenticated, "bearer-scope", "the bearer token was not issued for %s; get one for that scope", scope)
}

// challenge is the WWW-Authenticate header: where to get a token, and for what.
// Source: distribution, "Token Authentication Specification".
func (g *Registry) challenge(c *call, code string) string {
	if c.pattern == patternToken {
		return fmt.Sprintf(`Basic realm=%q`, g.config.Service)
	}
	s := fmt.Sprintf(`Bearer realm=%q,service=%q`, g.baseURL(c.r)+patternToken, g.config.Service)
	if scope := g.scopeOf(c); scope != "" {
		s += fmt.Sprintf(`,scope=%q`, scope)
	}
	switch code {
	case "bearer-scope":
		s += `,error="insufficient_scope"`
	case "bearer-invalid", "credential-invalid", "token-expired":
		s += `,error="invalid_token"`
	}
	return s
}

// scopeOf returns the scope that would let the call through.
func (g *Registry) scopeOf(c *call) string {
	if c.pattern == patternCatalog {
		return catalogScope
	}
	e := g.serve[c.r.Method+" "+c.pattern]
	if c.name == "" || e.access != registry.AccessNamespace {
		return ""
	}
	return scopeFor(e.permission, c.name)
}

func scopeFor(permission evidence.Permission, name string) string {
	return "repository:" + name + ":" + map[evidence.Permission]string{
		evidence.Read: "pull", evidence.Stage: "pull,push", evidence.Publish: "pull,push", evidence.Own: "pull,push,delete",
	}[permission]
}

// baseURL is where the client reaches us.
func (g *Registry) baseURL(r *http.Request) string {
	if g.config.PublicURL != "" {
		return strings.TrimSuffix(g.config.PublicURL, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
