package npm

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

const maxSmallBody = 64 << 10 // bytes of a request that is not a package

// tokenRequest is what npm token create sends. Source: npm, token.js.
type tokenRequest struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Packages    []string `json:"packages"`
	AllPackages bool     `json:"packages_all"`
	Scopes      []string `json:"scopes"`
	Permission  string   `json:"packages_and_scopes_permission"`
	Days        int      `json:"expires"`
	Networks    []string `json:"cidr_whitelist"`
	ReadOnly    bool     `json:"readonly"`
	Orgs        []string `json:"orgs"`
	Bypass      bool     `json:"bypass_2fa"`
}

// servedToken is a token in a listing. Token is what npm shows to recognise it by.
type servedToken struct {
	Token    string         `json:"token"`
	Key      string         `json:"key"`
	Name     string         `json:"name"`
	Created  string         `json:"created"`
	Expires  *string        `json:"expires"`
	ReadOnly bool           `json:"readonly"`
	Networks []netip.Prefix `json:"cidr_whitelist"`
}

func serveable(t Token, secret string) servedToken {
	s := servedToken{
		Token: secret, Key: t.ID, Name: t.Description, Created: iso(t.Created),
		ReadOnly: t.Permission == evidence.Read, Networks: t.Networks,
	}
	if !t.Expires.IsZero() {
		expires := iso(t.Expires)
		s.Expires = &expires
	}
	return s
}

// want turns the request into a token description.
func (q tokenRequest) want(now time.Time) (Token, error) {
	t := Token{Description: strings.TrimSpace(strings.Join([]string{q.Name, q.Description}, " ")), Permission: evidence.Own, Bypass: q.Bypass}
	switch q.Permission {
	case "read-only":
		t.Permission = evidence.Read
	case "read-write":
		t.Permission = evidence.Publish
	case "":
		if q.ReadOnly {
			t.Permission = evidence.Read
		}
	default:
		return t, tokenUnfit("packages-and-scopes-permission must be read-only or read-write")
	}
	if len(q.Orgs) > 0 {
		return t, tokenUnfit("a token cannot be limited to organisations here; limit it to scopes")
	}
	if !q.AllPackages {
		t.Names = append(t.Names, q.Packages...)
		for _, scope := range q.Scopes {
			t.Names = append(t.Names, "@"+strings.TrimPrefix(scope, "@")+"/*")
		}
	}
	for _, network := range q.Networks {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return t, tokenUnfit("a network in cidr_whitelist is not of the form 192.0.2.0/24")
		}
		t.Networks = append(t.Networks, prefix)
	}
	if q.Days > 0 {
		t.Expires = now.AddDate(0, 0, min(q.Days, 36500))
	}
	return t, nil
}

func tokenUnfit(why string) error {
	return fault.New(fault.Invalid, "token-unfit", "the token cannot be made as asked: %s", why)
}

// createToken answers POST /-/npm/v1/tokens.
func (r *Registry) createToken(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var q tokenRequest
	if err := registry.ReadJSON(w, req, maxSmallBody, &q); err != nil {
		return err
	}
	want, err := q.want(r.clock.Now())
	if err != nil {
		return err
	}
	secret, made, err := r.accounts.CreateToken(req.Context(), actor, want)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusCreated, serveable(made, secret))
	return nil
}

// listTokens answers GET /-/npm/v1/tokens, all on one page.
func (r *Registry) listTokens(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	tokens, err := r.accounts.ListTokens(req.Context(), actor)
	if err != nil {
		return err
	}
	objects := []servedToken{}
	for _, t := range tokens {
		objects = append(objects, serveable(t, "hm_"))
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusOK, map[string]any{"objects": objects, "total": len(objects), "urls": map[string]any{}})
	return nil
}

// revokeToken answers DELETE /-/npm/v1/tokens/token/{token} and, for npm logout,
// DELETE /-/user/token/{token}.
func (r *Registry) revokeToken(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if err := r.accounts.RevokeToken(req.Context(), actor, req.PathValue("token")); err != nil {
		return err
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}
