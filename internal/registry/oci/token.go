package oci

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	// tokenLife is short: a token is only a note of who logged in, and a new one costs one request.
	tokenLife = 5 * time.Minute
	// maxScopes bounds what one token request may ask for; a push with mounts asks for a handful.
	maxScopes = 64
	// maxTokenForm bounds the body of a token request in bytes.
	maxTokenForm = 64 << 10
)

// grant is what a bearer token is limited to.
type grant struct {
	jwt.RegisteredClaims
	// Credential is evidence.Actor.Credential, empty for nobody.
	Credential string   `json:"credential,omitempty"`
	Access     []access `json:"access"`
}

// access is a row of a grant, in the form that Docker's token specification gives it.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// includes says which actions let a permission through.
var includes = map[evidence.Permission][]string{
	evidence.Read:    {"pull", "push", "delete"},
	evidence.Stage:   {"push", "delete"},
	evidence.Publish: {"push", "delete"},
	evidence.Own:     {"delete"},
}

func (g *grant) allows(permission evidence.Permission, name string) bool {
	return slices.ContainsFunc(g.Access, func(a access) bool {
		return a.Type == "repository" && a.Name == name &&
			slices.ContainsFunc(a.Actions, func(action string) bool { return slices.Contains(includes[permission], action) })
	})
}

func (g *grant) allowsCatalog() bool {
	return slices.ContainsFunc(g.Access, func(a access) bool { return a.Type == "registry" && a.Name == "catalog" })
}

// tokenAnswer is the body of a token response; both spellings of the token are in use.
type tokenAnswer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	Scope       string `json:"scope,omitempty"`
	ExpiresIn   int    `json:"expires_in"` // seconds
	IssuedAt    string `json:"issued_at"`  // RFC 3339
}

// issueToken is the token service: it authenticates by Basic (GET), or by a form that carries a
// password or one of our access tokens as refresh token (POST), and hands out a bearer token for
// those of the requested scopes that the caller has a right to. Nobody gets one too: for what is
// public. A pipeline sends its provider's identity token under the name [TrustUser].
//
// Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
func (g *Registry) issueToken(c *call) error {
	login, scopes, err := tokenRequest(c.w, c.r)
	if err != nil {
		return err
	}
	actor, err := g.logIn(c.r, login, scopes)
	if err != nil {
		return err
	}
	now := g.config.Clock.Now()
	claims := &grant{Credential: actor.Credential, Access: g.grantable(c.r, actor, scopes)}
	claims.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: g.config.Service, Audience: jwt.ClaimStrings{g.config.Service}, Subject: actor.Account,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(g.tokenKey)
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, tokenAnswer{
		Token: token, AccessToken: token, Scope: strings.Join(scopes, " "),
		ExpiresIn: int(tokenLife.Seconds()), IssuedAt: now.Format(time.RFC3339),
	})
}

// tokenRequest returns a request that carries the login as an Authorization header, and the
// scopes that are asked for.
func tokenRequest(w http.ResponseWriter, r *http.Request) (*http.Request, []string, error) {
	if r.Method == http.MethodGet {
		return r, splitScopes(r.URL.Query()["scope"]), nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenForm)
	if err := r.ParseForm(); err != nil {
		return nil, nil, fault.New(fault.Invalid, "token-request-invalid", "the token request is not a form that can be read").Because(err)
	}
	login := r.Clone(r.Context())
	switch r.PostForm.Get("grant_type") {
	case "password":
		login.SetBasicAuth(r.PostForm.Get("username"), r.PostForm.Get("password"))
	case "refresh_token":
		login.Header.Set("Authorization", "Bearer "+r.PostForm.Get("refresh_token"))
	default:
		return nil, nil, fault.New(fault.Invalid, "token-request-invalid", "the grant type must be password or refresh_token")
	}
	return login, splitScopes(r.PostForm["scope"]), nil
}

// splitScopes: a client repeats the parameter or separates by spaces.
func splitScopes(values []string) []string {
	scopes := strings.Fields(strings.Join(values, " "))
	return scopes[:min(len(scopes), maxScopes)]
}

// grantable keeps of the scopes what the actor has a right to now. The right is asked again when
// the token is used; this only spares clients a token that would fail.
func (g *Registry) grantable(r *http.Request, actor evidence.Actor, scopes []string) []access {
	granted := []access{}
	for _, scope := range scopes {
		a, ok := parseScope(scope)
		if !ok {
			continue
		}
		if a.Type == "repository" {
			a.Actions = slices.DeleteFunc(a.Actions, func(action string) bool { return !g.mayGet(r, actor, action, a.Name) })
		}
		if len(a.Actions) > 0 {
			granted = append(granted, a)
		}
	}
	return granted
}

// mayGet: who may only stage gets "push" too, because clients have no other word; what they push waits.
// "delete" needs no more than publishing here, because whoever may publish may also remove tags;
// removing manifests and blobs is refused when it is tried.
func (g *Registry) mayGet(r *http.Request, actor evidence.Actor, action, name string) bool {
	permission, ok := map[string]evidence.Permission{
		"pull": evidence.Read, "push": evidence.Stage, "delete": evidence.Publish,
	}[action]
	if !ok {
		return false
	}
	err := g.core.Access().Authorize(r.Context(), actor, permission, purl.OCI, name)
	return err == nil || evidence.NeedsFactor(err) // the push itself is refused, with the sentence
}

// parseScope reads "repository:<name>:<action>,<action>" or the catalog's scope. What we do not
// know is not an error: the token is then not good for it.
func parseScope(scope string) (access, bool) {
	kind, rest, _ := strings.Cut(scope, ":")
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return access{}, false
	}
	a := access{Type: kind, Name: rest[:i], Actions: strings.Split(rest[i+1:], ",")}
	if scope == catalogScope {
		return a, true
	}
	if slices.Contains(a.Actions, "*") {
		a.Actions = []string{"pull", "push", "delete"}
	}
	slices.Sort(a.Actions)
	a.Actions = slices.Compact(a.Actions)
	return a, kind == "repository" && validName(a.Name)
}

// redeem checks one of our bearer tokens and the credential behind it, so that revoking the
// credential takes the token with it.
func (g *Registry) redeem(r *http.Request, token string) (evidence.Actor, *grant, error) {
	claims := new(grant)
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return g.tokenKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithIssuer(g.config.Service),
		jwt.WithAudience(g.config.Service), jwt.WithExpirationRequired(), jwt.WithTimeFunc(g.config.Clock.Now))
	if err != nil {
		return evidence.Actor{}, nil, errBearer().Because(err)
	}
	if claims.Credential == "" {
		return evidence.Actor{}, claims, nil
	}
	actor, err := g.config.Accounts.ActorOf(r.Context(), claims.Credential, r.RemoteAddr)
	if err != nil {
		return evidence.Actor{}, nil, err
	}
	if actor.Account != claims.Subject {
		return evidence.Actor{}, nil, errBearer()
	}
	return actor, claims, nil
}

func errBearer() *fault.Error {
	return fault.New(fault.Unauthenticated, "bearer-invalid", "the bearer token is not valid or has expired; get a new one from /token")
}
