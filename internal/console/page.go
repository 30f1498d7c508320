package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// policy allows our style sheet, our script and our forms, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"

// protect sets what every answer carries.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // the address of a login or a step-up is a secret
	h.Set("Cache-Control", "no-store")
}

// pages are the templates by name, each with the layout around it.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	functions := template.FuncMap{
		"when": when, "day": day, "stage": StageAddress,
		"marks": func(title string, m []evidence.Mark) markedList { return markedList{title, m} },
	}
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p := pages{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" {
			continue
		}
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		p[name] = page
	}
	return p, nil
}

// when is a time as people read it; the server does not know their zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006")
}

// frame is what the layout shows around a page.
type frame struct {
	Title   string
	Account string // who is signed in
	Page    any
}

// show writes a page. It is rendered before anything is sent, so that a failing template is an error
// and not half a page.
func (c *call) show(status int, name, title string, view any) {
	var b bytes.Buffer
	err := c.s.pages[name].Execute(&b, frame{Title: title, Account: c.actor.Account, Page: view})
	if err != nil {
		c.s.report(c.r.Context(), c.r.Pattern, err)
		http.Error(c.w, fault.As(err).Text, http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b.Bytes()) // the browser went away: there is nobody to tell
}

// asset is a file that pages load.
type asset struct {
	body        []byte
	contentType string
	tag         string
}

func readAssets() (map[string]asset, error) {
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	files, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	all := map[string]asset{}
	for _, f := range files {
		body, err := fs.ReadFile(assetFiles, "assets/"+f.Name())
		if err != nil {
			return nil, fmt.Errorf("assets: %w", err)
		}
		sum := sha256.Sum256(body)
		all[f.Name()] = asset{body: body, contentType: types[path.Ext(f.Name())], tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return all, nil
}

// serveAsset answers GET /account/assets/{file}.
func (c *call) serveAsset() error {
	a, ok := c.s.assets[c.r.PathValue("file")]
	if !ok {
		return fault.New(fault.NotFound, "page-unknown", "there is no such file")
	}
	h := c.w.Header()
	h.Set("Cache-Control", "no-cache") // kept, and asked for again by its tag
	h.Set("ETag", a.tag)
	h.Set("Content-Type", a.contentType)
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(a.body))
	return nil
}
