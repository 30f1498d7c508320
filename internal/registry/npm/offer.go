package npm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// ownersAge is how old the list of owners in a cached packument may be: owners are not part of the
// record, so nothing tells when they change. A change through this registry shows at once.
const ownersAge = time.Second

// offer is what a name offers at one revision: the projection that every read is answered from.
// Its fields do not change after loading, except where noted.
type offer struct {
	name     string
	revision int64
	created  time.Time
	modified time.Time
	releases []registry.Release // that consumers may install now, in the order of publication
	tags     map[string]string
	// young is how many more versions only the cooldown keeps back, and ripens when the first of them
	// is old enough, in Unix nanoseconds. complete is what the name offers without a cooldown; nil when
	// that is the same.
	young    int
	cooldown time.Duration
	ripens   int64
	complete *offer
	notice   string // why the newest of them is kept back; npm prints it
	// used holds every version that ever was, withdrawn and recalled ones included, by its place
	// in all.
	used map[string]int
	all  []registry.Release

	owners []Collaborator

	// What follows is set for a name that comes from an upstream: the digest of its document there, the state
	// of the name that the offer was made from, what is listed in the order of all, and the full packument.
	source digest.Digest
	state  string
	listed []registry.Listed
	whole  *rendered
	// asked is when the upstream last said that this is what it has, in Unix nanoseconds, and stale that it
	// did not answer since.
	asked atomic.Int64
	stale atomic.Bool

	// head is the size of the record at which the offer was last known to be current, and
	// ownersAt when the owners were, in Unix nanoseconds.
	head     atomic.Int64
	ownersAt atomic.Int64

	// mu guards the documents, which are rendered when first asked for.
	mu        sync.Mutex
	documents [2]*rendered
	// former are the documents of the revision before, without their compressed forms, until the
	// new ones are rendered.
	former [2]*rendered
}

// tag returns the version that a tag points at, or "".
func (o *offer) tag(name string) string { return o.tags[name] }

// release returns a version that may be installed, by version or tag, or code version-unknown.
func (o *offer) release(versionOrTag string) (registry.Release, error) {
	if v, ok := o.tags[versionOrTag]; ok {
		versionOrTag = v
	}
	i, ok := o.used[versionOrTag]
	if !ok || !installable(o.all[i]) {
		return registry.Release{}, fault.New(fault.NotFound, "version-unknown", "%s has no version or tag %q", o.name, fault.Clip(versionOrTag))
	}
	if o.young > 0 && !slices.ContainsFunc(o.releases, func(r registry.Release) bool { return r.Version == versionOrTag }) {
		return registry.Release{}, registry.TooYoung(o.all[i], o.cooldown)
	}
	return o.all[i], nil
}

// installable reports whether clients are told of the version. A recalled one is left out, so that
// ranges resolve to another; asked for by its tarball, it is refused with the reason.
func installable(r registry.Release) bool { return r.State == registry.Active && r.Recalled == "" }

// offer returns what name offers now, or NotFound with code name-unknown. As long as nothing was
// appended to the record it costs no database access.
func (r *Registry) offer(ctx context.Context, name string) (*offer, error) {
	head := r.core.Record().Head() // before looking: what is read is at least as new
	if o := r.offers.Get(name); o != nil {
		current, err := r.current(ctx, o, head)
		if current || err != nil {
			return o, err
		}
	}
	for {
		loaded, err, _ := r.loading.Do(name, func() (any, error) { return r.reload(context.WithoutCancel(ctx), name) })
		if err != nil {
			return nil, err
		}
		// A load that somebody else began earlier may have missed what this caller has just written.
		if o := loaded.(*offer); o.head.Load() >= head {
			return o, nil
		}
	}
}

func (r *Registry) reload(ctx context.Context, name string) (*offer, error) {
	head := r.core.Record().Head()
	o, err := r.load(ctx, name)
	if err != nil {
		return nil, err
	}
	o.head.Store(head)
	if before := r.offers.Get(name); before != nil {
		o.former = before.leave()
	}
	if o.whole != nil {
		o.former[full] = nil
	}
	r.offers.Put(o)
	return o, nil
}

// leave returns what the next revision may copy from.
func (o *offer) leave() [2]*rendered {
	o.mu.Lock()
	defer o.mu.Unlock()
	former := o.former
	for f, d := range o.documents {
		if d != nil {
			former[f] = &rendered{plain: d.plain, parts: d.parts}
		}
	}
	if o.whole != nil {
		former[full] = o.whole
	}
	return former
}

// current reports whether a cached offer still holds.
func (r *Registry) current(ctx context.Context, o *offer, head int64) (bool, error) {
	if o.source != "" {
		return r.currentListed(ctx, o)
	}
	if o.head.Load() < head {
		p, err := r.core.Lookup(ctx, purl.NPM, o.name)
		if err != nil || p.Revision != o.revision {
			return false, err
		}
		o.head.Store(head)
	}
	now := r.clock.Now().UnixNano()
	cooldown, err := r.core.Cooldown(ctx, purl.NPM, o.name)
	if err != nil || cooldown != o.cooldown || o.young > 0 && now >= o.ripens {
		return false, err
	}
	if now-o.ownersAt.Load() < int64(ownersAge) {
		return true, nil
	}
	owners, err := r.accounts.Collaborators(ctx, o.name)
	if err != nil || !slices.Equal(owners, o.owners) {
		return false, err
	}
	o.ownersAt.Store(now)
	return true, nil
}

// errMoved says that a package changed while it was read.
var errMoved = errors.New("the package changed while it was read")

// load reads an offer whose parts all belong to one revision.
func (r *Registry) load(ctx context.Context, name string) (*offer, error) {
	const attempts = 5
	for range attempts {
		o, err := r.loadOnce(ctx, name)
		if !errors.Is(err, errMoved) {
			return o, err
		}
	}
	return nil, fault.New(fault.Unavailable, "package-busy", "%s is changing faster than it can be read; try again", name)
}

func (r *Registry) loadOnce(ctx context.Context, name string) (*offer, error) {
	if r.upstream != nil {
		hosted, err := r.core.Hosted(ctx, purl.NPM, name)
		if err != nil {
			return nil, err
		}
		if !hosted {
			return r.loadListed(ctx, name)
		}
	}
	p, err := r.core.Lookup(ctx, purl.NPM, name)
	if err != nil {
		return nil, err
	}
	o := &offer{name: name, revision: p.Revision, created: p.Created, modified: p.Modified}
	if o.cooldown, err = r.core.Cooldown(ctx, purl.NPM, name); err != nil {
		return nil, err
	}
	if o.all, err = r.core.Releases(ctx, purl.NPM, name); err != nil {
		return nil, err
	}
	tags, err := r.core.Tags(ctx, purl.NPM, name, "", -1)
	if err != nil {
		return nil, err
	}
	o.ownersAt.Store(r.clock.Now().UnixNano())
	if o.owners, err = r.accounts.Collaborators(ctx, name); err != nil {
		return nil, fmt.Errorf("owners of %s: %w", name, err)
	}
	again, err := r.core.Lookup(ctx, purl.NPM, name)
	if err != nil {
		return nil, err
	}
	if again.Revision != p.Revision {
		return nil, errMoved
	}
	o.arrange(tags)
	o.keepBack(r.clock.Now())
	return o, nil
}

// arrange derives what the reads need from all releases and tags.
func (o *offer) arrange(tags []registry.Tag) {
	o.used = make(map[string]int, len(o.all))
	for i, rel := range o.all {
		o.used[rel.Version] = i
		if installable(rel) {
			o.releases = append(o.releases, rel)
		}
	}
	o.tags = make(map[string]string, len(tags))
	for _, t := range tags {
		if i, ok := o.used[t.Version]; ok && installable(o.all[i]) {
			o.tags[t.Name] = t.Version
		}
	}
	if v := newest(o.releases); v != "" && o.tags[latest] == "" {
		o.tags[latest] = v // its target was withdrawn or recalled; clients take the tag for granted
	}
}

// newest returns the highest version, a prerelease only where there is nothing else.
func newest(releases []registry.Release) string {
	var best *semver.Version
	for _, r := range releases {
		v, err := semver.StrictNewVersion(r.Version)
		if err != nil {
			continue
		}
		stable := v.Prerelease() == ""
		if best == nil || stable && best.Prerelease() != "" || stable == (best.Prerelease() == "") && v.GreaterThan(best) {
			best = v
		}
	}
	if best == nil {
		return ""
	}
	return best.Original()
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (o *offer) CacheKey() string     { return o.name }
func (o *offer) CacheRevision() int64 { return o.revision }

// CacheWeight estimates the offer's bytes without its documents.
func (o *offer) CacheWeight() int64 {
	const perRelease = 900 // two registry.Release values with their strings, and the map entry
	bytes := 500 + int64(len(o.all))*perRelease + int64(len(o.tags)+len(o.owners))*100
	bytes += int64(len(o.listed)) * perRelease
	for _, d := range append(o.former[:], o.whole) {
		if d != nil {
			bytes += d.bytes()
		}
	}
	return bytes
}
