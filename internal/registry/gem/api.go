package gem

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// described is a version as the JSON API has it. Source: RubyGems guides, "RubyGems.org API".
type described struct {
	Name         string                    `json:"name"`
	Version      string                    `json:"version"`
	Number       string                    `json:"number,omitempty"`
	Platform     string                    `json:"platform"`
	Created      string                    `json:"created_at,omitempty"`
	Authors      string                    `json:"authors"`
	Info         string                    `json:"info"`
	Summary      string                    `json:"summary,omitempty"`
	Licenses     []string                  `json:"licenses"`
	Metadata     map[string]string         `json:"metadata"`
	Yanked       bool                      `json:"yanked"`
	SHA          string                    `json:"sha"`
	Prerelease   bool                      `json:"prerelease"`
	Ruby         string                    `json:"ruby_version"`
	Rubygems     string                    `json:"rubygems_version"`
	Project      string                    `json:"project_uri"`
	Gem          string                    `json:"gem_uri"`
	Homepage     string                    `json:"homepage_uri,omitempty"`
	Source       string                    `json:"source_code_uri,omitempty"`
	Dependencies map[string][]describedDep `json:"dependencies"`
}

type describedDep struct {
	Name        string `json:"name"`
	Requirement string `json:"requirements"`
}

func (r *Registry) describe(v version) described {
	s := v.spec
	d := described{
		Name: s.Name, Version: s.Version, Number: s.Version, Platform: s.Platform, Authors: strings.Join(s.Authors, ", "),
		Info: s.Description, Summary: s.Summary, Licenses: append([]string{}, s.Licenses...), Metadata: s.Metadata,
		SHA: v.sha256, Prerelease: gemspec.Prerelease(s.Version), Ruby: s.RequiredRuby.Join(", "), Rubygems: s.RequiredRubygems.Join(", "),
		Project: r.base + "api/v1/gems/" + s.Name + ".json", Gem: r.base + "gems/" + s.FullName() + ".gem",
		Homepage: s.Homepage, Source: s.Metadata["source_code_uri"],
		Dependencies: map[string][]describedDep{"development": {}, "runtime": {}},
	}
	if d.Info == "" {
		d.Info = s.Summary
	}
	if !v.Published.IsZero() {
		d.Created = v.Published.UTC().Format(time.RFC3339)
	}
	for _, dep := range s.Dependencies {
		d.Dependencies[dep.Kind()] = append(d.Dependencies[dep.Kind()], describedDep{dep.Name, dep.Requirement.Join(", ")})
	}
	return d
}

// inFile reads a name before ".json" in the path's last segment.
func inFile(req *http.Request) string { return strings.TrimSuffix(req.PathValue("file"), ".json") }

func namedInFile(req *http.Request) string { return normal(inFile(req)) }

// serveGemInfo answers GET /api/v1/gems/{name}.json.
func (r *Registry) serveGemInfo(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), inFile(req))
	if err != nil {
		return err
	}
	v, ok := o.newest()
	if !ok {
		return o.nothing()
	}
	return respondJSON(w, http.StatusOK, r.describe(v))
}

// serveVersionList answers GET /api/v1/versions/{name}.json, newest first.
func (r *Registry) serveVersionList(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), inFile(req))
	if err != nil {
		return err
	}
	if len(o.offered) == 0 {
		return o.nothing()
	}
	list := make([]described, len(o.offered))
	for i, v := range o.offered {
		list[i] = r.describe(v)
	}
	slices.SortStableFunc(list, func(a, b described) int { return gemspec.CompareVersions(b.Version, a.Version) })
	return respondJSON(w, http.StatusOK, list)
}

// serveLatest answers GET /api/v1/versions/{name}/latest.json.
func (r *Registry) serveLatest(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	v, ok := o.newest()
	if !ok {
		return o.nothing()
	}
	return respondJSON(w, http.StatusOK, map[string]string{"version": v.spec.Version})
}

// serveVersion answers GET /api/v2/rubygems/{name}/versions/{version}.json, with ?platform=.
func (r *Registry) serveVersion(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	v, found := o.find(gemspec.VersionKey(inFile(req), req.URL.Query().Get("platform")))
	if !found {
		return fault.New(fault.NotFound, "version-unknown", "This version could not be found.")
	}
	if err := r.visible(req.Context(), actor, o, v); err != nil {
		return err
	}
	return respondJSON(w, http.StatusOK, r.describe(v))
}

// serveAttestations answers GET /api/v1/attestations/{full name}.json with the bundles that came along.
func (r *Registry) serveAttestations(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, v, err := r.gemIn(req, ".json")
	if err != nil {
		return err
	}
	if err := r.visible(req.Context(), actor, o, v); err != nil {
		return err
	}
	bundles, err := r.readBundles(req.Context(), v.spec.Attestations)
	if err != nil {
		return err
	}
	return respondJSON(w, http.StatusOK, bundles)
}

const (
	searchPage = 30     // results on a page; rubygems.org has the same
	maxScanned = 10_000 // names that one search looks at
	maxQuery   = 200    // bytes
)

// search answers GET /api/v1/search.json: gems hosted here whose name has the text in it.
func (r *Registry) search(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	query := normal(req.URL.Query().Get("query"))
	page, _ := strconv.Atoi(req.URL.Query().Get("page"))
	skip := (min(max(page, 1), maxScanned) - 1) * searchPage
	names, err := r.core.Names(req.Context(), purl.Gem, query[:min(len(query), maxQuery)], "", maxScanned)
	if err != nil {
		return err
	}
	found := []described{}
	for _, name := range names {
		if len(found) == searchPage {
			break
		}
		if r.core.MayRead(req.Context(), actor, purl.Gem, name) != nil {
			continue
		}
		o, err := r.offerOf(req.Context(), name)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				return err
			}
			continue
		}
		v, ok := o.newest()
		if !ok {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		found = append(found, r.describe(v))
	}
	return respondJSON(w, http.StatusOK, found)
}

// serveMine answers GET /api/v1/gems.json: the gems that the caller may publish.
func (r *Registry) serveMine(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	names, err := r.core.Names(req.Context(), purl.Gem, "", "", maxScanned)
	if err != nil {
		return err
	}
	mine := []described{}
	for _, name := range names {
		if !r.core.MayPublish(req.Context(), actor, purl.Gem, name) {
			continue
		}
		o, err := r.offerOf(req.Context(), name)
		if err != nil && fault.KindOf(err) == fault.Internal {
			return err
		}
		if err != nil || !o.hosted {
			continue
		}
		if v, ok := o.newest(); ok {
			mine = append(mine, r.describe(v))
		}
	}
	return respondJSON(w, http.StatusOK, mine)
}

// apiRoutes are the JSON API.
func (r *Registry) apiRoutes() []registry.Route {
	g := r.guard()
	const read, own = evidence.Read, evidence.Own
	return []registry.Route{
		g.Account("GET", "/api/v1/gems.json", r.serveMine),
		g.Named("GET", "/api/v1/gems/{file}", read, namedInFile, r.serveGemInfo),
		g.Named("GET", "/api/v1/versions/{file}", read, namedInFile, r.serveVersionList),
		g.Named("GET", "/api/v1/versions/{name}/latest.json", read, named, r.serveLatest),
		g.Named("GET", "/api/v2/rubygems/{name}/versions/{file}", read, named, r.serveVersion),
		g.Named("GET", "/api/v1/attestations/{file}", read, r.byFile(".json"), r.serveAttestations),
		g.Visitor("GET", "/api/v1/search.json", r.search),

		g.Named("GET", "/api/v1/gems/{name}/owners.json", read, named, r.serveOwners),
		g.Named("GET", "/api/v1/gems/{name}/owners.yaml", read, named, r.serveOwners),
		g.Named("POST", "/api/v1/gems/{name}/owners", own, named, g.StepUp(r.setOwner(true))),
		g.Named("DELETE", "/api/v1/gems/{name}/owners", own, named, g.StepUp(r.setOwner(false))),
		g.Named("GET", "/api/v1/gems/{name}/trusted_publishers", own, named, r.listTrusted),
		g.Named("POST", "/api/v1/gems/{name}/trusted_publishers", own, named, g.StepUp(r.addTrusted)),
		g.Named("DELETE", "/api/v1/gems/{name}/trusted_publishers/{id}", own, named, g.StepUp(r.removeTrusted)),
	}
}
