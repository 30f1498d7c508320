package pypi

import (
	"net/http"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// serveStage answers GET /stage/{id}/simple/{name}/ to who knows the session.
func (r *Registry) serveStage(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	s, err := r.openStage(req)
	if err != nil {
		return err
	}
	p := &project{name: s.name}
	for _, f := range s.Files {
		known, err := r.stored.Get(req.Context(), f.Metadata)
		if err != nil {
			return err
		}
		rel := registry.Release{Version: f.Version, File: f.File, Size: f.Size, ArtifactType: f.Type, Published: s.Opened}
		p.files = append(p.files, file{Release: rel, facts: *known, sha256: f.Artifact.Hex(), url: fileURL(s.name, f.File)})
	}
	p.arrange()
	form, err := indexForm(req)
	if err != nil {
		return err
	}
	body := p.html(r.config.PublicURL)
	if form == typeJSON {
		if body, err = p.json(r.config.PublicURL); err != nil {
			return err
		}
	}
	registry.NewPage(form, body, time.Time{}, nil).Serve(w, req)
	return nil
}

func (r *Registry) openStage(req *http.Request) (*session, error) {
	s, err := r.session(req.Context(), req.PathValue("id"))
	if err == nil && (s.State != registry.DraftOpen || pathName(req) != s.name) {
		err = nameUnknown(pathName(req))
	}
	return s, err
}

// serveStaged answers GET /stage/{id}/files/{name}/{file}.
func (r *Registry) serveStaged(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	s, err := r.openStage(req)
	if err != nil {
		return err
	}
	want, metadata := cutMetadata(req.PathValue("file"))
	i := slices.IndexFunc(s.Files, func(f registry.DraftFile) bool { return f.File == want })
	if i < 0 {
		return fault.New(fault.NotFound, "version-unknown", "the upload has no file %q", fault.Clip(want))
	}
	f := s.Files[i]
	if metadata {
		return r.serveMetadata(w, req, registry.Release{File: f.File, ArtifactType: f.Type, Metadata: f.Metadata, Published: s.Opened})
	}
	return r.core.ServeBlob(w, req, f.Artifact, s.Opened, "application/octet-stream")
}
