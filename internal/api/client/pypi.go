package client

import (
	"context"
	"net/http"
	"net/url"
)

// YankPyPI yanks a release of a Python project, or undoes it.
func (c *Client) YankPyPI(ctx context.Context, name, version, reason string, undo bool) error {
	var yanked any = !undo
	if reason != "" && !undo {
		yanked = reason
	}
	request, err := c.request(ctx, http.MethodPatch, "/pypi/pypi/"+url.PathEscape(name)+"/"+url.PathEscape(version), nil, map[string]any{"yanked": yanked})
	if err != nil {
		return err
	}
	_, err = c.exchange(request)
	return err
}
