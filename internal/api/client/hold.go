package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Holds returns the versions that wait for a person and that the caller may review, oldest first.
func (c *Client) Holds(ctx context.Context) ([]resource.Hold, error) {
	return all[resource.Hold](ctx, c, "/holds", nil)
}

// Hold returns one hold with how the version differs from the one before.
func (c *Client) Hold(ctx context.Context, subject string) (h resource.Hold, err error) {
	return h, c.do(ctx, http.MethodGet, path("holds", subject), nil, nil, &h)
}

// RejectHold withdraws a held version.
func (c *Client) RejectHold(ctx context.Context, subject, reason string) error {
	return c.do(ctx, http.MethodDelete, path("holds", subject), url.Values{"reason": {reason}}, nil, nil)
}

// Approve approves a release: a purl, or an image reference of the server.
func (c *Client) Approve(ctx context.Context, subject, reason string) (a resource.Approval, err error) {
	return a, c.do(ctx, http.MethodPost, "/approvals", nil, resource.NewApproval{Subject: subject, Reason: reason}, &a)
}

// HoldScope names whose settings of holds are meant: the site's when both are empty, a namespace's, or a
// name's.
type HoldScope struct{ Ecosystem, Namespace, Name string }

func (sc HoldScope) path() string {
	switch {
	case sc.Namespace != "":
		return path("namespaces", sc.Ecosystem, sc.Namespace, "hold-settings")
	case sc.Name != "":
		return path("packages", sc.Ecosystem, sc.Name, "hold-settings")
	}
	return "/hold-settings"
}

// HoldSettings returns a scope's settings and those in force there.
func (c *Client) HoldSettings(ctx context.Context, sc HoldScope) (s resource.HoldSettingsInForce, err error) {
	return s, c.do(ctx, http.MethodGet, sc.path(), nil, nil, &s)
}

// SetHoldSettings replaces a scope's settings.
func (c *Client) SetHoldSettings(ctx context.Context, sc HoldScope, to resource.HoldSettings) (s resource.HoldSettingsInForce, err error) {
	return s, c.do(ctx, http.MethodPut, sc.path(), nil, to, &s)
}

// AllowTokens lets tokens publish a name beside its trusted publisher, or ends this.
func (c *Client) AllowTokens(ctx context.Context, ecosystem, name string, allowed bool) error {
	return c.do(ctx, http.MethodPut, path("packages", ecosystem, name, "tokens-allowed"), nil, resource.TokensAllowed{Allowed: allowed}, nil)
}
