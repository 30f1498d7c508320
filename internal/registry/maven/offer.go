package maven

import (
	"context"
	"slices"
	"strings"
	"time"

	mvn "github.com/masahiro331/go-mvn-version"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// facts are what is kept about a file besides its bytes, as its metadata blob.
type facts struct {
	MD5    string `json:"md5"`
	SHA1   string `json:"sha1"`
	SHA512 string `json:"sha512"`
	// Of a pom.
	Packaging   string `json:"packaging,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// Goal is the goal prefix that a plugin's jar declares.
	Goal string `json:"goal,omitempty"`
	// Proof is what a signature proves about the file Signed.
	Proof  *evidence.Verification `json:"proof,omitempty"`
	Signed digest.Digest          `json:"signed,omitempty"`
}

// sum returns the kept checksum of an algorithm, in hex.
func (f facts) sum(algorithm string) string {
	return map[string]string{"md5": f.MD5, "sha1": f.SHA1, "sha512": f.SHA512}[algorithm]
}

// offer is everything that was published under a name, as long as nothing changes. It is not changed
// once it is made.
type offer struct {
	name     string
	state    string
	order    int64
	releases []registry.Release
	at       map[fileKey]int // index into releases
}

type fileKey struct{ version, file string }

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (o *offer) CacheKey() string     { return o.name }
func (o *offer) CacheRevision() int64 { return o.order }
func (o *offer) CacheWeight() int64   { return 1000 + int64(len(o.releases))*1200 }

// offer returns what was published under a name here; it may be nothing.
func (r *Registry) offer(ctx context.Context, name string) (*offer, error) {
	state, err := r.core.State(ctx, purl.Maven, name)
	if err != nil {
		return nil, err
	}
	if o := r.offers.Get(name); o != nil && o.state == state {
		return o, nil
	}
	all, err := r.core.Releases(ctx, purl.Maven, name)
	if err != nil {
		return nil, err
	}
	o := &offer{name: name, state: state, releases: all, at: make(map[fileKey]int, len(all))}
	for i, one := range all {
		o.at[fileKey{one.Version, one.File}] = i
		o.order = max(o.order, one.Seq)
	}
	if len(all) > 0 {
		r.offers.Put(o)
	}
	return o, nil
}

// file returns a file of the name. For a snapshot without a timestamp it is that of the newest build that offers one.
func (o *offer) file(c layout.Coordinates) (registry.Release, bool) {
	if i, ok := o.at[fileKey{c.Build, c.File}]; ok {
		return o.releases[i], true
	}
	if !c.Snapshot() || c.Build != c.Version {
		return registry.Release{}, false
	}
	suffix := strings.TrimPrefix(c.File, c.Artifact+"-"+c.Version)
	for _, one := range slices.Backward(o.releases) {
		if baseVersion(one.Version) == c.Version && one.State == registry.Active && one.Recalled == "" && one.File == c.Artifact+"-"+one.Version+suffix {
			return one, true
		}
	}
	return registry.Release{}, false
}

// versions are those that are offered to everybody, in the order of Maven, with the files of each. A version of which any
// file waits, was recalled, or is too young is left out as a whole: a build that found half of it would break.
func (o *offer) versions(sieve *registry.Sieve) []version {
	byName := map[string]*version{}
	var order []string
	for _, one := range o.releases {
		if one.State == registry.Withdrawn {
			continue
		}
		v := byName[one.Version]
		if v == nil {
			v = &version{name: one.Version}
			byName[one.Version] = v
			order = append(order, one.Version)
		}
		v.files = append(v.files, one)
		v.kept = !sieve.Passes(one) || one.Unlisted != "" || v.kept
	}
	var all []version
	for _, name := range order {
		if !byName[name].kept {
			all = append(all, *byName[name])
		}
	}
	slices.SortStableFunc(all, func(a, b version) int { return compareVersions(a.name, b.name) })
	return all
}

// version is a version, or a timestamped build of a snapshot.
type version struct {
	name  string
	files []registry.Release
	kept  bool // back
}

// published is when its last file came.
func (v version) published() time.Time {
	var last time.Time
	for _, f := range v.files {
		if f.Published.After(last) {
			last = f.Published
		}
	}
	return last
}

// baseVersion is the version whose folder a build is in: "1.1-SNAPSHOT" of "1.1-20261122.181910-1".
func baseVersion(build string) string {
	if m := layout.SnapshotBuild.FindStringSubmatch(build); m != nil {
		return m[1] + layout.SnapshotSuffix
	}
	return build
}

// compareVersions orders versions as Maven does.
// Source: maven-artifact, ComparableVersion; maven.apache.org/pom.html, "Version Order Specification".
func compareVersions(a, b string) int {
	if len(a) > layout.MaxVersion || len(b) > layout.MaxVersion {
		return strings.Compare(a, b)
	}
	x, errX := mvn.NewVersion(a)
	y, errY := mvn.NewVersion(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

func nameUnknown(name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no maven package %q here", fault.Clip(name))
}

func fileUnknown(c layout.Coordinates) error {
	return fault.New(fault.NotFound, "version-unknown", "%s:%s:%s has no file %s", c.Group, c.Artifact, c.Version, fault.Clip(c.File))
}
