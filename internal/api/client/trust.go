package client

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/api/resource"
)

// Publishers returns the pipelines that a name trusts, to its owners.
func (c *Client) Publishers(ctx context.Context, ecosystem, name string) ([]resource.Publisher, error) {
	return all[resource.Publisher](ctx, c, path("publishers", ecosystem, name), nil)
}

// AddPublisher makes a name trust a pipeline.
func (c *Client) AddPublisher(ctx context.Context, ecosystem, name string, p resource.NewPublisher) (made resource.Publisher, err error) {
	return made, c.do(ctx, http.MethodPost, path("publishers", ecosystem, name), nil, p, &made)
}

// RemovePublisher ends that.
func (c *Client) RemovePublisher(ctx context.Context, ecosystem, name, id string) error {
	return c.do(ctx, http.MethodDelete, path("publishers", ecosystem, name, id), nil, nil, nil)
}

// PendingPublishers returns the pipelines that wait for names on behalf of an organisation.
func (c *Client) PendingPublishers(ctx context.Context, organisation string) ([]resource.Publisher, error) {
	return all[resource.Publisher](ctx, c, path("organisations", organisation, "publishers"), nil)
}

// AddPendingPublisher makes a pipeline's first token claim a name.
func (c *Client) AddPendingPublisher(ctx context.Context, organisation string, p resource.NewPublisher) (made resource.Publisher, err error) {
	return made, c.do(ctx, http.MethodPost, path("organisations", organisation, "publishers"), nil, p, &made)
}

// RemovePendingPublisher ends that.
func (c *Client) RemovePendingPublisher(ctx context.Context, organisation, id string) error {
	return c.do(ctx, http.MethodDelete, path("organisations", organisation, "publishers", id), nil, nil, nil)
}

// Exchange makes a token for one name of a provider's token.
func (c *Client) Exchange(ctx context.Context, ecosystem, name string, e resource.Exchange) (made resource.Exchanged, err error) {
	return made, c.do(ctx, http.MethodPost, path("publishers", ecosystem, name, "exchange"), nil, e, &made)
}

// Issuers returns whose tokens are taken.
func (c *Client) Issuers(ctx context.Context) ([]resource.Issuer, error) {
	return all[resource.Issuer](ctx, c, "/issuers", nil)
}

// AddIssuer registers an issuer.
func (c *Client) AddIssuer(ctx context.Context, i resource.NewIssuer) (made resource.Issuer, err error) {
	return made, c.do(ctx, http.MethodPost, "/issuers", nil, i, &made)
}

// RemoveIssuer takes a registered issuer away.
func (c *Client) RemoveIssuer(ctx context.Context, issuer string) error {
	return c.do(ctx, http.MethodDelete, path("issuers", issuer), nil, nil, nil)
}
