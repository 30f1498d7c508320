package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// A name that nobody here owns, and under which nothing was pushed, is the upstream's repository of the same
// name. A manifest that was fetched is a release like a pushed one; its layers are read when they are fetched,
// and when all are here the image is described.
//
// The cooldown is about tags: a tag stands for the newest digest that was seen under it long enough ago. A
// digest that is asked for is a pin, and does not wait. An upstream does not say when a tag moved, so that
// this is when we saw it; the first digest under a tag, of which there is nothing older to serve, is believed
// the time at which it says it was made.

// manifestTypes is what is asked for: everything that is taken.
var manifestTypes = strings.Join([]string{typeImage, typeIndex, typeDockerImage, typeDockerList, typeArtifact}, ", ")

// proxied reports whether a name is the upstream's.
func (g *Registry) proxied(ctx context.Context, name string) (bool, error) {
	if g.config.Upstream == nil {
		return false, nil
	}
	hosted, err := g.core.Hosted(ctx, purl.OCI, name)
	return !hosted, err
}

func (g *Registry) ask(ctx context.Context, name, path, accept string) (*registry.Document, error) {
	return g.config.Upstream.Document(ctx, registry.Question{
		Ecosystem: purl.OCI, Name: name, Path: "v2/" + name + "/" + path, Accept: accept, Limit: g.config.Limits.Manifest,
	})
}

// findUpstream returns the manifest that a call asks for, after it was kept.
func (g *Registry) findUpstream(c *call) (registry.Release, error) {
	if c.tag != "" {
		return g.resolveUpstream(c)
	}
	r, _, err := g.pinned(c.r.Context(), c.name, c.digest)
	return r, err
}

// pinned returns the manifest with a digest, from the record or from the upstream.
func (g *Registry) pinned(ctx context.Context, name string, d digest.Digest) (registry.Release, *manifest, error) {
	kept, err := g.core.Kept(ctx, purl.OCI, name, string(d), "")
	if err == nil {
		m, err := g.storedManifest(ctx, undescribed{name: name, mediaType: kept.MediaType, digest: d})
		kept.Approved = true
		return kept, m, err
	}
	if fault.KindOf(err) != fault.NotFound {
		return registry.Release{}, nil, err
	}
	doc, err := g.ask(ctx, name, "manifests/"+string(d), manifestTypes)
	if err != nil {
		return registry.Release{}, nil, err
	}
	h := digest.NewHash(d.Algorithm())
	h.Write(doc.Body)
	if digest.Sum(d.Algorithm(), h) != d {
		return registry.Release{}, nil, registry.UpstreamChanged(purl.Image(name, string(d)))
	}
	return g.keepManifest(ctx, name, d, doc)
}

// keepManifest puts a manifest on the record.
func (g *Registry) keepManifest(ctx context.Context, name string, d digest.Digest, doc *registry.Document) (registry.Release, *manifest, error) {
	m, err := parseManifest(doc.ContentType, doc.Body)
	if err != nil {
		return registry.Release{}, nil, registry.UpstreamMalformed(name, err)
	}
	if err := g.store(ctx, d, doc.Body); err != nil {
		return registry.Release{}, nil, err
	}
	u := registry.Upload{
		Ecosystem: purl.OCI, Name: name, Version: string(d), PURL: purl.Image(name, string(d)),
		Artifact: d, Size: int64(len(doc.Body)), MediaType: m.MediaType, ArtifactType: m.artifactType(),
	}
	if m.Subject != nil {
		u.Subject = m.Subject.Digest
	}
	if m.isIndex() {
		u.Contents = []evidence.Draft{describeIndex(u.PURL, m, d)}
	}
	origin := evidence.Origin{Upstream: g.config.Upstream.At(purl.OCI), URL: doc.Base, Digests: []string{string(d)}}
	if _, err := g.core.Mirror(ctx, u, origin); err != nil {
		return registry.Release{}, nil, err
	}
	kept, err := g.core.Kept(ctx, purl.OCI, name, string(d), "")
	kept.Approved = true
	return kept, m, err
}

// resolveUpstream returns what a tag stands for: what the upstream says, or while that is too young or
// recalled the newest before it that is neither.
func (g *Registry) resolveUpstream(c *call) (registry.Release, error) {
	ctx := c.r.Context()
	doc, err := g.ask(ctx, c.name, "manifests/"+c.tag, manifestTypes)
	if err != nil {
		return registry.Release{}, err
	}
	if doc.Stale {
		registry.SayAge(c.w.Header(), doc.Asked, g.config.Clock.Now())
	}
	newest, m, err := g.pinnedAs(ctx, c.name, doc)
	if err != nil {
		return newest, err
	}
	seen, err := g.seen(ctx, c.name, c.tag, newest, m)
	if err != nil {
		return newest, err
	}
	cooldown, err := g.core.Cooldown(ctx, purl.OCI, c.name)
	if err != nil {
		return newest, err
	}
	now := g.config.Clock.Now()
	for _, s := range seen {
		if s.Version != newest.Version && s.At.After(seen[0].At) || now.Before(s.At.Add(cooldown)) && !s.Exempt {
			continue
		}
		r, err := g.core.Kept(ctx, purl.OCI, c.name, s.Version, "")
		if err == nil && r.Recalled == "" && r.State == registry.Active {
			r.Approved = true
			return r, nil
		}
	}
	if newest.Recalled == "" {
		newest.Published, newest.Approved = seen[0].At, seen[0].Exempt
	}
	return newest, nil // the pull gate says what is wrong with it
}

// pinnedAs is pinned for a manifest that is at hand.
func (g *Registry) pinnedAs(ctx context.Context, name string, doc *registry.Document) (registry.Release, *manifest, error) {
	kept, err := g.core.Kept(ctx, purl.OCI, name, string(doc.Digest), "")
	if fault.KindOf(err) == fault.NotFound {
		return g.keepManifest(ctx, name, doc.Digest, doc)
	}
	if err != nil {
		return kept, nil, err
	}
	m, err := parseManifest(kept.MediaType, doc.Body)
	return kept, m, err
}

// seen returns what was seen under a tag, the one that it stands for at the upstream first, then the others, the
// newest first.
func (g *Registry) seen(ctx context.Context, name, tag string, newest registry.Release, m *manifest) ([]registry.Seen, error) {
	all, err := g.core.SeenUnder(ctx, purl.OCI, name, tag)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(s registry.Seen) bool { return s.Version == newest.Version }) {
		one := registry.Seen{Version: newest.Version, At: g.config.Clock.Now()}
		if len(all) == 0 {
			if made := g.made(ctx, name, m); made != nil && made.Before(one.At) {
				one.At = *made
			}
		}
		if err := g.core.SawUnder(ctx, purl.OCI, name, tag, one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	for i := range all {
		if all[i].Exempt, err = g.core.Exempted(ctx, purl.Image(name, all[i].Version)); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b registry.Seen) int {
		if a.Version == newest.Version || b.Version == newest.Version {
			return cmp.Compare(btoi(b.Version == newest.Version), btoi(a.Version == newest.Version))
		}
		return b.At.Compare(a.At)
	})
	return all, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// createdAnnotation is when an image was made. Source: OCI image-spec 1.1, annotations.md.
const createdAnnotation = "org.opencontainers.image.created"

// made returns when an image says that it was made; of an index, when its first image does; nil when it does not
// say. Builds that can be repeated say that it was at the beginning of time.
func (g *Registry) made(ctx context.Context, name string, m *manifest) *time.Time {
	if at, err := time.Parse(time.RFC3339, m.Annotations[createdAnnotation]); err == nil {
		return &at
	}
	if m.isIndex() && len(m.Manifests) > 0 {
		_, child, err := g.pinned(ctx, name, m.Manifests[0].Digest)
		if err != nil || child.isIndex() {
			return nil
		}
		return g.made(ctx, name, child)
	}
	if m.Config == nil || m.Config.Size > maxConfig {
		return nil
	}
	if _, err := g.config.Upstream.Fetch(ctx, name, g.wantedBlob(name, m.Config.Digest)); err != nil {
		return nil
	}
	raw, err := g.readSmall(ctx, m.Config.Digest, maxConfig)
	var config struct {
		Created *time.Time `json:"created"`
	}
	if err != nil || json.Unmarshal(raw, &config) != nil {
		return nil
	}
	return config.Created
}

// wantedBlob is a blob of an upstream's repository.
func (g *Registry) wantedBlob(name string, d digest.Digest) registry.Wanted {
	w := registry.Wanted{ContentType: "application/octet-stream"}
	w.Version, w.PURL, w.Artifact, w.State = string(d), purl.Image(name, string(d)), d, registry.Active
	w.URL = "v2/" + name + "/blobs/" + string(d)
	w.Digests = []string{string(d)}
	w.Keep = func(ctx context.Context, d digest.Digest, size int64) error {
		if err := g.core.LinkBlob(ctx, purl.OCI, name, d, size); err != nil {
			return err
		}
		return g.arrived(ctx, name)
	}
	return w
}

// arrived describes the images of a name whose layers have all come.
func (g *Registry) arrived(ctx context.Context, name string) error {
	images, err := g.undescribed(ctx)
	if err != nil {
		return err
	}
	for _, im := range images {
		if im.name != name {
			continue
		}
		if err := g.describeIfWhole(ctx, im); err != nil {
			return err
		}
	}
	return nil
}

func (g *Registry) describeIfWhole(ctx context.Context, im undescribed) error {
	m, err := g.storedManifest(ctx, im)
	if err != nil || !m.isImage() {
		return err
	}
	for _, b := range m.blobs() {
		_, err := g.core.LinkedBlob(ctx, purl.OCI, im.name, b.Digest)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	g.describeLater(im.name, m, im.digest)
	return nil
}

// getUpstreamBlob serves a blob of an upstream's repository.
func (g *Registry) getUpstreamBlob(c *call) error {
	_, err := g.core.LinkedBlob(c.r.Context(), purl.OCI, c.name, c.digest)
	if err == nil {
		return g.serveContent(c, c.digest, "application/octet-stream")
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	c.w.Header().Set("Docker-Content-Digest", string(c.digest))
	err = g.config.Upstream.Serve(c.w, c.r, c.actor, c.name, g.wantedBlob(c.name, c.digest))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "blob-unknown", "%s has no blob %s at its upstream", c.name, c.digest).Because(err)
	}
	return err
}

// listUpstreamTags lists the upstream's tags.
func (g *Registry) listUpstreamTags(c *call, n int, last string) error {
	doc, err := g.ask(c.r.Context(), c.name, "tags/list?n="+strconv.Itoa(maxPage), "application/json")
	if err != nil {
		return err
	}
	var said struct{ Tags []string }
	if err := json.Unmarshal(doc.Body, &said); err != nil {
		return registry.UpstreamMalformed(c.name, err)
	}
	slices.Sort(said.Tags)
	names := []string{}
	for _, tag := range said.Tags {
		if tag > last && checkTag(tag) == nil {
			names = append(names, tag)
		}
	}
	if len(names) > n {
		names = names[:n]
		if n > 0 {
			nextLink(c, url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
		}
	}
	return writeJSON(c, http.StatusOK, map[string]any{"name": c.name, "tags": names})
}

// listUpstreamReferrers lists what the upstream says refers to a digest; one without that API has none, and
// clients then look for a tag.
func (g *Registry) listUpstreamReferrers(c *call) error {
	doc, err := g.ask(c.r.Context(), c.name, "referrers/"+string(c.digest), typeIndex)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		c.w.Header().Set("Content-Type", typeIndex)
		return writeJSON(c, http.StatusOK, index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []referrer{}})
	}
	if err != nil {
		return err
	}
	var said index
	if err := json.Unmarshal(doc.Body, &said); err != nil || said.MediaType != "" && said.MediaType != typeIndex {
		return registry.UpstreamMalformed(c.name, errors.Join(err, errors.New("no list of referrers")))
	}
	wanted := c.r.URL.Query().Get("artifactType")
	if wanted != "" {
		said.Manifests = slices.DeleteFunc(said.Manifests, func(r referrer) bool { return r.ArtifactType != wanted })
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	said.SchemaVersion, said.MediaType = 2, typeIndex
	if said.Manifests == nil {
		said.Manifests = []referrer{}
	}
	c.w.Header().Set("Content-Type", typeIndex)
	return writeJSON(c, http.StatusOK, said)
}
