package npm

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// maxListing bounds an upstream's packument, in bytes.
const maxListing = 128 << 20

// listingOf asks an upstream for the full packument: only that one says when versions came out.
func listingOf(name string, have digest.Digest) registry.Question {
	return registry.Question{
		Ecosystem: purl.NPM, Name: name, Path: escapedName(name), Accept: contentTypes[full], Limit: maxListing, Have: have,
	}
}

// listing is an upstream's packument, taken apart.
type listing struct {
	root      object
	tags      map[string]string
	times     map[string]time.Time
	manifests map[string]object // by version
	listed    []registry.Listed // ordered by publication
}

// parseListing reads an upstream's packument. Versions that contradict themselves, or that no client could
// install, are left out; what is no packument at all is Unavailable with code upstream-malformed.
func parseListing(name string, doc *registry.Document) (*listing, error) {
	l := &listing{tags: map[string]string{}, times: map[string]time.Time{}, manifests: map[string]object{}}
	if err := json.Unmarshal(doc.Body, &l.root); err != nil {
		return nil, registry.UpstreamMalformed(name, err)
	}
	var versions map[string]json.RawMessage
	var times map[string]any
	for key, into := range map[string]any{"versions": &versions, "dist-tags": &l.tags, "time": &times} {
		if err := l.root.decode(key, into); err != nil {
			return nil, registry.UpstreamMalformed(name, err)
		}
	}
	if l.root.text("name") != name {
		return nil, registry.UpstreamMalformed(name, fmt.Errorf("it is about %q", fault.Clip(l.root.text("name"))))
	}
	for key, value := range times { // "unpublished" is an object
		text, _ := value.(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			l.times[key] = at
		}
	}
	for version, raw := range versions {
		l.add(name, version, raw, doc)
	}
	slices.SortFunc(l.listed, func(a, b registry.Listed) int {
		if c := a.Published.Compare(b.Published); c != 0 {
			return c
		}
		return strings.Compare(a.Version, b.Version)
	})
	return l, nil
}

func (l *listing) add(name, version string, raw json.RawMessage, doc *registry.Document) {
	if _, err := checkVersion(version); err != nil {
		return
	}
	var m, d object
	if json.Unmarshal(raw, &m) != nil || m.text("name") != name || m.text("version") != version || m.decode("dist", &d) != nil || d == nil {
		return
	}
	var user object
	_ = m.decode("_npmUser", &user) // another form of it says nothing
	one := registry.Listed{URL: doc.Resolve(d.text("tarball")), Digests: claimed(d), Publisher: fault.Clip(user.text("name"))}
	one.Version, one.PURL, one.Published = version, purl.New(purl.NPM, name, version), l.times[version]
	one.Metadata, one.Deprecated = digest.FromBytes(raw), m.text("deprecated")
	l.manifests[version] = m
	l.listed = append(l.listed, one)
}

// claimed are the digests in a dist: those of its integrity (W3C, Subresource Integrity), and the SHA-1.
func claimed(d object) []string {
	var out []string
	for _, one := range strings.Fields(d.text("integrity")) {
		algorithm, sum, _ := strings.Cut(one, "-")
		sum, _, _ = strings.Cut(sum, "?")
		if raw, err := base64.StdEncoding.DecodeString(sum); err == nil && len(out) < 8 {
			out = append(out, algorithm+":"+hex.EncodeToString(raw))
		}
	}
	if sum := d.text("shasum"); sum != "" {
		out = append(out, "sha1:"+fault.Clip(sum))
	}
	return out
}

// loadListed returns what a name offers that comes from an upstream.
func (r *Registry) loadListed(ctx context.Context, name string) (*offer, error) {
	state, err := r.core.State(ctx, purl.NPM, name)
	if err != nil {
		return nil, err
	}
	doc, err := r.upstream.Document(ctx, listingOf(name, ""))
	if err != nil {
		return nil, err
	}
	l, err := parseListing(name, doc)
	if err != nil {
		return nil, err
	}
	if err := r.core.Listed(ctx, purl.NPM, name, l.listed); err != nil {
		return nil, err
	}
	o := &offer{name: name, state: state, source: doc.Digest, listed: l.listed, created: l.times["created"], modified: l.times["modified"]}
	o.asked.Store(doc.Asked.UnixNano())
	o.stale.Store(doc.Stale)
	if o.cooldown, err = r.core.Cooldown(ctx, purl.NPM, name); err != nil {
		return nil, err
	}
	for _, one := range l.listed {
		o.all = append(o.all, one.Release)
	}
	var tags []registry.Tag
	for tag, version := range l.tags {
		tags = append(tags, registry.Tag{Name: tag, Version: version})
	}
	o.arrange(tags)
	o.keepBack(r.clock.Now())
	if before := r.offers.Get(name); before != nil {
		o.former = before.leave()
	}
	o.whole, err = r.renderListed(o, l)
	return o, err
}

// currentListed reports whether a cached offer still is what the upstream and the record say.
func (r *Registry) currentListed(ctx context.Context, o *offer) (bool, error) {
	state, err := r.core.State(ctx, purl.NPM, o.name)
	if err != nil || state != o.state {
		return false, err
	}
	if o.young > 0 && r.clock.Now().UnixNano() >= o.ripens {
		return false, nil
	}
	doc, err := r.upstream.Document(ctx, listingOf(o.name, o.source))
	if err != nil || doc.Digest != o.source {
		return false, err
	}
	o.asked.Store(doc.Asked.UnixNano())
	o.stale.Store(doc.Stale)
	return true, nil
}

// renderListed makes the full packument of what comes from an upstream: the upstream's own manifests with their
// signatures, attestations and hints, and with tarballs at our address.
func (r *Registry) renderListed(o *offer, l *listing) (*rendered, error) {
	times := map[string]string{}
	for _, key := range []string{"created", "modified"} {
		if at, ok := l.times[key]; ok {
			times[key] = iso(at)
		}
	}
	for _, rel := range o.releases {
		times[rel.Version] = iso(rel.Published)
	}
	head := map[string]any{"_id": o.name, "name": o.name, "dist-tags": o.tags, "time": times, "maintainers": l.root["maintainers"]}
	if m := l.manifests[o.tags[latest]]; m != nil {
		for _, field := range []string{"description", "author", "license", "homepage", "repository", "bugs", "keywords"} {
			head[field] = m[field]
		}
		if o.tags[latest] == l.tags[latest] { // else it is the readme of a version that is not offered
			head["readme"] = l.root["readme"]
		}
	}
	maps.DeleteFunc(head, func(_ string, v any) bool {
		raw, ok := v.(json.RawMessage)
		return ok && len(raw) == 0
	})
	return o.compose(full, head, func(rel registry.Release) ([]byte, error) {
		return r.renderManifest(o.name, rel.Version, l.manifests[rel.Version])
	})
}

// renderManifest is an upstream's manifest as it is served here.
func (r *Registry) renderManifest(name, version string, m object) ([]byte, error) {
	var d object
	if err := m.decode("dist", &d); err != nil {
		return nil, err
	}
	if err := d.set("tarball", r.base+name+"/-/"+tarballFile(name, version)); err != nil {
		return nil, err
	}
	var attestations object
	if d.decode("attestations", &attestations) == nil && attestations != nil {
		err := errors.Join(attestations.set("url", r.attestationsURL(name, version)), d.set("attestations", attestations))
		if err != nil {
			return nil, err
		}
	}
	m = maps.Clone(m)
	delete(m, "readme")
	if err := m.set("dist", d); err != nil {
		return nil, err
	}
	return encode(m)
}

// abbreviate makes the abbreviated packument out of the full one.
func (o *offer) abbreviate() (*rendered, error) {
	times := map[string]string{"created": iso(o.created), "modified": iso(o.modified)}
	for _, rel := range o.releases {
		times[rel.Version] = iso(rel.Published)
	}
	head := packument{Name: o.name, Tags: o.tags, Time: times, Modified: iso(o.modified)}
	return o.compose(abbreviated, head, func(rel registry.Release) ([]byte, error) {
		m, err := o.manifest(rel)
		if err != nil {
			return nil, err
		}
		return encode(m.only(abbreviatedFields))
	})
}

// manifest returns a manifest out of the full packument of an upstream's name.
func (o *offer) manifest(rel registry.Release) (m object, err error) {
	raw, ok := o.whole.part(rel)
	if !ok {
		return nil, fault.New(fault.NotFound, "version-unknown", "%s has no version or tag %q", o.name, fault.Clip(rel.Version))
	}
	return m, json.Unmarshal(raw, &m)
}

// wanted is a listed tarball, as the upstream's client fetches it.
func (r *Registry) wanted(one registry.Listed) registry.Wanted {
	w := registry.Wanted{Listed: one, ContentType: tarballContent, Read: r.readFetched}
	w.MediaType, w.Metadata = "application/gzip", ""
	return w
}

// readFetched looks into a tarball that was fetched.
func (r *Registry) readFetched(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error) {
	blob, err := r.core.Blobs().Open(ctx, artifact)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	in, err := readInside(blob, r.limits)
	if err != nil {
		return nil, err
	}
	v, err := newView(in.manifest)
	if err != nil {
		return nil, err
	}
	in.inventory.Hooks = in.hooks(in.implied(v.scripts))
	in.inventory.Signals.Dependencies = v.dependencies()
	return in.inventory, nil
}

// passOn answers with what the upstream says at a path.
func (r *Registry) passOn(w http.ResponseWriter, req *http.Request, name, path string) error {
	doc, err := r.upstream.Document(req.Context(), registry.Question{
		Ecosystem: purl.NPM, Name: name, Path: path, Accept: contentTypes[full], Limit: int64(r.limits.Manifest),
	})
	if err != nil {
		return err
	}
	if !json.Valid(doc.Body) {
		return registry.UpstreamMalformed(name, errors.New("no JSON"))
	}
	w.Header().Set("Cache-Control", "no-cache")
	r.respond(w, http.StatusOK, json.RawMessage(doc.Body))
	return nil
}
