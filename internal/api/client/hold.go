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
