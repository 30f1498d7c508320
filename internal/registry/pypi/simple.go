package pypi

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// Media types of the simple index. Source: PEP 691.
const (
	typeJSON = "application/vnd.pypi.simple.v1+json"
	typeHTML = "application/vnd.pypi.simple.v1+html"
	typeText = "text/html; charset=utf-8"
)

// The versions of the index: HTML stays where it is (PEP 833), JSON has the prefixes of PEP 752 besides.
const (
	versionHTML = "1.4"
	versionJSON = "1.5"
)

// indexForm returns the media type that a client wants most of those that there are. Source: PEP 691,
// "Version + Format Selection".
func indexForm(req *http.Request) (string, error) {
	if f := req.URL.Query().Get("format"); f != "" {
		return chosen(f)
	}
	accept := req.Header.Get("Accept")
	if accept == "" {
		return typeText, nil
	}
	best, weight := "", 0.0
	for one := range strings.SplitSeq(accept, ",") {
		kind, params, _ := strings.Cut(one, ";")
		form, err := chosen(strings.ToLower(strings.TrimSpace(kind)))
		if err != nil {
			continue
		}
		q := 1.0
		if _, v, ok := strings.Cut(params, "q="); ok {
			if q, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
				continue
			}
		}
		if q > weight {
			best, weight = form, q
		}
	}
	if best == "" {
		return "", fault.New(fault.Invalid, "format-unknown", "the index comes as %s, %s and text/html", typeJSON, typeHTML)
	}
	return best, nil
}

func chosen(kind string) (string, error) {
	switch kind {
	case typeJSON, "application/vnd.pypi.simple.latest+json", "application/json":
		return typeJSON, nil
	case typeHTML, "application/vnd.pypi.simple.latest+html":
		return typeHTML, nil
	case "text/html", "text/*", "*/*":
		return typeText, nil
	}
	return "", fault.New(fault.Invalid, "format-unknown", "the index has no form %q", fault.Clip(kind))
}

// redirectIndex answers GET /simple/{name}. Source: PEP 503.
func (r *Registry) redirectIndex(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name := pathName(req)
	if hosted, err := r.core.Hosted(req.Context(), purl.PyPI, name); err != nil {
		return err
	} else if !hosted && r.config.Upstream == nil {
		return nameUnknown(name)
	}
	return r.toIndex(w, name)
}

func (r *Registry) toIndex(w http.ResponseWriter, name string) error {
	w.Header().Set("Location", r.config.PublicURL+"simple/"+url.PathEscape(name)+"/")
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

// serveIndex answers GET /simple/{name}/.
func (r *Registry) serveIndex(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name := pathName(req)
	if req.PathValue("name") != name {
		return r.toIndex(w, name)
	}
	form, err := indexForm(req)
	if err != nil {
		return err
	}
	page, asked, err := r.page(req.Context(), name, form, func(p *project) ([]byte, string, error) {
		if form == typeJSON {
			raw, err := p.json(r.config.PublicURL)
			return raw, form, err
		}
		return p.html(r.config.PublicURL), form, nil
	})
	if err != nil {
		return err
	}
	r.serve(w, req, page, asked)
	return nil
}

// page returns a rendered page of a project, hosted or an upstream's, and when an upstream that does not answer said
// what it was made from; else zero.
func (r *Registry) page(ctx context.Context, name, form string, render func(*project) ([]byte, string, error)) (*registry.Page, time.Time, error) {
	var asked time.Time
	state, err := r.core.State(ctx, purl.PyPI, name)
	if err != nil {
		return nil, asked, err
	}
	find := r.project
	if hosted, err := r.core.Hosted(ctx, purl.PyPI, name); err != nil {
		return nil, asked, err
	} else if !hosted && r.config.Upstream != nil {
		l, doc, err := r.listing(ctx, name)
		if err != nil {
			return nil, asked, err
		}
		if doc.Stale {
			asked = doc.Asked
		}
		state += " " + string(l.digest)
		find = func(ctx context.Context, name string) (*project, error) { return r.upstreamProject(ctx, name, l) }
	}
	page, err := r.pages.Get(ctx, purl.PyPI, name, form, state, func(ctx context.Context) (*registry.Page, error) {
		p, err := find(ctx, name)
		if err != nil {
			return nil, err
		}
		body, contentType, err := render(p)
		if err != nil {
			return nil, err
		}
		return registry.NewPage(contentType, body, p.until, nil), nil
	})
	return page, asked, err
}

// serve sends a page; a stale one says its age.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request, page *registry.Page, asked time.Time) {
	if !asked.IsZero() {
		registry.SayAge(w.Header(), asked, r.clock.Now())
	}
	page.Serve(w, req)
}

// fileURL is where a file is, relative to its project's page: so it is right behind any proxy.
func fileURL(name, file string) string {
	return "../../files/" + url.PathEscape(name) + "/" + url.PathEscape(file)
}

// The simple index in JSON. Source: PEP 691, 700, 714, 740, 752, 792.
type (
	indexJSON struct {
		Meta       meta          `json:"meta"`
		Name       string        `json:"name"`
		Versions   []string      `json:"versions"`
		Files      []fileJSON    `json:"files"`
		Status     statusJSON    `json:"project-status"`
		Namespaces []ownedPrefix `json:"namespaces"`
	}
	meta struct {
		Version string `json:"api-version"`
	}
	statusJSON struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	fileJSON struct {
		Name           string            `json:"filename"`
		URL            string            `json:"url"`
		Hashes         map[string]string `json:"hashes"`
		RequiresPython string            `json:"requires-python,omitempty"`
		Size           int64             `json:"size"`
		Uploaded       string            `json:"upload-time,omitempty"`
		Yanked         any               `json:"yanked"`
		Core           any               `json:"core-metadata"`
		OldCore        any               `json:"data-dist-info-metadata"` // what PEP 714 renamed
		Provenance     *string           `json:"provenance"`
	}
)

func (p *project) json(base string) ([]byte, error) {
	out := indexJSON{
		Meta: meta{versionJSON}, Name: p.name, Versions: p.versions(), Files: make([]fileJSON, len(p.files)),
		Status: statusJSON{p.status, p.reason}, Namespaces: p.prefixes,
	}
	for i, f := range p.files {
		j := fileJSON{
			Name: f.File, URL: f.url, Hashes: map[string]string{"sha256": f.sha256}, RequiresPython: f.RequiresPython, Size: f.Size,
			Uploaded: f.Published.UTC().Format("2006-01-02T15:04:05.000000Z"), Yanked: false, Core: false, OldCore: false,
		}
		if f.Unlisted != "" {
			j.Yanked = f.Unlisted
		}
		if sum := f.coreSum(); sum != "" {
			j.Core = map[string]string{"sha256": sum}
			j.OldCore = j.Core
		}
		if address := p.provenance(base, f); address != "" {
			j.Provenance = &address
		}
		out.Files[i] = j
	}
	return json.Marshal(out)
}

// coreSum is the digest of the file's metadata where clients may ask for it alone: of a wheel. That of a source
// distribution may be another one once it is built. Source: PEP 658.
func (f file) coreSum() string {
	if f.ArtifactType != string(dist.Wheel) || f.Core == "" {
		return ""
	}
	return f.Core.Hex()
}

// provenance is the whole address of a file's attestations, or empty when it has none.
func (p *project) provenance(base string, f file) string {
	if f.Provenance == "" {
		return ""
	}
	return base + provenancePath(p.name, f.Version, f.File)
}

// html renders the index as PEP 503 has it, with the attributes of PEP 592, 629, 714, 740 and 792.
func (p *project) html(base string) []byte {
	var b bytes.Buffer
	b.WriteString("<!DOCTYPE html>\n<html><head>\n<meta name=\"pypi:repository-version\" content=\"" + versionHTML + "\">\n")
	b.WriteString("<meta name=\"pypi:project-status\" content=\"" + p.status + "\">\n")
	if p.reason != "" {
		b.WriteString("<meta name=\"pypi:project-status-reason\" content=\"" + html.EscapeString(p.reason) + "\">\n")
	}
	b.WriteString("<title>Links for " + html.EscapeString(p.name) + "</title>\n</head><body>\n<h1>Links for " + html.EscapeString(p.name) + "</h1>\n")
	for _, f := range p.files {
		b.WriteString(`<a href="` + html.EscapeString(f.url))
		if f.sha256 != "" {
			b.WriteString("#sha256=" + f.sha256)
		}
		b.WriteString(`"`)
		attribute := func(key, value string) { b.WriteString(" " + key + `="` + html.EscapeString(value) + `"`) }
		if f.RequiresPython != "" {
			attribute("data-requires-python", f.RequiresPython)
		}
		if sum := f.coreSum(); sum != "" {
			attribute("data-core-metadata", "sha256="+sum)
			attribute("data-dist-info-metadata", "sha256="+sum)
		}
		if address := p.provenance(base, f); address != "" {
			attribute("data-provenance", address)
		}
		if f.Unlisted != "" {
			attribute("data-yanked", f.Unlisted)
		}
		b.WriteString(">" + html.EscapeString(f.File) + "</a><br>\n")
	}
	b.WriteString("</body></html>\n")
	return b.Bytes()
}

// namesPage is how many names the list of all has.
const namesPage = 100_000

// serveNames answers GET /simple/ with the names that the caller may see.
func (r *Registry) serveNames(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	form, err := indexForm(req)
	if err != nil {
		return err
	}
	names, err := r.core.NamesSeen(req.Context(), actor, purl.PyPI, "", namesPage)
	if err != nil {
		return err
	}
	type entry struct {
		Name string `json:"name"`
	}
	seen := []entry{}
	for _, name := range names {
		seen = append(seen, entry{name})
	}
	var body []byte
	if form == typeJSON {
		body, err = json.Marshal(map[string]any{"meta": meta{versionJSON}, "projects": seen})
		if err != nil {
			return err
		}
	} else {
		var b bytes.Buffer
		b.WriteString("<!DOCTYPE html>\n<html><head>\n<meta name=\"pypi:repository-version\" content=\"" + versionHTML + "\">\n<title>Simple index</title>\n</head><body>\n")
		for _, e := range seen {
			b.WriteString(`<a href="` + e.Name + `/">` + e.Name + "</a><br>\n")
		}
		b.WriteString("</body></html>\n")
		body = b.Bytes()
	}
	registry.NewPage(form, body, time.Time{}, nil).Serve(w, req)
	return nil
}
