package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace"
)

// Version returns which program the server is.
func (c *Client) Version(ctx context.Context) (v resource.Version, err error) {
	return v, c.do(ctx, http.MethodGet, "/version", nil, nil, &v)
}

// Health fails when the server cannot serve.
func (c *Client) Health(ctx context.Context) (h resource.Health, err error) {
	return h, c.do(ctx, http.MethodGet, "/healthz", nil, nil, &h)
}

// Trace answers a query as package trace has it.
func (c *Client) Trace(ctx context.Context, query string) (*trace.Result, error) {
	r := new(trace.Result)
	return r, c.do(ctx, http.MethodGet, "/trace", url.Values{"q": {query}}, nil, r)
}

// Statements returns the statements about a purl or digest, oldest first.
func (c *Client) Statements(ctx context.Context, subject string) ([]evidence.Statement, error) {
	return all[evidence.Statement](ctx, c, path("records", subject), nil)
}

// Bundle returns the encoded bundle of a purl or digest, for [evidence.VerifyBundle].
func (c *Client) Bundle(ctx context.Context, subject string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, path("records", subject, "bundle"), nil, nil)
}

// LogKey returns the log's public key, as a signed-note verifier key.
func (c *Client) LogKey(ctx context.Context) (string, error) {
	request, err := c.request(ctx, http.MethodGet, "/log/key", nil, nil)
	if err != nil {
		return "", err
	}
	key, err := c.exchange(request)
	return strings.TrimSpace(string(key)), err
}

// Checkpoint returns the newest signed checkpoint. Its signature is for the caller to check.
func (c *Client) Checkpoint(ctx context.Context) (p resource.Checkpoint, err error) {
	return p, c.do(ctx, http.MethodGet, "/log/checkpoint", nil, nil, &p)
}

// Inclusion returns the proof that the tree of size has the statement at index. Size 0 is the
// newest checkpoint's.
func (c *Client) Inclusion(ctx context.Context, index, size int64) (p resource.Proof, err error) {
	q := url.Values{"index": {strconv.FormatInt(index, 10)}}
	if size > 0 {
		q.Set("size", strconv.FormatInt(size, 10))
	}
	return p, c.do(ctx, http.MethodGet, "/log/inclusion", q, nil, &p)
}

// Consistency returns the proof that the tree of newSize extends that of oldSize. newSize 0 is the
// newest checkpoint's.
func (c *Client) Consistency(ctx context.Context, oldSize, newSize int64) (p resource.Proof, err error) {
	q := url.Values{"old": {strconv.FormatInt(oldSize, 10)}}
	if newSize > 0 {
		q.Set("new", strconv.FormatInt(newSize, 10))
	}
	return p, c.do(ctx, http.MethodGet, "/log/consistency", q, nil, &p)
}

// Packages returns the names in an ecosystem that contain text.
func (c *Client) Packages(ctx context.Context, ecosystem, text string) ([]resource.PackageSummary, error) {
	return all[resource.PackageSummary](ctx, c, "/packages", url.Values{"ecosystem": {ecosystem}, "text": {text}})
}

// Package returns a name with all its releases, newest first.
func (c *Client) Package(ctx context.Context, ecosystem, name string) (p resource.Package, err error) {
	query := url.Values{"limit": {"500"}}
	for {
		var part resource.Package
		if err := c.do(ctx, http.MethodGet, path("packages", ecosystem, name), query, nil, &part); err != nil {
			return p, err
		}
		part.Releases = append(p.Releases, part.Releases...)
		if p = part; p.Next == "" {
			return p, nil
		}
		query.Set("cursor", p.Next)
	}
}

// Image returns an image by its manifest digest.
func (c *Client) Image(ctx context.Context, digest string) (i resource.Image, err error) {
	return i, c.do(ctx, http.MethodGet, path("images", digest), nil, nil, &i)
}

// Recalls returns the recalls in force, oldest first.
func (c *Client) Recalls(ctx context.Context) ([]resource.Recall, error) {
	return all[resource.Recall](ctx, c, "/recalls", nil)
}

// Recall stops what it names at every gate that it lists.
func (c *Client) Recall(ctx context.Context, in resource.NewRecall) (r resource.Recall, err error) {
	return r, c.do(ctx, http.MethodPost, "/recalls", nil, in, &r)
}

// PreviewRecall returns what the recall would do.
func (c *Client) PreviewRecall(ctx context.Context, in resource.NewRecall) (p resource.RecallPreview, err error) {
	q := url.Values{"subject": {in.Subject}, "gate": in.Gates}
	if in.System {
		q.Set("system", "true")
	}
	if in.Canary != nil {
		q.Set("canary", in.Canary.String())
	}
	return p, c.do(ctx, http.MethodGet, "/recalls/preview", q, nil, &p)
}

// RecallReceipts returns the receipts of a recall by its number.
func (c *Client) RecallReceipts(ctx context.Context, seq int64) (r resource.RecallReceipts, err error) {
	return r, c.do(ctx, http.MethodGet, path("recalls", strconv.FormatInt(seq, 10), "receipts"), nil, nil, &r)
}

// LiftRecall ends a recall.
func (c *Client) LiftRecall(ctx context.Context, subject, reason string) error {
	return c.do(ctx, http.MethodDelete, path("recalls", subject), url.Values{"reason": {reason}}, nil, nil)
}

// Report reports a package as malicious.
func (c *Client) Report(ctx context.Context, in resource.NewReport) (r resource.Report, err error) {
	return r, c.do(ctx, http.MethodPost, "/reports", nil, in, &r)
}

// Reports returns the reports in a state, oldest first.
func (c *Client) Reports(ctx context.Context, state string) ([]resource.Report, error) {
	return all[resource.Report](ctx, c, "/reports", url.Values{"state": {state}})
}

// Upstreams returns how the server's upstreams answer.
func (c *Client) Upstreams(ctx context.Context) ([]resource.Upstream, error) {
	return all[resource.Upstream](ctx, c, "/upstreams", nil)
}

// CloseReport decides a report.
func (c *Client) CloseReport(ctx context.Context, id string, in resource.ReportOutcome) (r resource.Report, err error) {
	return r, c.do(ctx, http.MethodPut, path("reports", id), nil, in, &r)
}
