package api

import (
	"net/http"
	"slices"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// maxLooked bounds the names that one page of packages looks at: with few that the caller may
// read, a page can be short and still have a next.
const maxLooked = 5000

func (a *API) listPackages(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	after, limit, err := page(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if q.Get("ecosystem") == "" {
		return fault.New(fault.Invalid, "request-invalid", "say of which ecosystem, with ?ecosystem=npm or oci")
	}
	out := resource.Page[resource.PackageSummary]{Items: []resource.PackageSummary{}}
	for looked := 0; looked < maxLooked; looked += maxLimit {
		names, err := a.Core.Names(r.Context(), q.Get("ecosystem"), q.Get("text"), after, maxLimit)
		if err != nil {
			return err
		}
		for _, name := range names {
			if len(out.Items) == limit {
				out.Next = cursor(after)
				return reply(w, r, http.StatusOK, out)
			}
			after = name
			switch err := a.Core.MayRead(r.Context(), actor, q.Get("ecosystem"), name); {
			case err == nil:
				out.Items = append(out.Items, resource.PackageSummary{Ecosystem: q.Get("ecosystem"), Name: name})
			case !refused(err):
				return err
			}
		}
		if len(names) < maxLimit {
			return reply(w, r, http.StatusOK, out)
		}
	}
	out.Next = cursor(after)
	return reply(w, r, http.StatusOK, out)
}

func (a *API) getPackage(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	ctx, ecosystem, name := r.Context(), r.PathValue("ecosystem"), r.PathValue("name")
	if err := a.Core.MayRead(ctx, actor, ecosystem, name); err != nil {
		return err
	}
	p, err := a.Core.Lookup(ctx, ecosystem, name)
	if err != nil {
		return err
	}
	releases, err := a.Core.Releases(ctx, ecosystem, name)
	if err != nil {
		return err
	}
	if !a.Core.MayPublish(ctx, actor, ecosystem, name) && a.Accounts.RequireAdmin(ctx, actor) != nil {
		releases = slices.DeleteFunc(releases, func(l registry.Release) bool { return l.State == registry.Held })
	}
	slices.Reverse(releases)
	shown, err := part(r, releases, func(l registry.Release) string { return l.Version })
	if err != nil {
		return err
	}
	tags, err := a.Core.Tags(ctx, ecosystem, name, "", -1)
	if err != nil {
		return err
	}
	out := resource.Package{
		Ecosystem: p.Ecosystem, Name: p.Name, Created: p.Created, Modified: p.Modified, Revision: p.Revision,
		Tags: map[string]string{}, Releases: []resource.Release{}, Next: shown.Next,
	}
	for _, t := range tags {
		out.Tags[t.Name] = t.Version
	}
	for _, l := range shown.Items {
		one := releaseOf(l)
		for _, v := range a.Core.Vulnerabilities().About(ecosystem, name, l.Version) {
			one.Vulnerabilities = append(one.Vulnerabilities, resource.Vulnerability{
				ID: v.ID, Aliases: v.Aliases, Summary: v.Summary, URL: v.URL, Severity: v.Severity.String(), Score: v.Score, Fixed: v.Fixed,
			})
		}
		out.Releases = append(out.Releases, one)
	}
	return replyTagged(w, r, out)
}

func releaseOf(l registry.Release) resource.Release {
	return resource.Release{
		Version: l.Version, PURL: string(l.PURL), Artifact: string(l.Artifact), Size: l.Size, MediaType: l.MediaType,
		ArtifactType: l.ArtifactType, Subject: string(l.Subject), State: string(l.State), Recalled: l.Recalled,
		Deprecated: l.Deprecated, Published: l.Published, Publisher: l.Publisher, Seq: l.Seq,
	}
}

func (a *API) getImage(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	d, err := digest.Parse(r.PathValue("digest"))
	if err != nil {
		return err
	}
	im, err := a.Tracer.Image(r.Context(), actor, d)
	if err != nil {
		return err
	}
	out := resource.Image{
		Digest: im.Digest, Platform: im.Platform, Incomplete: im.Incomplete, References: list(im.References),
		Layers: make([]resource.Layer, len(im.Layers)), Components: make([]resource.Component, len(im.Components)),
	}
	for i, l := range im.Layers {
		out.Layers[i] = resource.Layer(l)
	}
	for i, c := range im.Components {
		out.Components[i] = resource.Component{PURL: c.PURL, Path: c.Path, Position: c.Position, Source: c.Source}
	}
	return replyTagged(w, r, out)
}
