package nuget

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
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
	v, err := parseVersion(c.Version)
	if err != nil || lower(c.ID) != name {
		return nil, false
	}
	content := o.Content
	if content == "" {
		content = c.Content
	}
	e := &entry{version: v, listed: c.Listed == nil || *c.Listed, metadata: c.metadata(v)}
	e.Version, e.File, e.PURL = v.key(), fileName(name, v.key(), packageType), purl.New(purl.NuGet, name, v.key())
	e.ArtifactType, e.MediaType, e.URL, e.Deprecated = packageType, contentType, index.Resolve(content), c.deprecated()
	if e.Published = c.Published; e.Published.Year() < unlistedYear {
		// Unlisting takes the time away. Were it believed, a version could be unlisted to be old at once.
		e.Published, e.listed = o.CommitTimeStamp, false
	}
	return e, content != ""
}

func (c *upstreamEntry) metadata(v version) *metadata {
	m := &metadata{
		ID: c.ID, Display: v.Full(), Title: clipTo(c.Title, maxPart), Authors: clipTo(strings.Join(c.Authors, ", "), maxText),
		Description: clipTo(c.Description, maxText), Summary: clipTo(c.Summary, maxText), Language: clipTo(c.Language, maxPart),
		ProjectURL: webAddress(c.ProjectURL), IconURL: webAddress(c.IconURL), LicenseURL: webAddress(c.LicenseURL), License: clipTo(c.License, maxPart),
		MinClient: clipTo(c.MinClient, maxPart), RequireLicenseAcceptance: c.Acceptance, SemVer2: v.semVer2(),
	}
	for _, tag := range c.Tags[:min(len(c.Tags), maxTags)] {
		if tag != "" {
			m.Tags = append(m.Tags, strings.TrimSpace(tag))
		}
	}
	for _, g := range c.Groups {
		group := dependencyGroup{Framework: g.Framework}
		for _, d := range g.Dependencies[:min(len(g.Dependencies), maxDeps)] {
			m.SemVer2 = m.SemVer2 || semVer2Range(d.Range)
			group.Dependencies = append(group.Dependencies, dependency{ID: d.ID, Range: d.Range})
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
	if d.IsOther = !d.IsLegacy && !d.HasCriticalBugs; c.Deprecation.Alternate != nil && checkName(c.Deprecation.Alternate.ID) == nil {
		d.AlternateID = c.Deprecation.Alternate.ID
	}
	return d.text()
}
