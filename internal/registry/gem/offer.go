package gem

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// offer is what a name offers at the moment. It does not change, but for asked.
type offer struct {
	name    string // the core's
	display string // as its authors spell it
	hosted  bool
	// all are the versions that there ever were, offered those that consumers see, both as published.
	all, offered []version
	cooldown     time.Duration
	info         *registry.Page

	parsed []version     // an upstream's, without what the record knows
	digest digest.Digest // of what the upstream said
	// asked is when an upstream that does not answer said it, in Unix nanoseconds; 0 while it answers. It alone changes.
	asked atomic.Int64

	state string
	until time.Time // when a version ripens; zero for never
	order int64
}

// version is one gem of a name.
type version struct {
	registry.Release
	spec   *gemspec.Spec
	listed *registry.Listed // nil unless it is an upstream's
	sha256 string           // of the gem, in hex
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (o *offer) CacheKey() string     { return o.name }
func (o *offer) CacheRevision() int64 { return o.order }

// CacheWeight is what it takes in memory, about.
func (o *offer) CacheWeight() int64 { return 600 + 2000*int64(len(o.all)) + o.info.CacheWeight() }

// offer returns what a name, in its author's spelling, offers.
func (r *Registry) offer(ctx context.Context, spelling string) (*offer, error) {
	o, err := r.offerOf(ctx, spelling)
	if err != nil {
		return nil, err
	}
	if o.display != spelling {
		return nil, fault.New(fault.NotFound, "name-unknown", "there is no gem %q here; did you mean %q?", fault.Clip(spelling), o.display)
	}
	return o, nil
}

// offerOf returns what a name offers, however it is spelt.
func (r *Registry) offerOf(ctx context.Context, spelling string) (*offer, error) {
	name := normal(spelling)
	state, err := r.core.State(ctx, purl.Gem, name)
	if err != nil {
		return nil, err
	}
	old := r.offers.Get(name)
	if old != nil && old.hosted && old.holds(state, r.clock.Now()) {
		return old, nil
	}
	hosted, err := r.core.Hosted(ctx, purl.Gem, name)
	if err != nil {
		return nil, err
	}
	if !hosted {
		return r.proxied(ctx, spelling, state, old)
	}
	made, err, _ := r.loading.Do(name+" "+state, func() (any, error) {
		return r.load(context.WithoutCancel(ctx), name, state)
	})
	if err != nil {
		return nil, err
	}
	return made.(*offer), nil
}

func (o *offer) holds(state string, now time.Time) bool {
	return o.state == state && (o.until.IsZero() || now.Before(o.until))
}

// load makes the offer of a hosted name.
func (r *Registry) load(ctx context.Context, name, state string) (*offer, error) {
	releases, err := r.core.Releases(ctx, purl.Gem, name)
	if err != nil {
		return nil, err
	}
	if len(releases) == 0 {
		return nil, fault.New(fault.NotFound, "name-unknown", "there is no gem %q here", fault.Clip(name))
	}
	o := &offer{name: name, hosted: true, state: state, all: make([]version, len(releases)), order: releases[len(releases)-1].Seq}
	for i, rel := range releases {
		spec, err := r.stored.Get(ctx, rel.Metadata)
		if err != nil {
			return nil, err
		}
		o.all[i] = version{Release: rel, spec: spec, sha256: rel.Artifact.Hex()}
	}
	o.display = o.all[0].spec.Name
	if err := r.finish(ctx, o); err != nil {
		return nil, err
	}
	r.offers.Put(o)
	return o, nil
}

// finish decides what of all is offered, and renders it.
func (r *Registry) finish(ctx context.Context, o *offer) error {
	sieve, err := r.core.Sieve(ctx, purl.Gem, o.name)
	if err != nil {
		return err
	}
	for _, v := range o.all {
		if sieve.Passes(v.Release) {
			o.offered = append(o.offered, v)
		}
	}
	o.cooldown, o.until = sieve.Cooldown, sieve.Until
	// Several changes of a name in one second still are in order.
	if o.order == 0 {
		o.order = r.clock.Now().UnixNano()
	}
	o.info = indexPage([]byte(renderInfo(o.offered)), o.until)
	return nil
}

// find returns a version of the name by its key, offered or not.
func (o *offer) find(key string) (version, bool) {
	i := slices.IndexFunc(o.all, func(v version) bool { return v.Version == key })
	if i < 0 {
		return version{}, false
	}
	return o.all[i], true
}

// newest returns the offered version that stands for the name: the highest that is no prerelease, if there
// is one, and of its platforms that which runs everywhere.
func (o *offer) newest() (version, bool) {
	var best *version
	for i := range o.offered {
		v := &o.offered[i]
		if best == nil || newer(v.spec, best.spec) {
			best = v
		}
	}
	if best == nil {
		return version{}, false
	}
	return *best, true
}

func newer(a, b *gemspec.Spec) bool {
	if pa, pb := gemspec.Prerelease(a.Version), gemspec.Prerelease(b.Version); pa != pb {
		return pb
	}
	if c := gemspec.CompareVersions(a.Version, b.Version); c != 0 {
		return c > 0
	}
	return a.Platform == gemspec.RubyPlatform && b.Platform != gemspec.RubyPlatform
}

// nothing says why a name that exists offers nothing.
func (o *offer) nothing() error {
	for _, v := range slices.Backward(o.all) {
		switch {
		case v.State == registry.Active && v.Recalled != "":
			return fault.New(fault.Policy, "release-recalled", "%s has no version that can be installed: %s was recalled: %s", o.display, v.Version, v.Recalled)
		case v.State == registry.Active && !o.until.IsZero():
			return registry.TooYoung(v.Release, o.cooldown)
		}
	}
	return fault.New(fault.NotFound, "name-unknown", "%s has no version that can be installed", o.display)
}

// indexPage is a document of the compact index. Clients compare its ETag with the MD5 of what they have.
// Source: Bundler 2.3, compact_index_client/updater.rb; RubyGems guides, "Compact Index API".
func indexPage(body []byte, until time.Time) *registry.Page {
	return registry.NewPage(plainText, body, until, digestHeaders(body))
}

func digestHeaders(body []byte) http.Header {
	sum := sha256.Sum256(body)
	text := base64.StdEncoding.EncodeToString(sum[:])
	return http.Header{
		"Etag": {strconv.Quote(md5Hex(body))}, "Accept-Ranges": {"bytes"},
		"Repr-Digest": {"sha-256=:" + text + ":"}, "Digest": {"sha-256=" + text},
	}
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// renderInfo writes the compact index of one name.
func renderInfo(all []version) string {
	var b strings.Builder
	b.WriteString("---\n")
	for _, v := range all {
		b.WriteString(infoLine(v))
		b.WriteByte('\n')
	}
	return b.String()
}

// infoLine is one version: "1.0.0 rack:>= 2&< 4|checksum:…,ruby:>= 3.0,created_at:…".
func infoLine(v version) string {
	var deps []string
	for _, d := range v.spec.Dependencies {
		if !d.Development {
			deps = append(deps, d.Name+":"+d.Requirement.Join("&"))
		}
	}
	facts := []string{"checksum:" + v.sha256}
	if !v.spec.RequiredRuby.Any() {
		facts = append(facts, "ruby:"+v.spec.RequiredRuby.Join("&"))
	}
	if !v.spec.RequiredRubygems.Any() {
		facts = append(facts, "rubygems:"+v.spec.RequiredRubygems.Join("&"))
	}
	if !v.Published.IsZero() {
		facts = append(facts, "created_at:"+v.Published.UTC().Format(time.RFC3339))
	}
	return v.Version + " " + strings.Join(deps, ",") + "|" + strings.Join(facts, ",")
}
