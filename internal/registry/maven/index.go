package maven

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

const (
	maxMetadata = 16 << 20 // bytes
	maxVersions = 20_000
	// probed is how many of the newest versions, and of the last that a list names, are asked for their age while a
	// cooldown holds; older ones are asked when somebody wants them.
	probed  = 48
	probing = 8 // at a time
	// unknownFor is how long a page holds that leaves out versions whose age is not known.
	unknownFor = 10 * time.Minute
)

// unasked is the age of a version that nobody has asked for: when it is asked for, a later one is believed.
var unasked = time.Unix(1, 0).UTC()

// parseMetadata reads an upstream's maven-metadata.xml. What could not be part of a path is left out.
func parseMetadata(raw []byte) (metadata, error) {
	var m metadata
	if err := layout.DecodeXML(raw, &m); err != nil {
		return m, fault.New(fault.Unavailable, "upstream-malformed",
			"the upstream's list of versions cannot be read; tell whoever runs this registry").Because(err)
	}
	if m.Versioning != nil && m.Versioning.Versions != nil {
		all := slices.DeleteFunc(m.Versioning.Versions.All, func(v string) bool { return !layout.IsSegment(v) || len(v) > layout.MaxVersion })
		m.Versioning.Versions.All = all[:min(len(all), maxVersions)]
	}
	return m, nil
}

// upstreamPage renders the metadata of an artifact of an upstream's: without the versions that were recalled, wait for a
// person, or are too young, and with the newest of the others as the latest. h takes its age where that has to be said.
func (r *Registry) upstreamPage(ctx context.Context, h http.Header, name string) (*registry.Page, error) {
	group, artifact, _ := strings.Cut(name, "/")
	// The same address is that of a group; whose group it is here is nobody's business elsewhere.
	if hosted, err := r.core.Hosted(ctx, purl.Maven, groupName(group+"."+artifact)); err != nil || hosted {
		return nil, cmp.Or(err, nameUnknown(name))
	}
	doc, err := r.ask(ctx, name, strings.ReplaceAll(group, ".", "/")+"/"+artifact+"/"+layout.MetadataFile, maxMetadata)
	if err != nil {
		return nil, err
	}
	state, err := r.core.State(ctx, purl.Maven, name)
	if err != nil {
		return nil, err
	}
	r.sayAge(h, doc)
	return r.pages.Get(ctx, purl.Maven, name, "artifact", state+" "+string(doc.Digest), func(ctx context.Context) (*registry.Page, error) {
		m, err := parseMetadata(doc.Body)
		if err != nil {
			return nil, err
		}
		if m.Versioning == nil || m.Versioning.Versions == nil || len(m.Versioning.Versions.All) == 0 {
			return nil, nameUnknown(name)
		}
		listed, until, err := r.ripe(ctx, name, m.Versioning.Versions.All)
		if err != nil {
			return nil, err
		}
		if len(listed) == 0 {
			return nil, fault.New(fault.NotFound, "name-unknown", "%s has no version that can be used: those of its upstream are recalled or too young", name)
		}
		out := releasesOf(name, listed)
		out.Versioning.Updated = m.Versioning.Updated
		return out.page(until)
	})
}

// ripe returns the versions of a list that are offered, and until when that holds.
func (r *Registry) ripe(ctx context.Context, name string, names []string) ([]version, time.Time, error) {
	cooldown, err := r.core.Cooldown(ctx, purl.Maven, name)
	if err != nil {
		return nil, time.Time{}, err
	}
	group, artifact, _ := strings.Cut(name, "/")
	all := make([]registry.Listed, len(names))
	for i, one := range names {
		c := layout.Coordinates{Group: group, Artifact: artifact, Version: one, Build: one}
		all[i].Release = registry.Release{Version: one, File: c.POM(), PURL: c.PURL(), Published: unasked}
	}
	now := r.clock.Now()
	if cooldown > 0 {
		if err := r.date(ctx, group, artifact, all); err != nil {
			return nil, time.Time{}, err
		}
	}
	if err := r.core.Listed(ctx, purl.Maven, name, all); err != nil {
		return nil, time.Time{}, err
	}
	var out []version
	var until time.Time
	for _, l := range all {
		if l.State != registry.Active || l.Recalled != "" {
			continue
		}
		if at := l.Ripe(cooldown); now.Before(at) {
			if until.IsZero() || at.Before(until) {
				until = at
			}
			continue
		}
		out = append(out, version{name: l.Version, files: []registry.Release{l.Release}})
	}
	if !until.IsZero() && until.After(now.Add(unknownFor)) && cooldown > 0 {
		until = now.Add(unknownFor)
	}
	slices.SortStableFunc(out, func(a, b version) int { return compareVersions(a.name, b.name) })
	return out, until, nil
}

// date asks for the age of the versions that may be young: the newest by number, and those that the list names last. A
// version whose pom is not there, or has no date, counts as new.
func (r *Registry) date(ctx context.Context, group, artifact string, all []registry.Listed) error {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	young := map[int]bool{}
	for _, i := range order[max(0, len(order)-probed):] {
		young[i] = true
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareVersions(all[a].Version, all[b].Version) })
	for _, i := range order[max(0, len(order)-probed):] {
		young[i] = true
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(probing)
	for i := range young {
		g.Go(func() error {
			c := layout.Coordinates{Group: group, Artifact: artifact, Version: all[i].Version, Build: all[i].Version}
			if layout.IsSnapshot(c.Version) {
				return nil // its builds are asked one by one
			}
			all[i].Published = time.Time{} // the core counts it from when it was first listed
			doc, err := r.ask(gctx, c.Name(), c.Dir()+c.POM(), r.limits.POM)
			if fault.KindOf(err) == fault.NotFound && err != nil {
				return nil
			}
			if err == nil && !doc.Modified.IsZero() {
				all[i].Published = doc.Modified
			}
			return err
		})
	}
	return g.Wait()
}

// serveUpstreamSnapshot answers GET of a snapshot's metadata of an upstream's, as it says.
func (r *Registry) serveUpstreamSnapshot(w http.ResponseWriter, req *http.Request, t layout.Target) error {
	doc, err := r.ask(req.Context(), t.Name(), t.Coordinates.Dir()+layout.MetadataFile, maxMetadata)
	if err != nil {
		return err
	}
	m, err := parseMetadata(doc.Body)
	if err != nil {
		return err
	}
	page, err := m.page(time.Time{})
	if err != nil {
		return err
	}
	r.sayAge(w.Header(), doc)
	servePage(w, req, t, page)
	return nil
}

// upstreamGroup renders the metadata of a group of an upstream's: its plugins. h takes its age where that has to be said.
func (r *Registry) upstreamGroup(ctx context.Context, h http.Header, group string) (*registry.Page, error) {
	doc, err := r.ask(ctx, groupName(group), strings.ReplaceAll(group, ".", "/")+"/"+layout.MetadataFile, maxMetadata)
	if err != nil {
		return nil, err
	}
	r.sayAge(h, doc)
	return r.pages.Get(ctx, purl.Maven, groupName(group), "group", string(doc.Digest), func(context.Context) (*registry.Page, error) {
		m, err := parseMetadata(doc.Body)
		if err != nil {
			return nil, err
		}
		if m.Plugins == nil || len(m.Plugins.All) == 0 {
			return nil, nameUnknown(group)
		}
		return metadata{Plugins: m.Plugins}.page(time.Time{})
	})
}

// sayAge tells how old a document is whose upstream does not answer.
func (r *Registry) sayAge(h http.Header, doc *registry.Document) {
	if doc.Stale {
		registry.SayAge(h, doc.Asked, r.clock.Now())
	}
}

// groupName is the name under which a group's rights are asked for: any name in it will do.
func groupName(group string) string { return group + "/" + layout.MetadataFile }

// sumOfBlob computes a checksum of a kept file.
func (r *Registry) sumOfBlob(ctx context.Context, d digest.Digest, algorithm string) (string, error) {
	if algorithm == "sha256" {
		return d.Hex(), nil
	}
	blob, err := r.core.Blobs().Open(ctx, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	return hashOf(blob, algorithm)
}
