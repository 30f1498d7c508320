package npm

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// Trust is what the protocol asks of trusted publishing. Errors are faults and are shown to the caller.
type Trust interface {
	// Exchange makes a token of ours for a pipeline that a package trusts.
	Exchange(ctx context.Context, name, token, remoteAddr string) (TrustToken, error)
	Publishers(ctx context.Context, actor evidence.Actor, name string) ([]Publisher, error)
	AddPublisher(ctx context.Context, actor evidence.Actor, name string, p Publisher) (Publisher, error)
	RemovePublisher(ctx context.Context, actor evidence.Actor, name, id string) error
}

// TrustToken is what a pipeline publishes with.
type TrustToken struct {
	Secret           string
	Created, Expires time.Time
}

// Publisher is a pipeline that a package trusts, in npm's words.
type Publisher struct {
	ID         string
	Provider   string // "github", "gitlab", "circleci"
	Claims     map[string]string
	Permission evidence.Permission
}

// servedPublisher is a publisher on the wire. Source: npm, lib/commands/trust.
type servedPublisher struct {
	ID          string         `json:"id,omitempty"`
	Type        string         `json:"type"`
	Claims      map[string]any `json:"claims"`
	Permissions []string       `json:"permissions,omitempty"`
}

// npm's names of what a publisher may do.
const (
	createPackage = "createPackage"
	createStaged  = "createStagedPackage"
)

// inFile are the claims that npm wraps: {"workflow_ref": {"file": "release.yml"}}.
var inFile = map[string]bool{"workflow_ref": true, "ci_config_ref_uri": true}

// maxTrusted bounds one request of publishers.
const maxTrusted = 20

// exchangeToken answers POST /-/npm/v1/oidc/token/exchange/package/{package}. npm sends the provider's token as
// if it were a token of ours, and nothing else.
func (r *Registry) exchangeToken(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if r.trust == nil {
		return r.refuseExchange(w, fault.New(fault.Unsupported, "operation-unsupported", "this registry takes no identity tokens"))
	}
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return r.refuseExchange(w, fault.New(fault.Invalid, "identity-token-malformed", "send the identity token of the pipeline as bearer token"))
	}
	made, err := r.trust.Exchange(req.Context(), req.PathValue("package"), strings.TrimSpace(token), req.RemoteAddr)
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		return r.refuseExchange(w, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusCreated, map[string]string{
		"token_type": "oidc", "token": made.Secret, "created": iso(made.Created), "expires": iso(made.Expires),
	})
	return nil
}

// refuseExchange answers in the form in which npm shows a failed exchange (npm, lib/utils/oidc.js).
func (r *Registry) refuseExchange(w http.ResponseWriter, err error) error {
	f := fault.As(err)
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, fault.HTTPStatus(err), map[string]string{"message": f.Text, "error": f.Text, "code": f.Code})
	return nil
}

// listTrusted answers GET /-/package/{name}/trust.
func (r *Registry) listTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	found, err := r.trust.Publishers(req.Context(), actor, req.PathValue("name"))
	if err != nil {
		return err
	}
	out := make([]servedPublisher, len(found))
	for i, p := range found {
		out[i] = serveablePublisher(p)
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusOK, out)
	return nil
}

// addTrusted answers POST /-/package/{name}/trust, which takes a list.
func (r *Registry) addTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	var asked []servedPublisher
	if err := registry.ReadJSON(w, req, maxSmallBody, &asked); err != nil {
		return err
	}
	if len(asked) == 0 || len(asked) > maxTrusted {
		return fault.New(fault.Invalid, "publisher-invalid", "send a list of 1 to %d publishers", maxTrusted)
	}
	wanted := make([]Publisher, len(asked))
	for i, a := range asked {
		var err error
		if wanted[i], err = a.publisher(); err != nil {
			return err
		}
	}
	made := make([]servedPublisher, 0, len(wanted))
	for _, p := range wanted {
		one, err := r.trust.AddPublisher(req.Context(), actor, req.PathValue("name"), p)
		if err != nil {
			return err
		}
		made = append(made, serveablePublisher(one))
	}
	w.Header().Set("Cache-Control", "no-store")
	r.respond(w, http.StatusCreated, made)
	return nil
}

// removeTrusted answers DELETE /-/package/{name}/trust/{id}.
func (r *Registry) removeTrusted(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if r.trust == nil {
		return errNoTrust()
	}
	if err := r.trust.RemovePublisher(req.Context(), actor, req.PathValue("name"), req.PathValue("id")); err != nil {
		return err
	}
	io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, maxSmallBody))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func errNoTrust() error {
	return fault.New(fault.Unsupported, "operation-unsupported", "this registry has no trusted publishers")
}

// publisher reads what npm sends.
func (s servedPublisher) publisher() (Publisher, error) {
	p := Publisher{Provider: s.Type, Claims: map[string]string{}, Permission: evidence.Publish}
	stages, publishes := false, len(s.Permissions) == 0
	for _, name := range s.Permissions {
		switch name {
		case createPackage:
			publishes = true
		case createStaged:
			stages = true
		default:
			return p, fault.New(fault.Invalid, "publisher-invalid", "a publisher's permissions are %s and %s", createPackage, createStaged)
		}
	}
	if stages && !publishes {
		p.Permission = evidence.Stage
	}
	for claim, v := range s.Claims {
		text, err := claimText(claim, v)
		if err != nil {
			return p, err
		}
		if text != "" {
			p.Claims[claim] = text
		}
	}
	return p, nil
}

// claimText reads one claim: a text, a file in an object, or a list, which becomes one text.
func claimText(claim string, v any) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case map[string]any:
		if file, ok := x["file"].(string); ok && len(x) == 1 && inFile[claim] {
			return file, nil
		}
	case []any:
		var texts []string
		for _, one := range x {
			text, ok := one.(string)
			if !ok || strings.Contains(text, ",") {
				return "", errClaim(claim)
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, ","), nil
	case nil:
		return "", nil
	}
	return "", errClaim(claim)
}

func errClaim(claim string) error {
	return fault.New(fault.Invalid, "publisher-invalid", "the claim %q has a form that is not known here", fault.Clip(claim))
}

func serveablePublisher(p Publisher) servedPublisher {
	s := servedPublisher{ID: p.ID, Type: p.Provider, Claims: map[string]any{}, Permissions: []string{createPackage, createStaged}}
	if p.Permission == evidence.Stage {
		s.Permissions = []string{createStaged}
	}
	for claim, v := range p.Claims {
		s.Claims[claim] = any(v)
		switch {
		case inFile[claim]:
			s.Claims[claim] = map[string]string{"file": v}
		case strings.HasSuffix(claim, "context-ids"):
			s.Claims[claim] = strings.Split(v, ",")
		}
	}
	return s
}
