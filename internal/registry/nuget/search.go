package nuget

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

const (
	searchPage = 20   // results when the client does not say
	maxPage    = 1000 // most results at a time; nuget.org has the same
	// maxScanned bounds how many names one search looks at: a private name costs a look too.
	maxScanned = 10_000
	maxQuery   = 512 // bytes of a search text that are looked at
)

// found is one search result. Source: NuGet docs, "Search".
type found struct {
	ID             string          `json:"@id"`
	Type           string          `json:"@type"`
	Registration   string          `json:"registration"`
	PackageID      string          `json:"id"`
	Version        string          `json:"version"`
	Title          string          `json:"title,omitempty"`
	Description    string          `json:"description"`
	Summary        string          `json:"summary"`
	IconURL        string          `json:"iconUrl,omitempty"`
	LicenseURL     string          `json:"licenseUrl,omitempty"`
	ProjectURL     string          `json:"projectUrl,omitempty"`
	Tags           []string        `json:"tags"`
	Authors        []string        `json:"authors"`
	Owners         []string        `json:"owners"`
	TotalDownloads int             `json:"totalDownloads"`
	Verified       bool            `json:"verified"` // somebody here owns the name or its prefix
	PackageTypes   []packageKind   `json:"packageTypes"`
	Versions       []foundVersion  `json:"versions"`
	Deprecation    *deprecation    `json:"deprecation,omitempty"`
	Vulnerable     []vulnerability `json:"vulnerabilities"`
}

type packageKind struct {
	Name string `json:"name"`
}

type foundVersion struct {
	ID        string `json:"@id"`
	Version   string `json:"version"`
	Downloads int    `json:"downloads"`
}

// query is what a search asks for.
type query struct {
	words      []string
	exact      string // a package id
	prerelease bool
	semVer2    bool
	kind       string // package type, lower case
	skip, take int
}

// parseQuery reads what clients send. Of nuget.org's fields it knows id and packageid; the other words are
// looked for in names. Source: NuGet docs, "Search".
func parseQuery(req *http.Request) query {
	v := req.URL.Query()
	q := query{
		prerelease: v.Get("prerelease") == "true", kind: lower(v.Get("packageType")),
		skip: number(v.Get("skip"), 0, maxScanned), take: number(v.Get("take"), searchPage, maxPage),
	}
	if level, err := nupkg.ParseVersion(v.Get("semVerLevel")); err == nil {
		q.semVer2 = level.Numbers[0] >= 2
	}
	text := v.Get("q")
	for _, word := range strings.Fields(lower(text[:min(len(text), maxQuery)])) {
		field, value, qualified := strings.Cut(word, ":")
		value = strings.Trim(value, `"`)
		switch {
		case !qualified:
			q.words = append(q.words, strings.Trim(word, `"*`))
		case field == "packageid":
			q.exact = value
		case field == "id":
			q.words = append(q.words, value)
		}
	}
	return q
}

// number reads a query parameter that counts something.
func number(s string, otherwise, most int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return otherwise
	}
	return min(n, most)
}

func (q query) matches(name string) bool {
	if q.exact != "" && name != q.exact {
		return false
	}
	for _, word := range q.words {
		if !strings.Contains(name, word) {
			return false
		}
	}
	return true
}

// form names the results of a query that differ only in the name.
func (q query) form() string { return fmt.Sprintf("search %t %t %s", q.prerelease, q.semVer2, q.kind) }

// search answers GET query: packages that are hosted or kept here, whose name contains every word and that
// the caller may see, by name. The total counts what was found up to the end of the page.
func (r *Registry) search(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q := parseQuery(req)
	data, err := r.results(req.Context(), actor, q)
	if err != nil {
		return err
	}
	page := data[min(q.skip, len(data)):]
	return r.respond(w, map[string]any{"totalHits": len(data), "data": append([]json.RawMessage{}, page...)})
}

// results are the results of a query up to the end of its page.
func (r *Registry) results(ctx context.Context, actor evidence.Actor, q query) ([]json.RawMessage, error) {
	first := q.exact
	if first == "" && len(q.words) > 0 {
		first = q.words[0]
	}
	names, err := r.core.AllNames(ctx, purl.NuGet, first, "", maxScanned)
	if err != nil {
		return nil, err
	}
	var out []json.RawMessage
	for _, name := range names {
		if len(out) == q.skip+q.take {
			break
		}
		if !q.matches(name) || r.core.MayRead(ctx, actor, purl.NuGet, name) != nil {
			continue
		}
		page, err := r.page(ctx, name, q.form(), func(o *offer) (any, error) { return r.found(o, q), nil })
		if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Policy || kind == fault.Unavailable) {
			continue // nothing of it is offered
		}
		if err != nil {
			return nil, err
		}
		if body := page.Body(); string(body) != "null\n" {
			out = append(out, json.RawMessage(body))
		}
	}
	return out, nil
}

// found is a name's result, or nil when no version is what is asked for.
func (r *Registry) found(o *offer, q query) *found {
	all := o.only(func(e *entry) bool {
		return e.listed && (q.prerelease || !e.version.Prerelease()) && (q.semVer2 || !e.SemVer2) && (q.kind == "" || e.is(q.kind))
	})
	if len(all) == 0 {
		return nil
	}
	h := hives()[0]
	if q.semVer2 {
		h = hives()[2]
	}
	newest := all[len(all)-1]
	f := &found{
		ID: r.indexAddress(h, o.name), Type: "Package", Registration: r.indexAddress(h, o.name), PackageID: newest.ID, Version: newest.Display,
		Title: newest.Title, Description: newest.Description, Summary: newest.Summary, IconURL: newest.IconURL, LicenseURL: newest.LicenseURL,
		ProjectURL: newest.ProjectURL, Tags: append([]string{}, newest.Tags...), Authors: []string{}, Owners: []string{}, Verified: o.owner != "",
		PackageTypes: []packageKind{}, Deprecation: deprecationOf(newest.Deprecated), Vulnerable: append([]vulnerability{}, r.vulnerabilities(o.name, newest.Version)...),
	}
	for author := range strings.SplitSeq(newest.Authors, ",") {
		if author = strings.TrimSpace(author); author != "" {
			f.Authors = append(f.Authors, author)
		}
	}
	if o.owner != "" {
		f.Owners = []string{o.owner}
	}
	for _, kind := range newest.kinds() {
		f.PackageTypes = append(f.PackageTypes, packageKind{kind})
	}
	for _, e := range all {
		f.Versions = append(f.Versions, foundVersion{ID: r.base + h.path + o.name + "/" + e.Version + ".json", Version: e.Display})
	}
	return f
}

// kinds are the package types; without any a package is a dependency.
func (e *entry) kinds() []string {
	if len(e.Types) == 0 {
		return []string{"Dependency"}
	}
	return e.Types
}

func (e *entry) is(kind string) bool {
	for _, k := range e.kinds() {
		if lower(k) == kind {
			return true
		}
	}
	return false
}

// complete answers GET autocomplete: ids that contain a text, or the versions of one id.
// Source: NuGet docs, "Autocomplete".
func (r *Registry) complete(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q := parseQuery(req)
	if id := req.URL.Query().Get("id"); id != "" {
		return r.completeVersions(w, req, actor, lower(id), q)
	}
	results, err := r.results(req.Context(), actor, q)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, raw := range results[min(q.skip, len(results)):] {
		var f struct{ ID string }
		if err := json.Unmarshal(raw, &f); err != nil {
			return err
		}
		ids = append(ids, f.ID)
	}
	return r.respond(w, map[string]any{"totalHits": len(results), "data": ids})
}

// completeVersions tells nobody of names that they may not see.
func (r *Registry) completeVersions(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name string, q query) error {
	versions := []string{}
	if r.core.MayRead(req.Context(), actor, purl.NuGet, name) == nil {
		o, err := r.offer(req.Context(), name)
		if kind := fault.KindOf(err); err != nil && kind != fault.NotFound && kind != fault.Policy {
			return err
		}
		if err == nil {
			for _, e := range o.entries {
				if e.listed && (q.prerelease || !e.version.Prerelease()) && (q.semVer2 || !e.SemVer2) {
					versions = append(versions, e.Display)
				}
			}
		}
	}
	return r.respond(w, map[string]any{"totalHits": len(versions), "data": versions})
}
