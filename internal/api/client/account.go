package client

import (
	"context"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Whoami returns who the token is.
func (c *Client) Whoami(ctx context.Context) (w resource.Whoami, err error) {
	return w, c.do(ctx, http.MethodGet, "/whoami", nil, nil, &w)
}

// Users returns every user, to site administrators.
func (c *Client) Users(ctx context.Context) ([]resource.User, error) {
	return all[resource.User](ctx, c, "/users", nil)
}

// CreateUser creates a user.
func (c *Client) CreateUser(ctx context.Context, u resource.NewUser) (made resource.User, err error) {
	return made, c.do(ctx, http.MethodPost, "/users", nil, u, &made)
}

// Organisations returns those that the caller is in.
func (c *Client) Organisations(ctx context.Context) ([]resource.Organisation, error) {
	return all[resource.Organisation](ctx, c, "/organisations", nil)
}

// CreateOrganisation creates an organisation that the caller owns.
func (c *Client) CreateOrganisation(ctx context.Context, name string) (o resource.Organisation, err error) {
	return o, c.do(ctx, http.MethodPost, "/organisations", nil, resource.NewOrganisation{Name: name}, &o)
}

// Members returns an organisation's members.
func (c *Client) Members(ctx context.Context, organisation string) ([]resource.Member, error) {
	return all[resource.Member](ctx, c, path("organisations", organisation, "members"), nil)
}

// SetMember gives a user a role: reader, maintainer or owner.
func (c *Client) SetMember(ctx context.Context, organisation, account, role string) error {
	return c.do(ctx, http.MethodPut, path("organisations", organisation, "members", account), nil, resource.NewMember{Role: role}, nil)
}

// RemoveMember takes a user's role away.
func (c *Client) RemoveMember(ctx context.Context, organisation, account string) error {
	return c.do(ctx, http.MethodDelete, path("organisations", organisation, "members", account), nil, nil, nil)
}

// Namespaces returns an organisation's namespaces.
func (c *Client) Namespaces(ctx context.Context, organisation string) ([]resource.Namespace, error) {
	return all[resource.Namespace](ctx, c, path("organisations", organisation, "namespaces"), nil)
}

// Namespace returns the namespace that a name falls into.
func (c *Client) Namespace(ctx context.Context, ecosystem, name string) (n resource.Namespace, err error) {
	return n, c.do(ctx, http.MethodGet, path("namespaces", ecosystem, name), nil, nil, &n)
}

// ClaimNamespace claims a namespace for an organisation.
func (c *Client) ClaimNamespace(ctx context.Context, organisation string, n resource.NewNamespace) (made resource.Namespace, err error) {
	return made, c.do(ctx, http.MethodPost, path("organisations", organisation, "namespaces"), nil, n, &made)
}

// NamespaceProof returns the state of the proof of a namespace that is a domain.
func (c *Client) NamespaceProof(ctx context.Context, ecosystem, pattern string) (p resource.NamespaceProof, err error) {
	return p, c.do(ctx, http.MethodGet, path("namespaces", ecosystem, pattern, "proof"), nil, nil, &p)
}

// ProveNamespace has the record looked for now, or vouches for the namespace instead.
func (c *Client) ProveNamespace(ctx context.Context, ecosystem, pattern string, vouch bool) (p resource.NamespaceProof, err error) {
	return p, c.do(ctx, http.MethodPost, path("namespaces", ecosystem, pattern, "proof"), nil, resource.ProveNamespace{Vouch: vouch}, &p)
}

// SigningKeys lists the keys that are pinned for a namespace.
func (c *Client) SigningKeys(ctx context.Context, ecosystem, pattern string) (keys []resource.SigningKey, err error) {
	return keys, c.do(ctx, http.MethodGet, path("namespaces", ecosystem, pattern, "keys"), nil, nil, &keys)
}

// AddSigningKey pins a key for a namespace.
func (c *Client) AddSigningKey(ctx context.Context, ecosystem, pattern, public string) (k resource.SigningKey, err error) {
	return k, c.do(ctx, http.MethodPost, path("namespaces", ecosystem, pattern, "keys"), nil, resource.NewSigningKey{Public: public}, &k)
}

// RemoveSigningKey takes a key away from a namespace.
func (c *Client) RemoveSigningKey(ctx context.Context, ecosystem, pattern, fingerprint string) error {
	return c.do(ctx, http.MethodDelete, path("namespaces", ecosystem, pattern, "keys", fingerprint), nil, nil, nil)
}

// OfferNamespace offers a namespace to another organisation.
func (c *Client) OfferNamespace(ctx context.Context, ecosystem, pattern, organisation string) error {
	return c.do(ctx, http.MethodPost, path("namespaces", ecosystem, pattern, "offer"), nil, resource.NamespaceOffer{Organisation: organisation}, nil)
}

// AcceptNamespace takes a namespace over that was offered to the organisation.
func (c *Client) AcceptNamespace(ctx context.Context, organisation, ecosystem, pattern string) error {
	return c.do(ctx, http.MethodPut, path("organisations", organisation, "namespaces", ecosystem, pattern), nil, nil, nil)
}

// SetVisibility changes who may read a namespace: private or public.
func (c *Client) SetVisibility(ctx context.Context, ecosystem, pattern, visibility string) (n resource.Namespace, err error) {
	return n, c.do(ctx, http.MethodPut, path("namespaces", ecosystem, pattern), nil, resource.NamespaceSettings{Visibility: visibility}, &n)
}

// SetCooldown changes how old versions must be before consumers get them; 0 is off.
func (c *Client) SetCooldown(ctx context.Context, ecosystem, pattern string, d time.Duration) (n resource.Namespace, err error) {
	return n, c.do(ctx, http.MethodPut, path("namespaces", ecosystem, pattern), nil, resource.NamespaceSettings{Cooldown: d.String()}, &n)
}

// Tokens returns the caller's tokens, newest first.
func (c *Client) Tokens(ctx context.Context) ([]resource.Token, error) {
	return all[resource.Token](ctx, c, "/tokens", nil)
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, t resource.NewToken) (made resource.CreatedToken, err error) {
	return made, c.do(ctx, http.MethodPost, "/tokens", nil, t, &made)
}

// RevokeToken revokes a token by its id.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, path("tokens", id), nil, nil, nil)
}

// ApproveLogin lets the client that waits behind a login code act for the caller.
func (c *Client) ApproveLogin(ctx context.Context, code string) error {
	return c.do(ctx, http.MethodPost, path("logins", code, "approval"), nil, nil, nil)
}
