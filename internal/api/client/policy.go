package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/policy"
)

// Policies returns the set that is in force, or the one of a revision when that is not empty.
func (c *Client) Policies(ctx context.Context, revision string) (s resource.PolicySet, err error) {
	target := "/policies"
	if revision != "" {
		target += path(revision)
	}
	return s, c.do(ctx, http.MethodGet, target, nil, nil, &s)
}

// PoliciesTagged returns the set that is in force with its ETag, for [Client.PutPolicies].
func (c *Client) PoliciesTagged(ctx context.Context) (s resource.PolicySet, tag string, err error) {
	r, err := c.request(ctx, http.MethodGet, prefix+"/policies", nil, nil)
	if err != nil {
		return s, "", err
	}
	text, header, err := c.answer(r)
	if err != nil {
		return s, "", err
	}
	return s, header.Get("ETag"), decode(text, &s)
}

// PutPolicies puts a set in force, if what is in force still has the tag; an empty one is not asked about.
func (c *Client) PutPolicies(ctx context.Context, document, tag string) (s resource.PolicySet, err error) {
	r, err := c.request(ctx, http.MethodPut, prefix+"/policies", nil, resource.NewPolicySet{Document: document})
	if err != nil {
		return s, err
	}
	if tag != "" {
		r.Header.Set("If-Match", tag)
	}
	text, err := c.exchange(r)
	if err != nil {
		return s, err
	}
	return s, decode(text, &s)
}

// Exceptions lists the exceptions that the caller may see.
func (c *Client) Exceptions(ctx context.Context) ([]resource.Exception, error) {
	return all[resource.Exception](ctx, c, "/exceptions", nil)
}

// RequestException asks for an exception.
func (c *Client) RequestException(ctx context.Context, x resource.NewException) (made resource.Exception, err error) {
	return made, c.do(ctx, http.MethodPost, "/exceptions", nil, x, &made)
}

// Exempt lets a release, or every release of a name, past the cooldown.
func (c *Client) Exempt(ctx context.Context, x resource.NewExemption) (made resource.Exception, err error) {
	return made, c.do(ctx, http.MethodPost, "/cooldown-exemptions", nil, x, &made)
}

// ApproveException puts an exception in force.
func (c *Client) ApproveException(ctx context.Context, number int64) (x resource.Exception, err error) {
	return x, c.do(ctx, http.MethodPost, "/exceptions"+path(strconv.FormatInt(number, 10))+"/approval", nil, nil, &x)
}

// RevokeException ends an exception.
func (c *Client) RevokeException(ctx context.Context, number int64, reason string) error {
	return c.do(ctx, http.MethodDelete, "/exceptions"+path(strconv.FormatInt(number, 10)), url.Values{"reason": {reason}}, nil, nil)
}

// Explain returns what a decision was made from, and what comes out when it is made again.
func (c *Client) Explain(ctx context.Context, decision string) (e resource.Explanation, err error) {
	return e, c.do(ctx, http.MethodGet, "/decisions"+path(decision)+"/explanation", nil, nil, &e)
}

// ImageRecord returns what policies decide from, as of head; a negative one is now.
func (c *Client) ImageRecord(ctx context.Context, digest string, head int64) (r policy.Record, err error) {
	query := url.Values{}
	if head >= 0 {
		query.Set("head", fmt.Sprint(head))
	}
	return r, c.do(ctx, http.MethodGet, "/images"+path(digest)+"/record", query, nil, &r)
}
