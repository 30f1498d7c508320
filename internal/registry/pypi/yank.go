package pypi

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// yank answers PATCH /pypi/{name}/{version} with {"yanked": true}, a reason, or false. PyPI has no interface for
// it. Installers take a yanked version only for who asks for exactly it. Source: PEP 592.
func (r *Registry) yank(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var asked struct {
		Yanked any `json:"yanked"`
	}
	if err := registry.ReadJSON(w, req, maxMint, &asked); err != nil {
		return err
	}
	name, version := pathName(req), req.PathValue("version")
	all, err := r.core.Releases(req.Context(), purl.PyPI, name)
	if err != nil {
		return err
	}
	for _, rel := range all {
		if dist.SameVersion(rel.Version, version) {
			version = rel.Version
		}
	}
	undo := false
	switch v := asked.Yanked.(type) {
	case bool:
		undo = !v
	case string:
		if len(v) > 500 {
			return fault.New(fault.Invalid, "body-malformed", "the reason is longer than 500 bytes")
		}
	default:
		return fault.New(fault.Invalid, "body-malformed", "the field yanked has to be true, false or a reason")
	}
	reason := yankReason(asked.Yanked)
	if undo {
		err = r.core.Relist(req.Context(), actor, purl.PyPI, name, version)
	} else {
		err = r.core.Unlist(req.Context(), actor, purl.PyPI, name, version, reason)
	}
	if err != nil {
		return err
	}
	return registry.AnswerJSON(w, http.StatusOK, "application/json", map[string]any{"name": name, "version": version, "yanked": asked.Yanked})
}
