package pypi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// announceFile answers POST /upload/{id}/files: what will come, so that what cannot be taken is not sent.
func (r *Registry) announceFile(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	var asked struct {
		Filename  string            `json:"filename"`
		Size      int64             `json:"size"`
		Hashes    map[string]string `json:"hashes"`
		Mechanism string            `json:"mechanism"`
	}
	if err := registry.ReadJSON(w, req, dist.MaxSmall, &asked); err != nil {
		return err
	}
	if _, err := s.check(asked.Filename); err != nil {
		return err
	}
	if _, err := digest.Parse("sha256:" + asked.Hashes["sha256"]); err != nil {
		return dist.Invalid("a file is announced with its sha256")
	}
	if cmp.Or(asked.Mechanism, mechanism) != mechanism {
		return dist.Invalid("the only mechanism here is %s", mechanism)
	}
	if asked.Size < 0 || asked.Size > r.limits.Archive.Packed {
		return fault.New(fault.TooLarge, "body-too-large", "the file is larger than %d MiB", r.limits.Archive.Packed>>20)
	}
	if len(s.note.Announced) >= maxDraftFiles {
		return fault.New(fault.TooLarge, "body-too-large", "an upload takes %d files", maxDraftFiles)
	}
	if _, err := r.core.File(req.Context(), purl.PyPI, s.name, asked.Filename); err == nil {
		return fault.New(fault.Conflict, "file-exists", "%s was published before, and the name of a file is never reused; publish a new version", fault.Clip(asked.Filename))
	}
	if err := r.announce(req.Context(), s.ID, func(all map[string]announced) {
		all[asked.Filename] = announced{Size: asked.Size, SHA256: asked.Hashes["sha256"]}
	}); err != nil {
		return err
	}
	w.Header().Set("Location", r.sessionURL(s.ID)+"/files/"+url.PathEscape(asked.Filename))
	return r.answerFile(w, http.StatusCreated, s, asked.Filename, "pending")
}

// announce changes what is announced in a session, one change at a time.
func (r *Registry) announce(ctx context.Context, id string, change func(map[string]announced)) error {
	r.announcing.Lock()
	defer r.announcing.Unlock()
	s, err := r.session(ctx, id)
	if err != nil {
		return err
	}
	if s.note.Announced == nil {
		s.note.Announced = map[string]announced{}
	}
	change(s.note.Announced)
	raw, err := json.Marshal(s.note)
	if err != nil {
		return err
	}
	return r.core.NoteDraft(ctx, id, string(raw))
}

// check refuses a file that is not of the session's release.
func (s *session) check(file string) (dist.Sort, error) {
	kind, name, version, err := dist.ParseFile(file)
	if err == nil && (name != s.name || !dist.SameVersion(version, s.version)) {
		err = dist.Mismatch("%q is not a file of %s %s", fault.Clip(file), s.name, s.version)
	}
	return kind, err
}

func (r *Registry) answerFile(w http.ResponseWriter, status int, s *session, file, state string) error {
	base := r.sessionURL(s.ID) + "/files/" + url.PathEscape(file)
	return registry.AnswerJSON(w, status, typeUpload, map[string]any{
		"meta": meta{"2.0"}, "status": state, "expires-at": s.Expires.UTC().Format(time.RFC3339),
		"links":     map[string]string{"file-upload-session": base, "publishing-session": r.sessionURL(s.ID), "complete": base + "/complete"},
		"mechanism": map[string]any{"identifier": mechanism, "file_url": base + "/content"},
	})
}

// known returns the state of a file of the session.
func (s *session) known(file string) (string, error) {
	if slices.Contains(s.missing(), file) {
		return "pending", nil
	}
	if slices.ContainsFunc(s.Files, func(f registry.DraftFile) bool { return f.File == file }) {
		return "complete", nil
	}
	return "", fault.New(fault.NotFound, "version-unknown", "the upload has no file %q", fault.Clip(file))
}

func (r *Registry) showFile(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	state, err := s.known(req.PathValue("file"))
	if err != nil {
		return err
	}
	return r.answerFile(w, http.StatusOK, s, req.PathValue("file"), state)
}

// completeFile says that a file is whole; it is, or it was refused when it came.
func (r *Registry) completeFile(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	state, err := s.known(req.PathValue("file"))
	if err == nil && state != "complete" {
		err = fault.New(fault.Conflict, "draft-incomplete", "%s has not come yet", fault.Clip(req.PathValue("file")))
	}
	if err != nil {
		return err
	}
	return r.answerFile(w, http.StatusCreated, s, req.PathValue("file"), state)
}

func (r *Registry) dropFile(w http.ResponseWriter, req *http.Request, _ evidence.Actor, s *session) error {
	file := req.PathValue("file")
	if _, err := s.known(file); err != nil {
		return err
	}
	if err := r.announce(req.Context(), s.ID, func(all map[string]announced) { delete(all, file) }); err != nil {
		return err
	}
	if err := r.core.RemoveDraftFile(req.Context(), s.ID, s.name, file); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// receiveFile answers POST /upload/{id}/files/{file}/content with the bytes.
func (r *Registry) receiveFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor, s *session) error {
	file := req.PathValue("file")
	want, ok := s.note.Announced[file]
	if !ok {
		return fault.New(fault.Conflict, "draft-incomplete", "%q was not announced in this upload", fault.Clip(file))
	}
	kind, err := s.check(file)
	if err != nil {
		return err
	}
	p := &publication{r: r, actor: actor, kind: kind, name: s.name, version: s.version}
	if p.file, err = r.receive(req.Context(), file, req.Body); err != nil {
		return err
	}
	defer func() { p.file.close() }()
	if got := p.file.Digest().Hex(); got != want.SHA256 || p.file.Size() != want.Size {
		return fault.New(fault.Invalid, "digest-mismatch", "the file received is not the one that was announced: its sha256 is %s; send it again", got)
	}
	f, err := p.draftFile(req.Context())
	if err != nil {
		return r.core.Refused(req.Context(), actor, "stage", purl.New(purl.PyPI, s.name, s.version), err)
	}
	if err := r.core.PutDraftFile(req.Context(), s.ID, f); err != nil {
		return err
	}
	return r.answerFile(w, http.StatusCreated, s, file, "complete")
}

// draftFile checks and stores a received file.
func (p *publication) draftFile(ctx context.Context) (registry.DraftFile, error) {
	in, err := p.read()
	if err != nil {
		return registry.DraftFile{}, err
	}
	u, again, err := p.prepare(ctx, in)
	if err == nil && again {
		err = fault.New(fault.Conflict, "file-exists", "%s was published before", fault.Clip(p.file.name))
	}
	if err != nil {
		return registry.DraftFile{}, err
	}
	err = p.store(ctx, u, in, nil)
	return u.DraftFile(), err
}
