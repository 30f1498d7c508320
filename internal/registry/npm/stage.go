package npm

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// stageItem is the form that the client prints. Source: npm, utils/key-values.js; what it does not know
// by name it prints as it comes.
type stageItem struct {
	ID          string    `json:"id"`
	PackageName string    `json:"packageName"`
	Version     string    `json:"version"`
	Tag         string    `json:"tag"`
	CreatedAt   time.Time `json:"createdAt"`
	Actor       string    `json:"actor"`
	ActorType   string    `json:"actorType"`
	Shasum      string    `json:"shasum,omitempty"`
	Because     string    `json:"held because"`
	Approvals   string    `json:"approvals"`
	Findings    string    `json:"findings,omitempty"`
}

// stage answers POST /-/stage/package/{name}: the document of a publication, whose version then waits.
// Source: libnpmpublish, publish.js.
func (r *Registry) stage(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	p := &publication{r: r, actor: actor, name: req.PathValue("name"), stage: true}
	hold, err := p.take(req)
	if err != nil {
		return err
	}
	if !hold.Waits() {
		return fmt.Errorf("%s@%s was staged and does not wait", p.name, p.version)
	}
	r.respond(w, http.StatusCreated, map[string]any{"stageId": hold.ID, "ok": true})
	return nil
}

// maxStagePage is how many staged versions one answer lists.
const maxStagePage = 100

// listStages answers GET /-/stage. Source: npm, commands/stage/list.js.
func (r *Registry) listStages(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q := req.URL.Query()
	page, perPage := number(q.Get("page"), 0), min(number(q.Get("perPage"), maxStagePage), maxStagePage)
	found, total, err := r.stages.List(req.Context(), actor, q.Get("package"), page*perPage, perPage)
	if err != nil {
		return err
	}
	items := []stageItem{}
	for _, s := range found {
		item, err := r.stageItem(req.Context(), s)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	r.respond(w, http.StatusOK, map[string]any{"items": items, "total": total})
	return nil
}

// viewStage answers GET /-/stage/{id}.
func (r *Registry) viewStage(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s registry.Staged) error {
	item, err := r.stageItem(req.Context(), s)
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, item)
	return nil
}

func (r *Registry) stageItem(ctx context.Context, s registry.Staged) (stageItem, error) {
	item := stageItem{
		ID: s.ID, PackageName: s.Name, Version: s.Version, Tag: strings.Join(s.Tags, ", "), CreatedAt: s.At,
		Actor: s.Publisher, ActorType: s.Credential, Because: s.Code, Findings: strings.Join(s.Findings, "; "),
		Approvals: fmt.Sprintf("%d of %d", len(s.Approved), s.Needed),
	}
	rel, err := r.core.Release(ctx, purl.NPM, s.Name, s.Version)
	if err != nil {
		return item, err
	}
	m, err := r.manifest(ctx, s.Name, rel)
	if err != nil {
		return item, err
	}
	var d struct{ Shasum string }
	err = m.decode("dist", &d)
	item.Shasum = d.Shasum
	return item, err
}

// serveStaged answers GET /-/stage/{id}/tarball, to who may publish the name. Nobody keeps it: it may be
// rejected.
func (r *Registry) serveStaged(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s registry.Staged) error {
	rel, err := r.core.Release(req.Context(), purl.NPM, s.Name, s.Version)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return r.core.ServeRelease(w, req, actor, purl.NPM, s.Name, rel, tarballContent)
}

// approveStage answers POST /-/stage/{id}/approve.
func (r *Registry) approveStage(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s registry.Staged) error {
	have, needed, err := r.stages.Approve(req.Context(), actor, s, "npm stage approve")
	if err != nil {
		return err
	}
	if have < needed { // the client says "published" all the same
		w.Header().Set("Npm-Notice", registry.OneLine(fmt.Sprintf("approved, %d of %d: %s@%s waits for more", have, needed, s.Name, s.Version)))
	}
	r.respond(w, http.StatusOK, map[string]any{"ok": true, "approvals": have, "needed": needed, "published": have >= needed})
	return nil
}

// rejectStage answers DELETE /-/stage/{id}.
func (r *Registry) rejectStage(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s registry.Staged) error {
	if err := r.stages.Reject(req.Context(), actor, s, "npm stage reject"); err != nil {
		return err
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}

// stageRoutes are the routes of staging.
func (r *Registry) stageRoutes() []registry.Route {
	if r.stages == nil {
		return nil
	}
	return []registry.Route{
		r.guard().Named("POST", "/-/stage/package/{name}", evidence.Stage, nil, r.stage),
		r.guard().Account("GET", "/-/stage", r.listStages),
		r.staged("GET", "/-/stage/{id}", evidence.Stage, r.viewStage),
		r.staged("GET", "/-/stage/{id}/tarball", evidence.Publish, r.serveStaged),
		r.staged("POST", "/-/stage/{id}/approve", evidence.Publish, r.approveStage),
		r.staged("DELETE", "/-/stage/{id}", evidence.Publish, r.rejectStage),
	}
}

// staged makes a handler for callers who hold perm on the package of what waits under the id in the path.
func (r *Registry) staged(method, pattern string, perm evidence.Permission, fn func(http.ResponseWriter, *http.Request, evidence.Actor, registry.Staged) error) registry.Route {
	route := r.guard().Account(method, pattern, func(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
		s, err := r.stages.Find(req.Context(), actor, perm, req.PathValue("id"))
		if err != nil {
			return err
		}
		return fn(w, req, actor, s)
	})
	route.Access, route.Permission = registry.AccessNamespace, perm
	return route
}
