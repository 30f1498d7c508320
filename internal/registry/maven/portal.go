package maven

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// The Portal's interface: a bundle of files is uploaded, looked at, and published as one or dropped.
// Source: central.sonatype.org, "Publishing By Using the Portal Publisher API".
const (
	portalPath  = "/api/v1/"
	publisher   = portalPath + "publisher/"
	deployment  = publisher + "deployment/{id}"
	portalToken = portalPath + "oidc/token" // ours: Central has no trusted publishing
	portalAud   = portalPath + "oidc/audience"
)

// deploymentLife is how long a deployment waits to be published.
const deploymentLife = 7 * 24 * time.Hour

func isPortal(path string) bool {
	return strings.HasPrefix(path, publisher) || path == portalToken || path == portalAud
}

func (r *Registry) portalRoutes() []registry.Route {
	g := r.guard()
	upload := g.Visitor("POST", publisher+"upload", r.uploadBundle) // too large for Account, which keeps bodies
	upload.Access = registry.AccessAccount
	return []registry.Route{
		upload,
		g.Account("POST", publisher+"status", r.status),
		g.Account("POST", deployment, r.publishDeployment),
		g.Account("DELETE", deployment, r.dropDeployment),
		g.Named("GET", deployment+"/download/{path...}", evidence.Stage, nameInPath, r.downloadStaged),
		g.Named("GET", publisher+"deployments/download/{path...}", evidence.Stage, nameInPath, r.downloadAnyStaged),
		g.Account("GET", publisher+"published", r.isPublished),
		g.Anyone("GET", portalAud, r.audience),
		g.Anyone("POST", portalToken, r.exchange),
	}
}

// nameInPath is the name of the file that a staged download is for.
func nameInPath(req *http.Request) string {
	t, err := layout.ParsePath(req.PathValue("path"))
	if err != nil || t.Shape != layout.ShapeFile {
		return ""
	}
	return t.Name()
}

// note is what is kept about a deployment besides its files.
type note struct {
	Title     string              `json:"title"`
	Automatic bool                `json:"automatic,omitempty"`
	Errors    map[string][]string `json:"errors,omitempty"` // by path: why it cannot be published
}

func noteOf(d registry.Draft) note {
	var n note
	_ = json.Unmarshal([]byte(d.Note), &n) // ours; nothing is nothing
	return n
}

// deployments are looked at, published and dropped by who uploaded them, and by who may stage all that they hold.
func (r *Registry) deploymentOf(req *http.Request, actor evidence.Actor, id string) (registry.Draft, error) {
	d, err := r.core.Draft(req.Context(), purl.Maven, id)
	if err != nil {
		return d, err
	}
	if d.State == registry.DraftDropped {
		return d, errDeploymentUnknown()
	}
	if d.Account == actor.Account {
		return d, nil
	}
	for _, f := range d.Files {
		if r.core.Access().Authorize(req.Context(), actor, evidence.Stage, purl.Maven, f.Name) != nil {
			return d, errDeploymentUnknown()
		}
	}
	if len(d.Files) == 0 {
		return d, errDeploymentUnknown()
	}
	return d, nil
}

func errDeploymentUnknown() error {
	return fault.New(fault.NotFound, "draft-unknown", "there is no such deployment, or it was dropped; upload the bundle again")
}

// The states of a deployment. PENDING and VALIDATING do not occur: a bundle is looked at while it is uploaded.
const (
	stateValidated  = "VALIDATED"
	statePublishing = "PUBLISHING" // here: it waits for the approval of a second person
	statePublished  = "PUBLISHED"
	stateFailed     = "FAILED"
)

// status answers POST /publisher/status?id=.
func (r *Registry) status(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	d, err := r.deploymentOf(req, actor, req.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	state, errs, err := r.stateOf(req.Context(), d)
	if err != nil {
		return err
	}
	purls, seen := []string{}, map[string]bool{}
	for _, f := range d.Files {
		if p := string(f.PURL); !seen[p] {
			seen[p] = true
			purls = append(purls, p)
		}
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]any{
		"deploymentId": d.ID, "deploymentName": noteOf(d).Title, "deploymentState": state, "purls": purls, "errors": errs,
	})
}

// stateOf is the state of a deployment and what is wrong with it.
func (r *Registry) stateOf(ctx context.Context, d registry.Draft) (string, map[string][]string, error) {
	errs := noteOf(d).Errors
	if len(errs) > 0 {
		return stateFailed, errs, nil
	}
	errs = map[string][]string{}
	if d.State == registry.DraftOpen {
		return stateValidated, errs, nil
	}
	state := statePublished
	for _, f := range d.Files {
		o, err := r.offer(ctx, f.Name)
		if err != nil {
			return "", nil, err
		}
		i, ok := o.at[fileKey{f.Version, f.File}]
		switch {
		case !ok:
		case o.releases[i].State == registry.Held:
			state = statePublishing
		case o.releases[i].State == registry.Withdrawn:
			errs[string(f.PURL)] = []string{"it was rejected or withdrawn after it was published"}
			return stateFailed, errs, nil
		}
	}
	return state, errs, nil
}

// publishDeployment answers POST /publisher/deployment/{id}.
func (r *Registry) publishDeployment(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	d, err := r.deploymentOf(req, actor, req.PathValue("id"))
	if err != nil {
		return err
	}
	if err := r.publishDraft(req.Context(), actor, d); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// publishDraft publishes everything in a deployment at once.
func (r *Registry) publishDraft(ctx context.Context, actor evidence.Actor, d registry.Draft) error {
	if n := noteOf(d); len(n.Errors) > 0 {
		return fault.New(fault.Conflict, "deployment-failed", "the deployment has errors, which its status lists; correct them and upload it anew")
	}
	if d.State == registry.DraftPublished {
		return fault.New(fault.Conflict, "deployment-failed", "the deployment was published before")
	}
	stages, proofs := map[string]bool{}, map[string]facts{}
	for _, f := range d.Files {
		if _, asked := stages[f.Name]; !asked {
			stage, err := r.core.MustStage(ctx, actor, purl.Maven, f.Name)
			if err != nil {
				return err
			}
			stages[f.Name] = stage
		}
		if strings.HasSuffix(f.Type, "."+layout.SidecarPGP) || strings.HasSuffix(f.Type, "."+layout.SidecarSigstore) {
			one, err := r.stored.Get(ctx, f.Metadata)
			if err != nil {
				return err
			}
			proofs[f.Name+" "+f.File] = *one
		}
	}
	_, err := r.core.PublishDraft(ctx, actor, d, func(u *registry.Upload) {
		u.Stage, u.Order = stages[u.Name], compareVersions
		if f := proofs[u.Name+" "+u.File]; f.Proof != nil {
			u.Contents = append(u.Contents, f.verification(u.PURL))
		}
	})
	return overwritten("a file of this deployment", err)
}

// dropDeployment answers DELETE /publisher/deployment/{id}.
func (r *Registry) dropDeployment(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	d, err := r.deploymentOf(req, actor, req.PathValue("id"))
	if err != nil {
		return err
	}
	if err := r.core.DropDraft(req.Context(), d.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// downloadStaged answers GET of a file of a deployment, to who may stage the file's name.
func (r *Registry) downloadStaged(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	d, err := r.core.Draft(req.Context(), purl.Maven, req.PathValue("id"))
	if err != nil {
		return err
	}
	return r.serveStaged(w, req, d)
}

// downloadAnyStaged answers GET of a file of whichever open deployment of the caller's has it, the newest first.
func (r *Registry) downloadAnyStaged(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	all, err := r.core.DraftsBy(req.Context(), purl.Maven, actor.Account)
	if err != nil {
		return err
	}
	for _, d := range all {
		if err := r.serveStaged(w, req, d); fault.KindOf(err) != fault.NotFound || err == nil {
			return err
		}
	}
	return layout.PathUnknown()
}

// serveStaged sends a file of an open deployment.
func (r *Registry) serveStaged(w http.ResponseWriter, req *http.Request, d registry.Draft) error {
	t, err := layout.ParsePath(req.PathValue("path"))
	if err != nil || d.State != registry.DraftOpen {
		return errDeploymentUnknown()
	}
	for _, f := range d.Files {
		if f.Name != t.Name() || f.Version != t.Build || f.File != t.File {
			continue
		}
		if t.Sum != "" {
			sum := f.Artifact.Hex()
			if t.Sum != "sha256" {
				one, err := r.stored.Get(req.Context(), f.Metadata)
				if err != nil {
					return err
				}
				sum = one.sum(t.Sum)
			}
			serveSum(w, sum)
			return nil
		}
		return r.serveRelease(w, req, t, registry.Release{Artifact: f.Artifact, Published: d.Opened})
	}
	return fileUnknown(t.Coordinates)
}

// isPublished answers GET /publisher/published; what the caller may not read is not published to them.
func (r *Registry) isPublished(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	q := req.URL.Query()
	name, version := q.Get("namespace")+"/"+q.Get("name"), q.Get("version")
	published := false
	if r.core.MayRead(req.Context(), actor, purl.Maven, name) == nil {
		o, err := r.offer(req.Context(), name)
		if err != nil {
			return err
		}
		for _, one := range o.releases {
			published = published || one.Version == version && one.State == registry.Active
		}
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]bool{"published": published})
}
