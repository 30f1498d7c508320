package authztest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

// trusted is trusted publishing in the matrix: an issuer on loopback, whose tokens each target's package takes.
type trusted struct {
	service *oidc.Service
	issuer  *oidctest.Issuer
}

// NPMAudience is what the matrix's identity tokens are for.
const NPMAudience = "npm:127.0.0.1"

// Trusting gives the interface the requests about trusted publishers, on service.
func (a *API) Trusting(t testing.TB, service *oidc.Service) *API {
	t.Helper()
	a.trusted = &trusted{service: service, issuer: oidctest.New(t)}
	a.register(t, a.trusted.issuer.URL)
	for _, target := range []Target{Own, Other} {
		a.publisher(t, target, "ui")
	}
	return a
}

func (a *API) register(t testing.TB, address string) {
	t.Helper()
	_, err := a.trusted.service.AddIssuer(t.Context(), a.Admin, oidc.Issuer{URL: address, Provider: "github", Internal: true})
	must(t, err)
}

func (a *API) ownerOf(t testing.TB, target Target) evidence.Actor {
	t.Helper()
	if target == Other {
		return a.Actor(t, Rival)
	}
	return a.Actor(t, Owner)
}

// publisher makes the target's package trust a repository, and returns the publisher's id.
func (a *API) publisher(t testing.TB, target Target, repository string) string {
	t.Helper()
	made, err := a.trusted.service.Add(t.Context(), a.ownerOf(t, target), oidc.Publisher{
		Ecosystem: purl.NPM, Name: "@" + string(target) + "/ui", Provider: "github", Issuer: a.trusted.issuer.URL,
		Claims: map[string]string{"repository": "acme/" + repository, "workflow": "release.yml"},
	})
	must(t, err)
	return made.ID
}

// pending makes a pipeline wait for a name on behalf of the target's organisation.
func (a *API) pending(t testing.TB, target Target) string {
	t.Helper()
	made, err := a.trusted.service.Add(t.Context(), a.ownerOf(t, target), oidc.Publisher{
		Ecosystem: purl.NPM, Name: fmt.Sprintf("waiting%d", a.n), Organisation: string(target), Provider: "github", Issuer: a.trusted.issuer.URL,
		Claims: map[string]string{"repository": "acme/ui", "workflow": "release.yml"},
	})
	must(t, err)
	return made.ID
}

// trustValues are the path parameters of the rows about trusted publishers.
func (a *API) trustValues(t *testing.T, pattern string, target Target, values map[string]string) {
	t.Helper()
	switch pattern {
	case "/publishers/{ecosystem}/{name}/{id}":
		values["id"] = "tp_none"
		if target != None {
			values["id"] = a.publisher(t, target, fmt.Sprintf("spare%d", a.n))
		}
	case "/organisations/{organisation}/publishers/{id}":
		values["id"] = "tp_none"
		if target != None {
			values["id"] = a.pending(t, target)
		}
	case "/issuers/{issuer}":
		values["issuer"] = fmt.Sprintf("https://spare%d.test/token", a.n)
		a.register(t, values["issuer"])
	}
}

// trustBodies are the bodies of the rows about trusted publishers.
func (a *API) trustBodies(target Target) map[string]string {
	if a.trusted == nil {
		return nil
	}
	const publisher = `{"provider": "github", "issuer": %q, "claims": {"repository": "acme/new%d", "workflow": "release.yml"}%s}`
	return map[string]string{
		"POST /publishers/{ecosystem}/{name}": fmt.Sprintf(publisher, a.trusted.issuer.URL, a.n, ""),
		"POST /organisations/{organisation}/publishers": fmt.Sprintf(publisher, a.trusted.issuer.URL, a.n,
			fmt.Sprintf(`, "ecosystem": "npm", "name": "new%d"`, a.n)),
		"POST /publishers/{ecosystem}/{name}/exchange": fmt.Sprintf(`{"token": %q}`, a.trusted.issuer.Token(NPMAudience, oidctest.GitHub())),
		"POST /issuers": fmt.Sprintf(`{"url": "https://new%d.test/%s", "provider": "generic"}`, a.n, url.PathEscape(string(target))),
	}
}
