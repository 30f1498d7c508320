package app

import (
	"context"
	"database/sql"
	"maps"
	"net/url"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// trustAccounts is the account service in the words of trusted publishing.
type trustAccounts struct{ *account.Service }

// Mint implements oidc.Accounts.
func (a trustAccounts) Mint(g oidc.Grant) (string, []evidence.Actor, func(context.Context, *sql.Tx) error, error) {
	return a.MintWorkload(account.WorkloadToken(g))
}

// RequireFactor implements oidc.Accounts.
func (a trustAccounts) RequireFactor(ctx context.Context, actor evidence.Actor) error {
	return a.Service.RequireFactor(ctx, actor, account.AnyFactor)
}

// audience is what a provider's token must be for to be exchanged here. It names this server, so that a token
// which another server was shown is of no use here; npm leaves the port out, and so do we.
func (s *Server) audience(ecosystem string) string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return ecosystem + ":" + u.Hostname()
}

// exchanger is trusted publishing in the words of every adapter.
type exchanger struct{ *Server }

// Audience implements registry.Exchanger.
func (e exchanger) Audience(ecosystem string) string { return e.audience(ecosystem) }

// Exchange implements registry.Exchanger.
func (e exchanger) Exchange(ctx context.Context, r registry.ExchangeRequest) (registry.Minted, error) {
	m, err := e.app.Trust.Exchange(ctx, oidc.Request{
		Ecosystem: r.Ecosystem, Name: r.Name, Token: r.Token, Audience: e.audience(r.Ecosystem), RemoteAddr: r.RemoteAddr, Single: r.Single,
	})
	return registry.Minted{Secret: m.Secret, Names: m.Names, Created: m.Created, Expires: m.Expires}, err
}

// npmTrust is trusted publishing in the words of the npm protocol.
type npmTrust struct {
	*oidc.Service
	exchanger exchanger
}

// Exchange implements npm.Trust. npm publishes one version for each exchange, so the token is good for one.
func (t npmTrust) Exchange(ctx context.Context, name, token, remoteAddr string) (npm.TrustToken, error) {
	m, err := t.exchanger.Exchange(ctx, registry.ExchangeRequest{
		Ecosystem: purl.NPM, Name: name, Token: token, RemoteAddr: remoteAddr, Single: true,
	})
	return npm.TrustToken{Secret: m.Secret, Created: m.Created, Expires: m.Expires}, err
}

// npmFields are the claims in the words of npm, by provider, with the fields that they are here.
// Source: npm, lib/commands/trust.
var npmFields = map[string]map[string]string{
	"github": {"repository": "repository", "workflow_ref": "workflow", "environment": "environment"},
	"gitlab": {"project_path": "project_path", "ci_config_ref_uri": "ci_config", "environment": "environment"},
	"circleci": {
		"oidc.circleci.com/org-id": "org_id", "oidc.circleci.com/project-id": "project_id", "oidc.circleci.com/vcs-origin": "vcs_origin",
		"oidc.circleci.com/pipeline-definition-id": "pipeline_definition_id", "oidc.circleci.com/context-ids": "context_ids",
	},
}

// AddPublisher implements npm.Trust.
func (t npmTrust) AddPublisher(ctx context.Context, actor evidence.Actor, name string, p npm.Publisher) (npm.Publisher, error) {
	fields, ok := npmFields[p.Provider]
	if !ok {
		return npm.Publisher{}, fault.New(fault.Invalid, "publisher-invalid", "npm knows github, gitlab and circleci; use hullmark trust add for others")
	}
	claims := map[string]string{}
	for claim, value := range p.Claims {
		if fields[claim] == "" {
			return npm.Publisher{}, fault.New(fault.Invalid, "publisher-invalid", "a publisher of %s has no claim %q", p.Provider, claim[:min(len(claim), 100)])
		}
		claims[fields[claim]] = value
	}
	made, err := t.Add(ctx, actor, oidc.Publisher{Ecosystem: purl.NPM, Name: name, Provider: p.Provider, Claims: claims, Permission: p.Permission})
	return npmPublisher(made), err
}

// Publishers implements npm.Trust.
func (t npmTrust) Publishers(ctx context.Context, actor evidence.Actor, name string) ([]npm.Publisher, error) {
	found, err := t.List(ctx, actor, purl.NPM, name)
	out := make([]npm.Publisher, len(found))
	for i, p := range found {
		out[i] = npmPublisher(p)
	}
	return out, err
}

// RemovePublisher implements npm.Trust.
func (t npmTrust) RemovePublisher(ctx context.Context, actor evidence.Actor, name, id string) error {
	return t.Remove(ctx, actor, purl.NPM, name, id)
}

// npmPublisher leaves a provider that npm does not know with its own fields: npm prints what it is.
func npmPublisher(p oidc.Publisher) npm.Publisher {
	out := npm.Publisher{ID: p.ID, Provider: p.Provider, Permission: p.Permission, Claims: map[string]string{}}
	fields, known := npmFields[p.Provider]
	if !known {
		maps.Copy(out.Claims, p.Claims)
	}
	for claim, field := range fields {
		if v := p.Claims[field]; v != "" {
			out.Claims[claim] = v
		}
	}
	return out
}

// ociTrust is trusted publishing in the words of the OCI registry.
type ociTrust struct {
	*oidc.Service
	audience string
}

// Exchange implements oci.Trust. A client repeats its password whenever a bearer token ends.
func (t ociTrust) Exchange(ctx context.Context, name, token, remoteAddr string) (credential string, err error) {
	m, err := t.Service.Exchange(ctx, oidc.Request{
		Ecosystem: purl.OCI, Name: name, Token: token, Audience: t.audience, RemoteAddr: remoteAddr, Again: true,
	})
	return m.Credential, err
}

// Check implements oci.Trust.
func (t ociTrust) Check(ctx context.Context, token string) error {
	return t.Service.Check(ctx, token, t.audience)
}
