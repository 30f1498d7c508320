package pypi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// Paths at the root of the host: clients ask there whatever the address of the upload is.
// Source: PyPI docs, "Trusted publishers, internals"; PEP 807.
const (
	AudiencePath  = "/_/oidc/audience"
	MintPath      = "/_/oidc/mint-token"
	DiscoveryPath = "/.well-known/pytp"
)

const (
	maxMint   = 64 << 10 // bytes
	typePytp  = "application/vnd.pypi.pytp.v1+json"
	singleUse = "single-use-token"
	multiUse  = "multi-use-token"
)

// RootRoutes returns the routes at the root of the host; RootHandler serves nothing else.
func (r *Registry) RootRoutes() []registry.Route {
	g := r.guard()
	return []registry.Route{
		g.Anyone("GET", AudiencePath, r.serveAudience),
		g.Anyone("POST", MintPath, r.mint),
		g.Anyone("GET", DiscoveryPath, r.discover),
	}
}

// RootHandler serves RootRoutes.
func (r *Registry) RootHandler() http.Handler {
	g := r.guard()
	return g.Mux(r.RootRoutes(), g.UnknownRoute)
}

// serveAudience answers GET /_/oidc/audience.
func (r *Registry) serveAudience(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	if r.config.Exchanger == nil {
		return notEnabled()
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]string{"audience": r.config.Exchanger.Audience(purl.PyPI)})
}

func notEnabled() error {
	return fault.New(fault.NotFound, "route-unknown", "this registry has no trusted publishers")
}

// discover answers GET /.well-known/pytp?discover=PATH. Source: PEP 807.
func (r *Registry) discover(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	base, err := url.Parse(r.config.PublicURL)
	if err != nil || r.config.Exchanger == nil {
		return notEnabled()
	}
	path := "/" + strings.Trim(req.URL.Query().Get("discover"), "/")
	if path != base.Path+"legacy" && path != base.Path+"upload" {
		return notEnabled()
	}
	root := base.Scheme + "://" + base.Host
	return registry.AnswerJSON(w, http.StatusOK, typePytp, map[string]any{
		"audience-endpoint": root + AudiencePath, "token-mint-endpoint": root + MintPath, "mint-token-endpoint": root + MintPath,
		"features": []string{singleUse, multiUse}, "default-features": []string{multiUse},
	})
}

// mint answers POST /_/oidc/mint-token: an identity token for one of ours, good for every project that trusts
// the run. Source: warehouse, oidc/views.py; PEP 807.
func (r *Registry) mint(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if r.config.Exchanger == nil {
		return notEnabled()
	}
	var asked struct {
		Token    string   `json:"token"`
		Features []string `json:"features"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxMint)).Decode(&asked); err != nil || asked.Token == "" {
		return mintFailed(w, http.StatusUnprocessableEntity, "invalid-payload", "the body is not the JSON {\"token\": …}")
	}
	single := false
	for _, f := range asked.Features {
		if f != singleUse && f != multiUse {
			return mintFailed(w, http.StatusUnprocessableEntity, "invalid-payload", "there is no feature "+fault.Clip(f))
		}
		single = single || f == singleUse
	}
	m, err := r.config.Exchanger.Exchange(req.Context(), registry.ExchangeRequest{
		Ecosystem: purl.PyPI, Token: asked.Token, RemoteAddr: req.RemoteAddr, Single: single,
	})
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal {
			return err
		}
		status := http.StatusUnprocessableEntity
		if f.Kind == fault.Unavailable {
			status = http.StatusServiceUnavailable
		}
		return mintFailed(w, status, mintCode(f.Code), f.Text)
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]any{"success": true, "token": m.Secret, "expires": m.Expires.Unix()})
}

// mintCode is a refusal in the words that clients know.
func mintCode(code string) string {
	switch code {
	case "publisher-unknown", "publisher-mismatch":
		return "invalid-publisher"
	case "identity-token-used":
		return "invalid-reuse-token"
	}
	return "invalid-token"
}

func mintFailed(w http.ResponseWriter, status int, code, description string) error {
	return registry.AnswerJSON(w, status, "application/json", map[string]any{
		"message": "Token request failed", "errors": []map[string]string{{"code": code, "description": description}},
	})
}
