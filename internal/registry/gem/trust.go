package gem

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// Trust keeps which pipelines a name trusts.
type Trust interface {
	Publishers(ctx context.Context, actor evidence.Actor, name string) ([]Publisher, error)
	AddPublisher(ctx context.Context, actor evidence.Actor, name string, p Publisher) (Publisher, error)
	RemovePublisher(ctx context.Context, actor evidence.Actor, name, id string) error
}

// Publisher is a trusted publisher, with its claims in the words of the provider: "repository",
// "workflow", "environment" at GitHub, "project_path", "ci_config", "environment" at GitLab.
type Publisher struct {
	ID       string
	Provider string // "github", "gitlab"
	Claims   map[string]string
}

// kinds are the providers as RubyGems calls them. Source: rubygems.org, models/oidc/trusted_publisher.
var kinds = map[string]string{
	"OIDC::TrustedPublisher::GitHubAction": "github",
	"OIDC::TrustedPublisher::GitLab":       "gitlab",
}

// servedPublisher is how RubyGems writes one.
type servedPublisher struct {
	ID        string            `json:"id"`
	Kind      string            `json:"trusted_publisher_type"`
	Publisher map[string]string `json:"trusted_publisher"`
}

func serveable(p Publisher) servedPublisher {
	s := servedPublisher{ID: p.ID, Kind: p.Provider, Publisher: map[string]string{}}
	for kind, provider := range kinds {
		if provider == p.Provider {
			s.Kind = kind
		}
	}
	for claim, v := range p.Claims {
		if v != "" {
			s.Publisher[claim] = v
		}
	}
	if owner, repository, ok := strings.Cut(p.Claims["repository"], "/"); ok && p.Provider == "github" {
		delete(s.Publisher, "repository")
		delete(s.Publisher, "workflow")
		s.Publisher["name"] = "GitHub Actions " + p.Claims["repository"] + " @ .github/workflows/" + p.Claims["workflow"]
		s.Publisher["repository_owner"], s.Publisher["repository_name"], s.Publisher["workflow_filename"] = owner, repository, p.Claims["workflow"]
	}
	return s
}

func errNoTrust() error {
	return fault.New(fault.Unsupported, "operation-unsupported", "this registry has no trusted publishers")
}

// listTrusted answers GET /api/v1/gems/{name}/trusted_publishers.
func (r *Registry) listTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	found, err := r.trust.Publishers(req.Context(), actor, named(req))
	if err != nil {
		return err
	}
	out := make([]servedPublisher, len(found))
	for i, p := range found {
		out[i] = serveable(p)
	}
	return respondJSON(w, http.StatusOK, out)
}

// addTrusted answers POST /api/v1/gems/{name}/trusted_publishers.
func (r *Registry) addTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	fields, err := form(w, req)
	if err != nil {
		return err
	}
	p := Publisher{Provider: kinds[fields.Get("trusted_publisher_type")], Claims: map[string]string{}}
	at := func(field string) string { return fields.Get("trusted_publisher[" + field + "]") }
	switch p.Provider {
	case "github":
		p.Claims["repository"], p.Claims["workflow"] = at("repository_owner")+"/"+at("repository_name"), at("workflow_filename")
	case "gitlab":
		p.Claims["project_path"], p.Claims["ci_config"] = at("project_path"), at("ci_config")
	default:
		return fault.New(fault.Invalid, "publisher-invalid", "Unsupported trusted publisher type %q; use OIDC::TrustedPublisher::GitHubAction or OIDC::TrustedPublisher::GitLab, and hullmark trust add for others",
			fault.Clip(fields.Get("trusted_publisher_type")))
	}
	if environment := at("environment"); environment != "" {
		p.Claims["environment"] = environment
	}
	made, err := r.trust.AddPublisher(req.Context(), actor, named(req), p)
	if err != nil {
		return err
	}
	return respondJSON(w, http.StatusCreated, serveable(made))
}

// removeTrusted answers DELETE /api/v1/gems/{name}/trusted_publishers/{id}.
func (r *Registry) removeTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	if err := r.trust.RemovePublisher(req.Context(), actor, named(req), req.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// exchangeToken answers POST /api/v1/oidc/trusted_publisher/exchange_token: an identity token for a key of
// every name that trusts its run. Source: rubygems.org, api/v1/oidc/trusted_publisher_controller.rb.
func (r *Registry) exchangeToken(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if r.exchange == nil {
		return errNoTrust()
	}
	fields, err := form(w, req)
	if err != nil {
		return err
	}
	made, err := r.exchange.Exchange(req.Context(), registry.ExchangeRequest{Ecosystem: purl.Gem, Token: fields.Get("jwt"), RemoteAddr: req.RemoteAddr})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	key := map[string]any{
		"rubygems_api_key": made.Secret, "name": strings.Join(made.Names, ", "), "scopes": []string{"push_rubygem"},
		"expires_at": made.Expires.UTC().Format(time.RFC3339),
	}
	if len(made.Names) == 1 {
		key["gem"] = made.Names[0]
	}
	return respondJSON(w, http.StatusCreated, key)
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Parse("2006-01-02 15:04:05 MST", s)
}
