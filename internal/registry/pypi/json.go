package pypi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// serveJSON answers GET /pypi/{name}/json and /pypi/{name}/{version}/json. Source: PyPI docs, "JSON API".
func (r *Registry) serveJSON(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, version := pathName(req), req.PathValue("version")
	if len(version) > dist.MaxVersion {
		return versionUnknown(name, version)
	}
	ctx := req.Context()
	page, asked, err := r.page(ctx, name, "json "+version, func(p *project) ([]byte, string, error) {
		body, err := r.document(ctx, p, version)
		return body, "application/json", err
	})
	if err != nil {
		return err
	}
	r.serve(w, req, page, asked)
	return nil
}

func versionUnknown(name, version string) error {
	return fault.New(fault.NotFound, "version-unknown", "%s has no version %q", name, fault.Clip(version))
}

// fileInfo is a file in the JSON API.
type fileInfo struct {
	Filename       string            `json:"filename"`
	PackageType    string            `json:"packagetype"`
	PythonVersion  string            `json:"python_version"`
	Digests        map[string]string `json:"digests"`
	MD5            string            `json:"md5_digest"`
	RequiresPython *string           `json:"requires_python"`
	Size           int64             `json:"size"`
	UploadTime     string            `json:"upload_time"`
	UploadTimeISO  string            `json:"upload_time_iso_8601"`
	URL            string            `json:"url"`
	Yanked         bool              `json:"yanked"`
	YankedReason   *string           `json:"yanked_reason"`
	HasSig         bool              `json:"has_sig"`
	Downloads      int               `json:"downloads"`
	Comment        string            `json:"comment_text"`
}

func (f file) info(base string) fileInfo {
	sums := map[string]string{}
	for algorithm, sum := range map[string]string{"sha256": f.sha256, "md5": f.MD5, "blake2b_256": f.Blake2} {
		if sum != "" {
			sums[algorithm] = sum
		}
	}
	python := "source"
	if parts := dist.WheelForm.FindStringSubmatch(f.File); parts != nil {
		python = parts[4]
	}
	at := f.Published.UTC()
	return fileInfo{
		Filename: f.File, PackageType: f.ArtifactType, PythonVersion: python, Digests: sums, MD5: f.MD5, RequiresPython: orNull(f.RequiresPython),
		Size: f.Size, UploadTime: at.Format("2006-01-02T15:04:05"), UploadTimeISO: at.Format(time.RFC3339Nano),
		URL: base + strings.TrimPrefix(f.url, "../../"), Yanked: f.Unlisted != "", YankedReason: orNull(f.Unlisted), Downloads: -1,
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// document renders a version, or without one the newest that is no prerelease, with all releases.
func (r *Registry) document(ctx context.Context, p *project, version string) ([]byte, error) {
	base := r.config.PublicURL
	chosen := p.newest()
	if version != "" {
		chosen = slices.IndexFunc(p.files, func(f file) bool { return f.Version == version || dist.SameVersion(f.Version, version) })
	}
	if chosen < 0 {
		return nil, versionUnknown(p.name, version)
	}
	newest := p.files[chosen]
	releases, urls := map[string][]fileInfo{}, []fileInfo{}
	for _, f := range p.files {
		info := f.info(base)
		releases[f.Version] = append(releases[f.Version], info)
		if f.Version == newest.Version {
			urls = append(urls, info)
		}
	}
	info, err := r.info(ctx, p, newest)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"info": info, "last_serial": newest.Seq, "urls": urls, "vulnerabilities": r.vulnerabilities(p.name, newest.Version)}
	if version == "" {
		out["releases"] = releases
	}
	return json.Marshal(out)
}

// vulnerability is how the document tells of one: pip-audit reads it. Source: PyPI docs, "JSON API".
type vulnerability struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Link      string   `json:"link"`
	Source    string   `json:"source"`
	Summary   string   `json:"summary"`
	Details   string   `json:"details"`
	FixedIn   []string `json:"fixed_in"`
	Withdrawn *string  `json:"withdrawn"`
}

func (r *Registry) vulnerabilities(name, version string) []vulnerability {
	out := []vulnerability{}
	for _, v := range r.core.Vulnerabilities().About(purl.PyPI, name, version) {
		out = append(out, vulnerability{
			ID: v.ID, Aliases: append([]string{}, v.Aliases...), Link: v.URL, Source: "osv", Summary: v.Summary, Details: v.Summary,
			FixedIn: append([]string{}, v.Fixed...),
		})
	}
	return out
}

// newest returns a file of the newest version that is offered to who asks for none, or -1.
func (p *project) newest() int {
	best := -1
	for i, f := range p.files {
		if f.Unlisted == "" && (best < 0 || !dist.Prerelease(f.Version) || dist.Prerelease(p.files[best].Version)) {
			best = i
		}
	}
	if best < 0 {
		return len(p.files) - 1
	}
	return best
}

// textFields are the fields of info that are one header of the metadata, and listFields those that are many.
var (
	textFields = map[string]string{
		"author": "author", "author_email": "author-email", "maintainer": "maintainer", "maintainer_email": "maintainer-email",
		"description": "description", "description_content_type": "description-content-type", "home_page": "home-page",
		"keywords": "keywords", "license": "license", "license_expression": "license-expression", "summary": "summary",
		"requires_python": "requires-python", "download_url": "download-url",
	}
	listFields = map[string]string{
		"classifiers": "classifier", "requires_dist": "requires-dist", "provides_extra": "provides-extra", "dynamic": "dynamic", "license_files": "license-file",
	}
)

func (r *Registry) info(ctx context.Context, p *project, f file) (map[string]any, error) {
	page := r.config.PublicURL + "simple/" + p.name + "/"
	info := map[string]any{
		"name": p.shown, "version": f.Version, "yanked": f.Unlisted != "", "yanked_reason": orNull(f.Unlisted),
		"package_url": page, "project_url": page, "release_url": page, "requires_python": orNull(f.RequiresPython), "summary": f.Summary,
		"requires_dist": nil, "classifiers": []string{}, "project_urls": nil,
	}
	if f.Core == "" || f.Origin != "" {
		return info, nil // an upstream's, of which nothing but the index is known
	}
	raw, err := blob.Get(ctx, r.core.Blobs(), f.Core)
	if err != nil {
		return nil, err
	}
	m, err := dist.ParseMetadata(raw)
	if err != nil {
		return nil, err
	}
	for field, header := range textFields {
		info[field] = orNull(m.Get(header))
	}
	for field, header := range listFields {
		if all := m.Headers[header]; len(all) > 0 {
			info[field] = all
		}
	}
	urls := map[string]string{}
	for _, one := range m.Headers["project-url"] {
		if label, address, ok := strings.Cut(one, ","); ok {
			urls[strings.TrimSpace(label)] = strings.TrimSpace(address)
		}
	}
	if len(urls) > 0 {
		info["project_urls"] = urls
	}
	return info, nil
}
