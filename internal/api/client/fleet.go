package client

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Enrolments returns every fleet member, to site administrators.
func (c *Client) Enrolments(ctx context.Context) ([]resource.Enrolment, error) {
	return all[resource.Enrolment](ctx, c, "/enrolments", nil)
}

// Enrol makes a fleet member.
func (c *Client) Enrol(ctx context.Context, e resource.NewEnrolment) (made resource.CreatedEnrolment, err error) {
	return made, c.do(ctx, http.MethodPost, "/enrolments", nil, e, &made)
}

// RevokeEnrolment ends a fleet member by its id.
func (c *Client) RevokeEnrolment(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, path("enrolments", id), nil, nil, nil)
}
