package maven

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// metadata is a maven-metadata.xml.
// Source: maven-repository-metadata, metadata.mdo 1.1.0.
type metadata struct {
	XMLName      xml.Name    `xml:"metadata"`
	ModelVersion string      `xml:"modelVersion,attr,omitempty"`
	Group        string      `xml:"groupId,omitempty"`
	Artifact     string      `xml:"artifactId,omitempty"`
	Version      string      `xml:"version,omitempty"`
	Versioning   *versioning `xml:"versioning"`
	Plugins      *plugins    `xml:"plugins"`
}

// The lists are pointers so that one which is empty is left out as a whole.
type (
	plugins struct {
		All []plugin `xml:"plugin"`
	}
	builds struct {
		All []snapshotBuilt `xml:"snapshotVersion"`
	}
	versionList struct {
		All []string `xml:"version"`
	}
)

type versioning struct {
	Latest   string       `xml:"latest,omitempty"`
	Release  string       `xml:"release,omitempty"`
	Versions *versionList `xml:"versions"`
	Snapshot *snapshot    `xml:"snapshot"`
	Updated  string       `xml:"lastUpdated,omitempty"`
	Builds   *builds      `xml:"snapshotVersions"`
}

type snapshot struct {
	Timestamp string `xml:"timestamp"`
	Number    string `xml:"buildNumber"`
}

type snapshotBuilt struct {
	Classifier string `xml:"classifier,omitempty"`
	Extension  string `xml:"extension"`
	Value      string `xml:"value"`
	Updated    string `xml:"updated"`
}

type plugin struct {
	Name     string `xml:"name"`
	Prefix   string `xml:"prefix"`
	Artifact string `xml:"artifactId"`
}

// updatedForm is how metadata writes a time, in UTC.
const updatedForm = "20060102150405"

func newMetadata(name string) metadata {
	group, artifact, _ := strings.Cut(name, "/")
	return metadata{ModelVersion: "1.1.0", Group: group, Artifact: artifact}
}

// encode renders the metadata as a page.
func (m metadata) page(until time.Time) (*registry.Page, error) {
	body, err := xml.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return registry.NewPage(xmlType, append([]byte(xml.Header), append(body, '\n')...), until, nil), nil
}

// releasesOf is the metadata of an artifact: its versions in Maven's order, and the newest of them.
func releasesOf(name string, versions []version) metadata {
	m := newMetadata(name)
	v := &versioning{Versions: &versionList{}}
	var last time.Time
	for _, one := range versions {
		base := baseVersion(one.name)
		if all := v.Versions.All; len(all) == 0 || all[len(all)-1] != base {
			v.Versions.All = append(all, base)
		}
		v.Latest = base
		if !layout.IsSnapshot(base) {
			v.Release = base
		}
		if at := one.published(); at.After(last) {
			last = at
		}
	}
	v.Updated = last.UTC().Format(updatedForm)
	m.Versioning = v
	return m
}

// buildsOf is the metadata of a snapshot: which of its builds is the newest that has each sort of file.
func buildsOf(name, base string, all []version) metadata {
	m := newMetadata(name)
	m.Version = base
	v := &versioning{Builds: &builds{}}
	seen := map[string]int{}
	_, artifact, _ := strings.Cut(name, "/")
	for _, b := range all {
		stamp, number, ok := splitBuild(b.name)
		if !ok {
			continue
		}
		v.Snapshot = &snapshot{Timestamp: stamp, Number: number}
		v.Updated = strings.ReplaceAll(stamp, ".", "")
		for _, f := range b.files {
			c := layout.Coordinates{Artifact: artifact, Version: base}
			if c.ParseFile(f.File) != nil || c.Sidecar != "" {
				continue
			}
			built := snapshotBuilt{Classifier: c.Classifier, Extension: c.Extension, Value: b.name, Updated: v.Updated}
			if i, ok := seen[c.Sort()]; ok {
				v.Builds.All[i] = built
				continue
			}
			seen[c.Sort()] = len(v.Builds.All)
			v.Builds.All = append(v.Builds.All, built)
		}
	}
	m.Versioning = v
	return m
}

// splitBuild takes "1.1-20261122.181910-1" apart.
func splitBuild(build string) (stamp, number string, ok bool) {
	if !layout.SnapshotBuild.MatchString(build) {
		return "", "", false
	}
	i := strings.LastIndexByte(build, '-')
	j := strings.LastIndexByte(build[:i], '-')
	return build[j+1 : i], build[i+1:], true
}

// serveSnapshot answers GET of a snapshot's metadata.
func (r *Registry) serveSnapshot(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	t := targetOf(req)
	o, err := r.offer(req.Context(), t.Name())
	if err != nil {
		return err
	}
	if len(o.releases) == 0 {
		return r.serveUpstreamSnapshot(w, req, t)
	}
	page, err := r.pages.Get(req.Context(), purl.Maven, o.name, "snapshot "+t.Version, o.state, func(ctx context.Context) (*registry.Page, error) {
		versions, until, err := r.versions(ctx, o)
		if err != nil {
			return nil, err
		}
		builds := slices.DeleteFunc(versions, func(v version) bool { return baseVersion(v.name) != t.Version })
		if len(builds) == 0 {
			return nil, fileUnknown(layout.Coordinates{Group: t.Group, Artifact: t.Artifact, Version: t.Version, File: layout.MetadataFile})
		}
		return buildsOf(o.name, t.Version, builds).page(until)
	})
	if err != nil {
		return err
	}
	servePage(w, req, t, page)
	return nil
}

// versions are those that the name offers now.
func (r *Registry) versions(ctx context.Context, o *offer) ([]version, time.Time, error) {
	sieve, err := r.core.Sieve(ctx, purl.Maven, o.name)
	if err != nil {
		return nil, time.Time{}, err
	}
	return o.versions(sieve), sieve.Until, nil
}

// serveMetadata answers GET of the metadata of a folder: it may be an artifact's, and it may be a group's, which says
// what the goals of its plugins begin with. It is both for who may read both.
func (r *Registry) serveMetadata(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	ctx, t := req.Context(), targetOf(req)
	name, group := t.NameOfFolder(), strings.Join(t.Folder, ".")
	var denied error
	if name != "" {
		denied = r.core.MayRead(ctx, actor, purl.Maven, name)
		if denied == nil {
			page, err := r.artifactPage(ctx, w.Header(), name)
			if err == nil {
				servePage(w, req, t, page)
				return nil
			}
			if fault.KindOf(err) != fault.NotFound {
				return err
			}
			denied = err
		}
	}
	if err := r.core.MayRead(ctx, actor, purl.Maven, groupName(group)); err != nil {
		if denied == nil || fault.KindOf(err) == fault.Unauthenticated {
			return err // who logs in may see more
		}
		return denied
	}
	page, err := r.groupPage(ctx, w.Header(), group)
	if err != nil {
		if denied != nil {
			return denied
		}
		return err
	}
	servePage(w, req, t, page)
	return nil
}

// artifactPage renders the metadata of an artifact. h takes the age of an upstream's where that has to be said.
func (r *Registry) artifactPage(ctx context.Context, h http.Header, name string) (*registry.Page, error) {
	o, err := r.offer(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(o.releases) == 0 {
		return r.upstreamPage(ctx, h, name)
	}
	return r.pages.Get(ctx, purl.Maven, name, "artifact", o.state, func(ctx context.Context) (*registry.Page, error) {
		versions, until, err := r.versions(ctx, o)
		if err != nil {
			return nil, err
		}
		if len(versions) == 0 {
			return nil, o.nothingLeft()
		}
		return releasesOf(name, versions).page(until)
	})
}

// nothingLeft says why a name that exists has no version to build with.
func (o *offer) nothingLeft() error {
	for _, one := range slices.Backward(o.releases) {
		if one.State == registry.Active && one.Recalled != "" {
			return fault.New(fault.NotFound, "name-unknown", "%s has no version that can be used: %s was recalled: %s", o.name, one.Version, one.Recalled)
		}
	}
	return fault.New(fault.NotFound, "name-unknown", "%s has no version that can be used", o.name)
}

// maxNames bounds how many names of a group, or of everything, are looked at for one page.
const maxNames = 10_000

// groupPage renders the metadata of a group: its plugins.
func (r *Registry) groupPage(ctx context.Context, h http.Header, group string) (*registry.Page, error) {
	found, err := r.plugins(ctx, group)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return r.upstreamGroup(ctx, h, group)
	}
	return metadata{Plugins: &plugins{found}}.page(time.Time{})
}

// plugins are those of a group that have a version to offer.
func (r *Registry) plugins(ctx context.Context, group string) ([]plugin, error) {
	names, err := r.core.Names(ctx, purl.Maven, group+"/", "", maxNames)
	if err != nil {
		return nil, err
	}
	var out []plugin
	for _, name := range names {
		artifact, ok := strings.CutPrefix(name, group+"/")
		if !ok {
			continue
		}
		newest, err := r.newest(ctx, name, "maven-plugin")
		if err != nil {
			return nil, err
		}
		if newest == nil {
			continue
		}
		p := plugin{Name: newest.Title, Prefix: newest.Goal, Artifact: artifact}
		if p.Name == "" {
			p.Name = artifact
		}
		if p.Prefix == "" {
			p.Prefix = defaultPrefix(artifact)
		}
		out = append(out, p)
	}
	return out, nil
}

// defaultPrefix is what a plugin's goals begin with unless it says something else.
// Source: maven-plugin-tools, PluginDescriptor.getGoalPrefixFromArtifactId.
func defaultPrefix(artifact string) string {
	if p, ok := strings.CutSuffix(strings.TrimPrefix(artifact, "maven-"), "-plugin"); ok && strings.HasPrefix(artifact, "maven-") {
		return p
	}
	return strings.TrimSuffix(strings.TrimSuffix(artifact, "-plugin"), "-maven")
}

// newest returns the facts of the newest version that a name offers, if it is packed as wanted; else nil.
func (r *Registry) newest(ctx context.Context, name, packaging string) (*newestFacts, error) {
	o, err := r.offer(ctx, name)
	if err != nil {
		return nil, err
	}
	versions, _, err := r.versions(ctx, o)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	last := versions[len(versions)-1]
	out := newestFacts{version: last.name}
	for _, f := range last.files {
		if f.ArtifactType != "pom" && f.ArtifactType != "jar" {
			continue
		}
		one, err := r.stored.Get(ctx, f.Metadata)
		if err != nil {
			return nil, err
		}
		if f.ArtifactType == "pom" {
			out.Packaging, out.Title, out.Description = one.Packaging, one.Title, one.Description
		} else {
			out.Goal = one.Goal
		}
	}
	if out.Packaging != packaging {
		return nil, nil
	}
	return &out, nil
}

type newestFacts struct {
	facts
	version string
}
