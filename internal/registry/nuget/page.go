package nuget

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// The pages that clients link to: of a package, of where to report it, of an owner. They have no script.
var pages = template.Must(template.New("").Parse(`{{define "top"}}<!doctype html><html lang="en"><meta charset="utf-8"><title>{{.}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}dt{font-weight:600}code{background:#eee;padding:.1rem .3rem}</style><h1>{{.}}</h1>{{end}}
{{define "package"}}{{template "top" .Title}}<p>{{.Entry.Description}}</p><dl>
<dt>Install</dt><dd><code>dotnet add package {{.Entry.ID}} --version {{.Version}}</code></dd>
<dt>Authors</dt><dd>{{.Entry.Authors}}</dd>{{if .Owner}}<dt>Owner</dt><dd><a href="{{.OwnerURL}}">{{.Owner}}</a></dd>{{end}}
<dt>Published</dt><dd>{{.Published}}{{if .Entry.Release.Publisher}} by {{.Entry.Release.Publisher}}{{end}}</dd>
{{if .Entry.Author}}<dt>Signed by</dt><dd>{{.Entry.Author}}</dd>{{end}}
{{with .Entry.Deprecated}}<dt>Deprecated</dt><dd>{{.}}</dd>{{end}}{{if not .Listed}}<dt>Unlisted</dt><dd>it is not proposed to anybody any more</dd>{{end}}
{{with .Entry.ProjectURL}}<dt>Project</dt><dd><a href="{{.}}" rel="nofollow noreferrer">{{.}}</a></dd>{{end}}
<dt>Record</dt><dd><code>hullmark trace '{{.Entry.PURL}}'</code></dd></dl><p><a href="{{.ReportURL}}">Report this package</a></p>{{end}}
{{define "report"}}{{template "top" .Title}}<p>If this version does harm, tell whoever runs this registry{{if .Owner}} and {{.Owner}}, who own it{{end}}. Who may recall it stops it everywhere with</p>
<pre><code>hullmark recall '{{.Entry.PURL}}' --reason '…'</code></pre>{{end}}
{{define "owner"}}{{template "top" .Title}}<p>Packages of this owner that you may see:</p><ul>{{range .Packages}}<li><a href="{{.URL}}">{{.ID}}</a></li>{{end}}</ul>{{end}}`))

// describedPage is what the pages of a version show.
type describedPage struct {
	Title, Version, Published, Owner, OwnerURL, ReportURL string
	Listed                                                bool
	Entry                                                 *entry
}

// servePage answers GET packages/{id}/{version}, and …/report.
func (r *Registry) servePage(name string) func(http.ResponseWriter, *http.Request, evidence.Actor) error {
	return func(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
		o, err := r.offer(req.Context(), pathName(req))
		if err != nil {
			return err
		}
		e, err := o.find(req.PathValue("version"))
		if err != nil {
			return err
		}
		return render(w, name, describedPage{
			Title: e.ID + " " + e.Display, Version: e.Display, Published: e.Published.UTC().Format("2006-01-02 15:04 UTC"),
			Owner: o.owner, OwnerURL: r.base + ownersPath + o.owner, Listed: e.listed, Entry: e,
			ReportURL: r.base + pagesPath + o.name + "/" + e.Version + "/report",
		})
	}
}

// serveOwner answers GET profiles/{owner} with those of its packages that the caller may see.
func (r *Registry) serveOwner(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	owner := req.PathValue("owner")
	names, err := r.core.NamesSeen(req.Context(), actor, purl.NuGet, "", maxScanned)
	if err != nil {
		return err
	}
	type link struct{ ID, URL string }
	var links []link
	for _, name := range names {
		if by, err := r.owner(req.Context(), name); err != nil || by != owner {
			continue
		}
		o, err := r.offer(req.Context(), name)
		if err != nil {
			continue // nothing of it is offered
		}
		newest := o.entries[len(o.entries)-1]
		links = append(links, link{newest.ID, r.base + pagesPath + name + "/" + newest.Version})
	}
	return render(w, "owner", map[string]any{"Title": owner, "Packages": links})
}

func render(w http.ResponseWriter, name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	w.Write(b.Bytes()) // a failure means that the caller has gone
	return nil
}

// The catalog lists what is here, a page per package, to who may see it. nuget.org's lists events instead;
// mirrors read both alike. Source: NuGet docs, "Catalog".
type catalogIndex struct {
	ID              string        `json:"@id"`
	Type            []string      `json:"@type"`
	CommitTimeStamp string        `json:"commitTimeStamp"`
	Count           int           `json:"count"`
	Items           []catalogItem `json:"items"`
}

type catalogItem struct {
	ID              string `json:"@id"`
	Type            string `json:"@type"`
	CommitID        string `json:"commitId"`
	CommitTimeStamp string `json:"commitTimeStamp"`
	Count           int    `json:"count,omitempty"`
	PackageID       string `json:"nuget:id,omitempty"`
	Version         string `json:"nuget:version,omitempty"`
}

// serveCatalog answers GET catalog/index.json.
func (r *Registry) serveCatalog(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	index := catalogIndex{ID: r.base + catalogPath + "index.json", Type: []string{"CatalogRoot", "AppendOnlyCatalog", "Permalink"}, Items: []catalogItem{}}
	names, err := r.core.NamesSeen(req.Context(), actor, purl.NuGet, "", maxScanned)
	if err != nil {
		return err
	}
	for _, name := range names {
		p, err := r.core.Lookup(req.Context(), purl.NuGet, name)
		if err != nil {
			return err
		}
		when := timestamp(p.Modified)
		index.CommitTimeStamp = max(index.CommitTimeStamp, when)
		index.Items = append(index.Items, catalogItem{ID: r.base + catalogPath + name + "/index.json", Type: "CatalogPage", CommitID: commitID(p.Revision), CommitTimeStamp: when, Count: 1})
	}
	index.Count = len(index.Items)
	return r.respond(w, index)
}

// serveCatalogFile answers GET catalog/{id}/{file}: a package's page, or a version's leaf.
func (r *Registry) serveCatalogFile(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, file := pathName(req), req.PathValue("file")
	h := hives()[2]
	if file != "index.json" {
		e, err := r.offered(req, name, strings.TrimSuffix(file, ".json"))
		if err != nil {
			return err
		}
		return r.respond(w, struct {
			catalogEntry
			Hash      string `json:"packageHash,omitempty"`
			Algorithm string `json:"packageHashAlgorithm,omitempty"`
			Size      int64  `json:"packageSize"`
			Created   string `json:"created"`
		}{r.catalogEntry(name, h, e), e.SHA512, "SHA512", e.Size, timestamp(e.Published)})
	}
	o, err := r.offer(req.Context(), name)
	if err != nil {
		return err
	}
	page := catalogIndex{ID: r.base + catalogPath + name + "/index.json", Type: []string{"CatalogPage"}, Items: []catalogItem{}}
	for _, e := range o.entries {
		when := timestamp(e.Published)
		page.CommitTimeStamp = max(page.CommitTimeStamp, when)
		page.Items = append(page.Items, catalogItem{
			ID: r.base + catalogPath + name + "/" + e.Version + ".json", Type: "nuget:PackageDetails", CommitID: commitID(e.Seq),
			CommitTimeStamp: when, PackageID: e.ID, Version: e.Display,
		})
	}
	page.Count = len(page.Items)
	return r.respond(w, page)
}

// commitID makes the identifier that a catalog has per commit from a place in the record.
func commitID(n int64) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }
