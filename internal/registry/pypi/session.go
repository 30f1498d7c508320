package pypi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// Upload sessions: files come in one by one, can be installed from an address that nobody can guess, and are
// published together or not at all. Source: PEP 694.

const (
	typeUpload    = "application/vnd.pypi.upload.v2+json"
	mechanism     = "http-post-bytes"
	sessionLife   = 7 * 24 * time.Hour
	longestLife   = 30 * 24 * time.Hour
	maxDraftFiles = 500
)

// sessionNote is what a draft says about files that were announced and have not come.
type sessionNote struct {
	Announced map[string]announced `json:"announced,omitempty"`
}

type announced struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (r *Registry) sessionRoutes() []registry.Route {
	g := r.guard()
	g.Fail = r.problem
	of := func(method, pattern string, fn sessionEndpoint) registry.Route {
		return g.InBody(method, pattern, evidence.Publish, login, r.inSession(fn))
	}
	return []registry.Route{
		g.InBody("POST", "/upload/{$}", evidence.Publish, login, r.openSession),
		of("GET", "/upload/{id}", r.showSession),
		of("DELETE", "/upload/{id}", r.dropSession),
		of("POST", "/upload/{id}/publish", r.publishSession),
		of("POST", "/upload/{id}/extend", r.extendSession),
		of("POST", "/upload/{id}/files", r.announceFile),
		of("GET", "/upload/{id}/files/{file}", r.showFile),
		of("DELETE", "/upload/{id}/files/{file}", r.dropFile),
		of("POST", "/upload/{id}/files/{file}/complete", r.completeFile),
		of("POST", "/upload/{id}/files/{file}/content", r.receiveFile),
		g.Anyone("GET", "/stage/{id}/simple/{name}/{$}", r.serveStage),
		g.Anyone("GET", "/stage/{id}/files/{name}/{file}", r.serveStaged),
	}
}

// login says how to give a credential.
const login = "an upload needs a credential: the user name __token__ and a token as password"

// problem answers with a problem document. Source: RFC 9457.
func (r *Registry) problem(w http.ResponseWriter, _ *http.Request, err error) {
	f := fault.As(err)
	status := fault.HTTPStatus(err)
	if status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", `Basic realm="Hullmark"`)
	}
	_ = registry.AnswerJSON(w, status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": f.Text, "code": f.Code, "kind": f.Kind.String(),
		"meta": meta{"2.0"}, "errors": []map[string]string{{"source": f.Code, "message": f.Text}},
	})
}

// session is a draft of a release.
type session struct {
	registry.Draft
	name, version string
	note          sessionNote
}

type sessionEndpoint func(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s *session) error

// inSession finds the session of a request and asks, with every request, whether the caller may still bring in
// what it holds.
func (r *Registry) inSession(fn sessionEndpoint) registry.Endpoint {
	return func(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
		s, err := r.session(req.Context(), req.PathValue("id"))
		if err != nil {
			return err
		}
		if actor, err = r.mayBringIn(req, actor, s.name); err != nil {
			return err
		}
		return fn(w, req, actor, s)
	}
}

// mayBringIn asks for the right to publish, or else to stage.
func (r *Registry) mayBringIn(req *http.Request, actor evidence.Actor, name string) (evidence.Actor, error) {
	if stage, err := r.core.MustStage(req.Context(), actor, purl.PyPI, name); err == nil && stage {
		return actor, nil
	}
	return r.guard().Admit(req, actor, evidence.Publish, name)
}

func (r *Registry) session(ctx context.Context, id string) (*session, error) {
	d, err := r.core.Draft(ctx, purl.PyPI, id)
	if err != nil {
		return nil, err
	}
	s := &session{Draft: d}
	s.name, s.version, _ = strings.Cut(d.Subject, " ")
	if d.Note != "" {
		err = json.Unmarshal([]byte(d.Note), &s.note)
	}
	return s, err
}

// missing are the files that were announced and have not come.
func (s *session) missing() []string {
	var out []string
	for file, said := range s.note.Announced {
		if !slices.ContainsFunc(s.Files, func(f registry.DraftFile) bool { return f.File == file && f.Artifact.Hex() == said.SHA256 }) {
			out = append(out, file)
		}
	}
	slices.Sort(out)
	return out
}

// openSession answers POST /upload/.
func (r *Registry) openSession(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var asked struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := registry.ReadJSON(w, req, dist.MaxSmall, &asked); err != nil {
		return err
	}
	name := dist.Normal(asked.Name)
	if err := dist.CheckName(asked.Name); err != nil {
		return err
	}
	version, err := dist.ParseVersion(asked.Version)
	if err != nil {
		return err
	}
	if actor, err = r.mayBringIn(req, actor, name); err != nil {
		return err
	}
	subject := name + " " + version
	d, err := r.core.OpenDraft(req.Context(), actor, registry.Draft{Ecosystem: purl.PyPI, Subject: subject}, sessionLife, r.config.Random)
	if err != nil && fault.As(err).Code == "draft-exists" {
		if live, lerr := r.core.DraftOf(req.Context(), purl.PyPI, subject); lerr == nil {
			w.Header().Set("Location", r.sessionURL(live.ID))
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", r.sessionURL(d.ID))
	return r.answer(w, http.StatusCreated, &session{Draft: d, name: name, version: version})
}

func (r *Registry) sessionURL(id string) string { return r.config.PublicURL + "upload/" + id }

// answer renders a session.
func (r *Registry) answer(w http.ResponseWriter, status int, s *session) error {
	base, files := r.sessionURL(s.ID), map[string]any{}
	for _, f := range s.Files {
		files[f.File] = map[string]any{"status": "complete", "link": base + "/files/" + url.PathEscape(f.File)}
	}
	for _, name := range s.missing() {
		files[name] = map[string]any{"status": "pending", "link": base + "/files/" + url.PathEscape(name)}
	}
	return registry.AnswerJSON(w, status, typeUpload, map[string]any{
		"meta": meta{"2.0"}, "name": s.name, "version": s.version,
		"links": map[string]string{
			"session": base, "upload": base + "/files", "publish": base + "/publish", "extend": base + "/extend",
			"stage": r.config.PublicURL + "stage/" + s.ID + "/simple/",
		},
		"mechanisms": []string{mechanism}, "session-token": s.ID, "expires-at": s.Expires.UTC().Format(time.RFC3339),
		"status": map[registry.DraftState]string{
			registry.DraftOpen: "open", registry.DraftPublished: "published", registry.DraftDropped: "canceled",
		}[s.State],
		"files": files, "notices": []string{},
	})
}

func (r *Registry) showSession(w http.ResponseWriter, _ *http.Request, _ evidence.Actor, s *session) error {
	return r.answer(w, http.StatusOK, s)
}

func (r *Registry) dropSession(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	if err := r.core.DropDraft(req.Context(), s.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Registry) extendSession(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	var asked struct {
		For int64 `json:"extend-for"` // seconds
	}
	if err := registry.ReadJSON(w, req, dist.MaxSmall, &asked); err != nil {
		return err
	}
	if asked.For <= 0 || time.Duration(asked.For)*time.Second > longestLife {
		return dist.Invalid("extend-for has to be a number of seconds up to 30 days")
	}
	until := s.Expires.Add(time.Duration(asked.For) * time.Second)
	if latest := s.Opened.Add(longestLife); until.After(latest) {
		until = latest
	}
	if err := r.core.ExtendDraft(req.Context(), s.ID, until); err != nil {
		return err
	}
	s.Expires = until
	return r.answer(w, http.StatusOK, s)
}

// publishSession answers POST /upload/{id}/publish: everything becomes a release in one step.
func (r *Registry) publishSession(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s *session) error {
	if missing := s.missing(); len(missing) > 0 {
		return fault.New(fault.Conflict, "draft-incomplete", "%s was announced and has not come; send it, or take it out", fault.Clip(missing[0]))
	}
	sdists := 0
	for _, f := range s.Files {
		if f.Type == string(dist.Sdist) {
			sdists++
		}
	}
	if sdists > 1 {
		return fault.New(fault.Conflict, "sort-exists", "a release has one source distribution, and this upload has %d", sdists)
	}
	stage, err := r.core.MustStage(req.Context(), actor, purl.PyPI, s.name)
	if err != nil {
		return err
	}
	hold, err := r.core.PublishDraft(req.Context(), actor, s.Draft, func(u *registry.Upload) {
		shared := r.newUpload(u.Name, u.Version)
		u.Order, u.OpenFor, u.Sole, u.Stage = shared.Order, shared.OpenFor, u.ArtifactType == string(dist.Sdist), stage
	})
	if err != nil {
		return err
	}
	s.State = registry.DraftPublished
	if hold.Waits() {
		return r.answer(w, http.StatusAccepted, s)
	}
	return r.answer(w, http.StatusCreated, s)
}
