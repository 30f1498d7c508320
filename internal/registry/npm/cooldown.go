package npm

import (
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// keepBack takes the versions out of the offer that are younger than the cooldown. Tags that point at
// one fall back as npm's own --before makes them. What was offered before becomes o.complete.
//
// The cached documents hold until the first of the versions is old enough: then the offer is loaded
// anew, as if the package had changed.
func (o *offer) keepBack(now time.Time) {
	if o.cooldown <= 0 {
		return
	}
	var ripe []registry.Release
	for _, rel := range o.releases {
		at := rel.Ripe(o.cooldown)
		if !now.Before(at) {
			ripe = append(ripe, rel)
			continue
		}
		o.notice = registry.OneLine(fault.As(registry.TooYoung(rel, o.cooldown)).Text) // of the newest
		if o.young++; o.young == 1 || at.UnixNano() < o.ripens {
			o.ripens = at.UnixNano()
		}
	}
	if o.young == 0 {
		return
	}
	o.complete = &offer{
		name: o.name, revision: o.revision, created: o.created, modified: o.modified, releases: o.releases, tags: o.tags,
		used: o.used, all: o.all, owners: o.owners,
	}
	o.releases, o.tags = ripe, map[string]string{}
	for tag, version := range o.complete.tags {
		if v := settled(version, ripe); v != "" {
			o.tags[tag] = v
		}
	}
	if v := newest(ripe); v != "" && o.tags[latest] == "" {
		o.tags[latest] = v
	}
}

// uncooled is what the name offers without a cooldown: what those see and change who publish it.
func (o *offer) uncooled() *offer {
	if o.complete != nil {
		return o.complete
	}
	return o
}

// settled returns the version that a tag stands for: its own, or while that is kept back the highest
// one below that a range up to it would match, or "".
// Source: npm-pick-manifest, pickManifest, "if the version in the dist-tag is after the before date".
func settled(version string, ripe []registry.Release) string {
	target, err := semver.StrictNewVersion(version)
	var best *semver.Version
	for _, r := range ripe {
		if r.Version == version {
			return version
		}
		v, verr := semver.StrictNewVersion(r.Version)
		if err != nil || verr != nil || !v.LessThan(target) || best != nil && v.LessThan(best) {
			continue
		}
		if v.Prerelease() == "" || target.Prerelease() != "" && sameCore(v, target) {
			best = v
		}
	}
	if best == nil {
		return ""
	}
	return best.Original()
}

// sameCore reports whether two versions differ by no more than their prerelease.
func sameCore(a, b *semver.Version) bool {
	return a.Major() == b.Major() && a.Minor() == b.Minor() && a.Patch() == b.Patch()
}
