package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

const (
	// maxPage is the longest list in one answer.
	maxPage = 10_000
	// maxReferrers and maxReferrerBytes bound a page of referrers, whose annotations have to be
	// read from their manifests.
	maxReferrers     = 500
	maxReferrerBytes = 4 << 20
)

// page reads the n and last of a list request.
func page(r *http.Request) (n int, last string, err error) {
	q := r.URL.Query()
	n = maxPage
	if s := q.Get("n"); s != "" {
		if n, err = strconv.Atoi(s); err != nil || n < 0 {
			return 0, "", fault.New(fault.Invalid, "list-invalid", "n is %q; it must be a number from 0 up", fault.Clip(s))
		}
	}
	return min(n, maxPage), q.Get("last"), nil
}

// nextLink says where the list goes on. Source: RFC 5988.
func nextLink(c *call, q url.Values) {
	c.w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, c.r.URL.EscapedPath(), q.Encode()))
}

// listTags lists the tags of a repository in byte order (end-8).
func (g *Registry) listTags(c *call) error {
	n, last, err := page(c.r)
	if err != nil {
		return err
	}
	if proxied, err := g.proxied(c.r.Context(), c.name); err != nil {
		return err
	} else if proxied {
		return g.listUpstreamTags(c, n, last)
	}
	if _, err := g.core.Lookup(c.r.Context(), purl.OCI, c.name); err != nil {
		return err
	}
	names := []string{}
	if n > 0 {
		tags, err := g.core.Tags(c.r.Context(), purl.OCI, c.name, last, n+1)
		if err != nil {
			return err
		}
		for _, t := range tags {
			names = append(names, t.Name)
		}
	}
	if len(names) > n {
		names = names[:n]
		nextLink(c, url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
	}
	return writeJSON(c, http.StatusOK, map[string]any{"name": c.name, "tags": names})
}

// catalog lists the repositories that the caller may read. Source: Docker Registry HTTP API V2,
// "Listing Repositories"; the OCI specification has no such call.
func (g *Registry) catalog(c *call) error {
	n, last, err := page(c.r)
	if err != nil {
		return err
	}
	names := []string{}
	for len(names) <= n && n > 0 {
		batch, err := g.core.Names(c.r.Context(), purl.OCI, "", last, maxPage)
		if err != nil {
			return err
		}
		for _, name := range batch {
			if len(names) <= n && g.core.MayRead(c.r.Context(), c.actor, purl.OCI, name) == nil {
				names = append(names, name)
			}
		}
		if len(batch) < maxPage {
			break
		}
		last = batch[len(batch)-1]
	}
	if len(names) > n {
		names = names[:n]
		nextLink(c, url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
	}
	return writeJSON(c, http.StatusOK, map[string]any{"repositories": names})
}

// index is the answer of the referrers API.
type index struct {
	SchemaVersion int        `json:"schemaVersion"`
	MediaType     string     `json:"mediaType"`
	Manifests     []referrer `json:"manifests"`
}

type referrer struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"` // bytes
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// listReferrers lists what refers to a digest (end-12). An unknown digest has an empty list: the
// subject may not have been pushed yet.
func (g *Registry) listReferrers(c *call) error {
	q := c.r.URL.Query()
	wanted := q.Get("artifactType")
	if proxied, err := g.proxied(c.r.Context(), c.name); err != nil {
		return err
	} else if proxied {
		return g.listUpstreamReferrers(c)
	}
	if err := g.mayExist(c); err != nil {
		return err
	}
	releases, err := g.core.Referrers(c.r.Context(), purl.OCI, c.name, c.digest, wanted)
	if err != nil {
		return err
	}
	if wanted != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	shown, err := g.referrers(c, after(releases, q.Get("last")), q)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", typeIndex)
	return writeJSON(c, http.StatusOK, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: shown})
}

// mayExist lets through who sees the repository or could make it: to them an empty list is the
// truth, and the specification wants one. To anybody else a repository that does not exist is
// answered like a private one, so that the answer does not tell which names are taken: who has not
// logged in is asked to.
func (g *Registry) mayExist(c *call) error {
	_, err := g.core.Lookup(c.r.Context(), purl.OCI, c.name)
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	refusal := g.core.Access().Authorize(c.r.Context(), c.actor, evidence.Publish, purl.OCI, c.name)
	if evidence.NeedsFactor(refusal) {
		return nil
	}
	if refusal == nil || fault.KindOf(refusal) == fault.Unauthenticated {
		return refusal
	}
	return err
}

// after returns the releases that follow the one with the digest last.
func after(releases []registry.Release, last string) []registry.Release {
	for i, r := range releases {
		if r.Version == last {
			return releases[i+1:]
		}
	}
	return releases
}

// referrers makes one page. A recalled artifact is left out: what it proves no longer counts.
func (g *Registry) referrers(c *call, releases []registry.Release, q url.Values) ([]referrer, error) {
	shown, bytes := []referrer{}, int64(0)
	for i, r := range releases {
		bytes += r.Size
		if len(shown) > 0 && (len(shown) >= maxReferrers || bytes > maxReferrerBytes) {
			q.Set("last", releases[i-1].Version)
			nextLink(c, q)
			break
		}
		if r.Recalled != "" {
			continue
		}
		annotations, err := g.annotations(c.r.Context(), r.Artifact)
		if err != nil {
			return nil, err
		}
		shown = append(shown, referrer{
			MediaType: r.MediaType, Digest: r.Artifact, Size: r.Size, ArtifactType: r.ArtifactType, Annotations: annotations,
		})
	}
	return shown, nil
}

// annotations reads a manifest's annotations. It was parsed strictly when it was pushed.
func (g *Registry) annotations(ctx context.Context, d digest.Digest) (map[string]string, error) {
	raw, err := g.readSmall(ctx, d, g.config.Limits.Manifest)
	if err != nil {
		return nil, err
	}
	var m struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read annotations of %s: %w", d, err)
	}
	return m.Annotations, nil
}

// readSmall returns a stored blob of at most limit bytes.
func (g *Registry) readSmall(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	f, err := g.core.Blobs().Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > limit {
		return nil, fmt.Errorf("blob %s has %d bytes, %d are read", d, f.Size(), limit)
	}
	return io.ReadAll(f)
}
