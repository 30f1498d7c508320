package client

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Sessions lists where the account is signed in.
func (c *Client) Sessions(ctx context.Context) ([]resource.Session, error) {
	return all[resource.Session](ctx, c, "/sessions", nil)
}

// EndSessions signs the account out everywhere.
func (c *Client) EndSessions(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/sessions", nil, nil, nil)
}

// Email returns the account's address.
func (c *Client) Email(ctx context.Context) (e resource.Email, err error) {
	return e, c.do(ctx, http.MethodGet, "/email", nil, nil, &e)
}

// SetEmail has a code sent to a new address.
func (c *Client) SetEmail(ctx context.Context, address string) error {
	return c.do(ctx, http.MethodPut, "/email", nil, resource.NewEmail{Address: address}, nil)
}

// VerifyEmail makes the address the account's by the code that was sent to it.
func (c *Client) VerifyEmail(ctx context.Context, code string) error {
	return c.do(ctx, http.MethodPost, "/email/verification", nil, resource.Code{Code: code}, nil)
}
