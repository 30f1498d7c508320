package api

import (
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/trace"
)

func (a *API) listHolds(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	after, limit, err := pageBySeq(r)
	if err != nil {
		return err
	}
	found, scanned, more, err := a.Publish.Holds(r.Context(), actor, after, limit)
	if err != nil {
		return err
	}
	out := resource.Page[resource.Hold]{Items: []resource.Hold{}}
	for _, h := range found {
		out.Items = append(out.Items, holdOf(h))
	}
	if more {
		out.Next = cursor(strconv.FormatInt(scanned, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) getHold(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	p, err := a.release(r, actor, r.PathValue("subject"))
	if err != nil {
		return err
	}
	h, err := a.Publish.Show(r.Context(), actor, p)
	if err != nil {
		return err
	}
	out := holdOf(h)
	out.Added, out.Changed, out.Removed = h.Diff.Added, h.Diff.Changed, h.Diff.Removed
	out.Files = []resource.FileChange{}
	for _, f := range h.Diff.Files {
		out.Files = append(out.Files, resource.FileChange{
			Path: f.Path, Change: f.Change, Before: f.Before, Size: f.Size, SHA256: string(f.SHA256),
		})
	}
	out.Programs, out.Hosts, out.Opaque = marksOf(h.Diff.Programs), marksOf(h.Diff.Hosts), marksOf(h.Diff.Opaque)
	for _, d := range h.Diff.Dependencies[:min(len(h.Diff.Dependencies), maxMarks)] {
		out.Dependencies = append(out.Dependencies, resource.Dependency(d))
	}
	return replyTagged(w, r, out)
}

// maxMarks is how many of each sort one answer lists.
const maxMarks = 500

func marksOf(marks []evidence.Mark) []resource.Mark {
	var out []resource.Mark
	for _, m := range marks[:min(len(marks), maxMarks)] {
		out = append(out, resource.Mark(m))
	}
	return out
}

func holdOf(h publish.Hold) resource.Hold {
	out := resource.Hold{
		Subject: string(h.PURL), Ecosystem: h.Ecosystem, Name: h.Name, Version: h.Version, Artifact: string(h.Artifact),
		Publisher: h.Publisher, Credential: h.Credential, At: h.At, Seq: h.Seq, Code: h.Code, Recalled: h.Recalled,
		Tags: list(h.Tags), Against: h.Diff.Against, Hooks: []resource.HookChange{},
		ID: h.ID, Approved: list(h.Approved), Needed: h.Needed,
	}
	if !h.Expires.IsZero() {
		out.Expires = &h.Expires
	}
	for _, p := range h.Points {
		out.Points = append(out.Points, resource.HoldPoint{Rule: p.Rule, Stage: string(p.Stage), Summary: p.Summary, Details: p.Details})
	}
	for _, m := range h.Diff.Made {
		out.Made = append(out.Made, resource.MadeChange(m))
	}
	for _, c := range h.Diff.Hooks {
		out.Hooks = append(out.Hooks, resource.HookChange(c))
	}
	return out
}

func (a *API) approve(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewApproval
	if err := decode(r, &in); err != nil {
		return err
	}
	p, err := a.release(r, actor, in.Subject)
	if err != nil {
		return err
	}
	made, err := a.Publish.Approve(r.Context(), actor, p, in.Reason)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, resource.Approval{
		Subject: string(made.PURL), Account: made.Account, Reason: made.Reason, At: made.At, Seq: made.Seq, Released: made.Released,
		Have: made.Have, Needed: made.Needed,
	})
}

func (a *API) rejectHold(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	p, err := a.release(r, actor, r.PathValue("subject"))
	if err != nil {
		return err
	}
	return done(w, a.Publish.Reject(r.Context(), actor, p, r.URL.Query().Get("reason")))
}

// release reads which release a request is about: a purl, the id of what waits, or an image reference of
// this server, whose tag is looked up now. The actor must be allowed to read it.
func (a *API) release(r *http.Request, actor evidence.Actor, text string) (purl.PURL, error) {
	if publish.IsID(text) {
		h, err := a.Publish.ByID(r.Context(), actor, evidence.Read, text)
		return h.PURL, err
	}
	q, err := trace.Parse(text)
	switch {
	case err != nil || q.PURL == "" && q.Repository == "":
		return "", fault.New(fault.Invalid, "subject-invalid",
			"%q names no release; give a purl with a version (pkg:npm/%%40acme/ui@1.2.3) or an image (acme/shop:1.0)", text[:min(len(text), 200)])
	case q.PURL != "":
		return q.PURL, nil
	}
	if err := a.Tracer.WithHosts(r.Host).Ours(q); err != nil {
		return "", err
	}
	if err := a.Core.MayRead(r.Context(), actor, purl.OCI, q.Repository); err != nil {
		return "", err
	}
	if q.Digest != "" {
		return purl.Image(q.Repository, string(q.Digest)), nil
	}
	found, err := a.Core.Resolve(r.Context(), purl.OCI, q.Repository, q.Tag)
	return found.PURL, err
}
