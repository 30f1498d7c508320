package nuget

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// many is a list that JSON-LD may write as its only element.
type many[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (m *many[T]) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("[")) || bytes.Equal(data, []byte("null")) {
		return json.Unmarshal(data, (*[]T)(m))
	}
	*m = make([]T, 1)
	return json.Unmarshal(data, &(*m)[0])
}

// words is a list of strings that some servers write as one.
type words []string

// UnmarshalJSON implements json.Unmarshaler. What is neither is no reason to refuse a package.
func (w *words) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*w = strings.FieldsFunc(one, func(r rune) bool { return r == ',' || r == ';' })
		return nil
	}
	if json.Unmarshal(data, (*[]string)(w)) != nil {
		*w = nil
	}
	return nil
}

// upstreamEntry is a version as registrations describe it. Source: NuGet docs, "Package metadata".
type upstreamEntry struct {
	ID          string    `json:"id"`
	Version     string    `json:"version"`
	Title       string    `json:"title"`
	Authors     words     `json:"authors"`
	Description string    `json:"description"`
	Summary     string    `json:"summary"`
	Language    string    `json:"language"`
	ProjectURL  string    `json:"projectUrl"`
	IconURL     string    `json:"iconUrl"`
	LicenseURL  string    `json:"licenseUrl"`
	License     string    `json:"licenseExpression"`
	MinClient   string    `json:"minClientVersion"`
	Tags        words     `json:"tags"`
	Acceptance  bool      `json:"requireLicenseAcceptance"`
	Listed      *bool     `json:"listed"`
	Published   time.Time `json:"published"`
	Content     string    `json:"packageContent"`
	Groups      many[struct {
		Framework    string `json:"targetFramework"`
		Dependencies many[struct {
			ID    string `json:"id"`
			Range string `json:"range"`
		}] `json:"dependencies"`
	}] `json:"dependencyGroups"`
	Deprecation *struct {
		Reasons   words    `json:"reasons"`
		Message   string   `json:"message"`
		Alternate *instead `json:"alternatePackage"`
	} `json:"deprecation"`
}

// unlistedYear is the year before which nothing was published: unlisted versions have such a time.
const unlistedYear = 1901

// entry is the version in our words, unless it is none of the name's.
func (o upstreamOffers) entry(name string, index *registry.Document) (*entry, bool) {
	c := &o.Entry
	v, err := nupkg.ParseVersion(c.Version)
	if err != nil || lower(c.ID) != name {
		return nil, false
	}
	content := o.Content
	if content == "" {
		content = c.Content
	}
	e := &entry{version: v, listed: c.Listed == nil || *c.Listed, metadata: c.metadata(v)}
	e.Version, e.File, e.PURL = v.Key(), fileName(name, v.Key(), packageType), purl.New(purl.NuGet, name, v.Key())
	e.ArtifactType, e.MediaType, e.URL, e.Deprecated = packageType, contentType, index.Resolve(content), c.deprecated()
	if e.Published = c.Published; e.Published.Year() < unlistedYear {
		// Unlisting takes the time away. Were it believed, a version could be unlisted to be old at once.
		e.Published, e.listed = o.CommitTimeStamp, false
	}
	return e, content != ""
}

func (c *upstreamEntry) metadata(v nupkg.Version) *metadata {
	m := &metadata{
		ID: c.ID, Display: v.Full(), Title: clipTo(c.Title, nupkg.MaxPart), Authors: clipTo(strings.Join(c.Authors, ", "), nupkg.MaxText),
		Description: clipTo(c.Description, nupkg.MaxText), Summary: clipTo(c.Summary, nupkg.MaxText), Language: clipTo(c.Language, nupkg.MaxPart),
		ProjectURL: nupkg.WebAddress(c.ProjectURL), IconURL: nupkg.WebAddress(c.IconURL), LicenseURL: nupkg.WebAddress(c.LicenseURL), License: clipTo(c.License, nupkg.MaxPart),
		MinClient: clipTo(c.MinClient, nupkg.MaxPart), RequireLicenseAcceptance: c.Acceptance, SemVer2: v.SemVer2(),
	}
	for _, tag := range c.Tags[:min(len(c.Tags), nupkg.MaxTags)] {
		if tag != "" {
			m.Tags = append(m.Tags, strings.TrimSpace(tag))
		}
	}
	for _, g := range c.Groups {
		group := nupkg.DependencyGroup{Framework: g.Framework}
		for _, d := range g.Dependencies[:min(len(g.Dependencies), nupkg.MaxDeps)] {
			m.SemVer2 = m.SemVer2 || nupkg.SemVer2Range(d.Range)
			group.Dependencies = append(group.Dependencies, nupkg.Dependency{ID: d.ID, Range: d.Range})
		}
		m.Groups = append(m.Groups, group)
	}
	return m
}

// clipTo cuts a text at a number of bytes, and no character in two.
func clipTo(s string, limit int) string { return strings.ToValidUTF8(s[:min(len(s), limit)], "") }

// deprecated is the upstream's deprecation in the form in which the core keeps ours.
func (c *upstreamEntry) deprecated() string {
	if c.Deprecation == nil {
		return ""
	}
	d := deprecate{
		IsLegacy: slices.Contains(c.Deprecation.Reasons, "Legacy"), HasCriticalBugs: slices.Contains(c.Deprecation.Reasons, "CriticalBugs"),
		Message: clipTo(c.Deprecation.Message, maxMessage),
	}
	if d.IsOther = !d.IsLegacy && !d.HasCriticalBugs; c.Deprecation.Alternate != nil && nupkg.CheckName(c.Deprecation.Alternate.ID) == nil {
		d.AlternateID = c.Deprecation.Alternate.ID
	}
	return d.text()
}
