package nuget

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// pageSize is how many versions a page of a registration has; up to so many are in the index itself.
// nuget.org has the same.
const pageSize = 64

// What follows is the form of registrations. Source: NuGet docs, "Package metadata".

type registrationIndex struct {
	ID    string              `json:"@id"`
	Type  []string            `json:"@type"`
	Count int                 `json:"count"`
	Items []*registrationPage `json:"items"`
}

type registrationPage struct {
	ID     string         `json:"@id"`
	Type   string         `json:"@type"`
	Parent string         `json:"parent"`
	Count  int            `json:"count"`
	Lower  string         `json:"lower"`
	Upper  string         `json:"upper"`
	Items  []registration `json:"items,omitempty"`
}

type registration struct {
	ID              string       `json:"@id"`
	Type            string       `json:"@type"`
	CommitTimeStamp string       `json:"commitTimeStamp"`
	Entry           catalogEntry `json:"catalogEntry"`
	PackageContent  string       `json:"packageContent"`
	Registration    string       `json:"registration"`
}

type catalogEntry struct {
	ID                       string             `json:"@id"`
	Type                     string             `json:"@type"`
	PackageID                string             `json:"id"`
	Version                  string             `json:"version"`
	Title                    string             `json:"title,omitempty"`
	Authors                  string             `json:"authors"`
	Description              string             `json:"description"`
	Summary                  string             `json:"summary,omitempty"`
	Language                 string             `json:"language,omitempty"`
	ProjectURL               string             `json:"projectUrl,omitempty"`
	IconURL                  string             `json:"iconUrl,omitempty"`
	LicenseURL               string             `json:"licenseUrl,omitempty"`
	License                  string             `json:"licenseExpression,omitempty"`
	ReadmeURL                string             `json:"readmeUrl,omitempty"`
	MinClient                string             `json:"minClientVersion,omitempty"`
	RequireLicenseAcceptance bool               `json:"requireLicenseAcceptance"`
	Tags                     []string           `json:"tags"`
	Listed                   bool               `json:"listed"`
	Published                string             `json:"published"`
	PackageContent           string             `json:"packageContent"`
	Groups                   []registrationDeps `json:"dependencyGroups,omitempty"`
	Deprecation              *deprecation       `json:"deprecation,omitempty"`
	Vulnerabilities          []vulnerability    `json:"vulnerabilities,omitempty"`
}

type registrationDeps struct {
	Type         string                   `json:"@type"`
	Framework    string                   `json:"targetFramework,omitempty"`
	Dependencies []registrationDependency `json:"dependencies,omitempty"`
}

type registrationDependency struct {
	Type         string `json:"@type"`
	ID           string `json:"id"`
	Range        string `json:"range"`
	Registration string `json:"registration"`
}

// unlistedTime is what clients that do not know "listed" tell an unlisted version by.
const unlistedTime = "1900-01-01T00:00:00+00:00"

// timestamp is the form of times. Source: NuGet docs, "Package metadata".
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000+00:00") }

// serveRegistration answers GET registration…/{id}/{file}: the index, or one version.
func (r *Registry) serveRegistration(h hive) func(http.ResponseWriter, *http.Request, evidence.Actor) error {
	return func(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
		name, file := pathName(req), req.PathValue("file")
		if file != "index.json" {
			return r.serveLeaf(w, req, h)
		}
		page, err := r.page(req.Context(), name, h.path+file, func(o *offer) (any, error) { return r.registrationIndex(o, h), nil })
		if err != nil {
			return err
		}
		page.Serve(w, req)
		return nil
	}
}

// serveRegistrationPage answers GET registration…/{id}/page/{lower}/{upper}.
func (r *Registry) serveRegistrationPage(h hive) func(http.ResponseWriter, *http.Request, evidence.Actor) error {
	return func(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
		name, bounds := pathName(req), req.PathValue("lower")+"/"+req.PathValue("upper")
		page, err := r.page(req.Context(), name, h.path+bounds, func(o *offer) (any, error) {
			for i, page := range r.registrationPages(o, h) {
				if strings.HasSuffix(page.ID, "/page/"+bounds) {
					page.Items = r.leaves(o, h, i)
					return page, nil
				}
			}
			return nil, fault.New(fault.NotFound, "version-unknown", "%s has no page of versions from %s; ask its registration again", name, fault.Clip(bounds))
		})
		if err != nil {
			return err
		}
		page.Serve(w, req)
		return nil
	}
}

// in are the versions of an offer that a hive shows.
func (h hive) in(o *offer) []*entry {
	return o.only(func(e *entry) bool { return h.semVer2 || !e.SemVer2 })
}

func (r *Registry) indexAddress(h hive, name string) string {
	return r.base + h.path + name + "/index.json"
}

// registrationPages returns the pages without their versions.
func (r *Registry) registrationPages(o *offer, h hive) []*registrationPage {
	index := r.indexAddress(h, o.name)
	var pages []*registrationPage
	for chunk := range slices.Chunk(h.in(o), pageSize) {
		low, high := chunk[0].version.Key(), chunk[len(chunk)-1].version.Key()
		pages = append(pages, &registrationPage{
			ID: fmt.Sprintf("%s%s%s/page/%s/%s.json", r.base, h.path, o.name, low, high), Type: "catalog:CatalogPage", Parent: index,
			Count: len(chunk), Lower: low, Upper: high,
		})
	}
	return pages
}

// leaves are the versions on a page.
func (r *Registry) leaves(o *offer, h hive, page int) []registration {
	all := h.in(o)
	all = all[page*pageSize : min(len(all), (page+1)*pageSize)]
	out := make([]registration, len(all))
	for i, e := range all {
		out[i] = r.registration(o.name, h, e)
	}
	return out
}

func (r *Registry) registrationIndex(o *offer, h hive) *registrationIndex {
	index := &registrationIndex{
		ID: r.indexAddress(h, o.name), Type: []string{"catalog:CatalogRoot", "PackageRegistration", "catalog:Permalink"}, Items: r.registrationPages(o, h),
	}
	index.Count = len(index.Items)
	if len(index.Items) == 1 {
		index.Items[0].Items = r.leaves(o, h, 0)
	}
	if index.Items == nil {
		index.Items = []*registrationPage{}
	}
	return index
}

func (r *Registry) registration(name string, h hive, e *entry) registration {
	return registration{
		ID: r.base + h.path + name + "/" + e.Version + ".json", Type: "Package", CommitTimeStamp: timestamp(e.Published),
		Entry: r.catalogEntry(name, h, e), PackageContent: r.contentAddress(name, e.Version), Registration: r.indexAddress(h, name),
	}
}

func (r *Registry) contentAddress(name, version string) string {
	return r.base + flatPath + name + "/" + version + "/" + fileName(name, version, packageType)
}

func (r *Registry) catalogEntry(name string, h hive, e *entry) catalogEntry {
	c := catalogEntry{
		ID: r.base + catalogPath + name + "/" + e.Version + ".json", Type: "PackageDetails",
		PackageID: e.ID, Version: e.Display, Title: e.Title, Authors: e.Authors, Description: e.Description, Summary: e.Summary,
		Language: e.Language, ProjectURL: e.ProjectURL, IconURL: e.IconURL, LicenseURL: e.LicenseURL, License: e.License,
		MinClient: e.MinClient, RequireLicenseAcceptance: e.RequireLicenseAcceptance, Tags: e.Tags, Listed: e.listed,
		Published: timestamp(e.Published), PackageContent: r.contentAddress(name, e.Version),
		Deprecation: deprecationOf(e.Deprecated), Vulnerabilities: r.vulnerabilities(name, e.Version),
	}
	if !e.listed {
		c.Published = unlistedTime
	}
	if c.Tags == nil {
		c.Tags = []string{}
	}
	if e.Readme != "" {
		c.ReadmeURL = r.base + flatPath + name + "/" + e.Version + "/readme"
	}
	for _, g := range e.Groups {
		deps := registrationDeps{Type: "PackageDependencyGroup", Framework: g.Framework}
		for _, d := range g.Dependencies {
			deps.Dependencies = append(deps.Dependencies, registrationDependency{
				Type: "PackageDependency", ID: d.ID, Range: d.Range, Registration: r.indexAddress(h, lower(d.ID)),
			})
		}
		c.Groups = append(c.Groups, deps)
	}
	return c
}

// leaf is one version's own document.
type leaf struct {
	ID             string   `json:"@id"`
	Type           []string `json:"@type"`
	CatalogEntry   string   `json:"catalogEntry"`
	Listed         bool     `json:"listed"`
	PackageContent string   `json:"packageContent"`
	Published      string   `json:"published"`
	Registration   string   `json:"registration"`
}

func (r *Registry) serveLeaf(w http.ResponseWriter, req *http.Request, h hive) error {
	name := pathName(req)
	e, err := r.offered(req, name, strings.TrimSuffix(req.PathValue("file"), ".json"))
	if err != nil {
		return err
	}
	entry := r.catalogEntry(name, h, e)
	return r.respond(w, leaf{
		ID: r.base + h.path + name + "/" + e.Version + ".json", Type: []string{"Package", "http://schema.nuget.org/catalog#Permalink"},
		CatalogEntry: entry.ID, Listed: entry.Listed, PackageContent: entry.PackageContent, Published: entry.Published,
		Registration: r.indexAddress(h, name),
	})
}

// encode writes JSON without escapes for HTML: addresses have ampersands.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
