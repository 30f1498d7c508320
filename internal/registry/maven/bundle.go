package maven

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// maxBundleFiles is how many files a deployment may have, and maxBundleErrors of how many it is said what is wrong.
const (
	maxBundleFiles  = 2_000
	maxBundleErrors = 50
)

// uploadBundle answers POST /publisher/upload: a zip archive in the layout of a repository. What is wrong with it is
// told by its status, as the Portal does; then nothing of it is kept.
func (r *Registry) uploadBundle(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	if actor.Anonymous() {
		return fault.New(fault.Unauthenticated, "login-required", "this needs a credential; send Authorization: Bearer with base64 of user:token")
	}
	q := req.URL.Query()
	kind := q.Get("publishingType")
	if kind != "" && kind != "AUTOMATIC" && kind != "USER_MANAGED" {
		return fault.New(fault.Invalid, "deployment-invalid", "%q is not a publishing type; use AUTOMATIC or USER_MANAGED", fault.Clip(kind))
	}
	part, err := bundlePart(req)
	if err != nil {
		return err
	}
	b := &bundle{r: r, actor: actor, files: map[string]*bundled{}, note: note{Title: fault.Clip(q.Get("name")), Automatic: kind == "AUTOMATIC", Errors: map[string][]string{}}}
	if err := b.read(req.Context(), part); err != nil {
		return err
	}
	d, err := b.open(req.Context())
	if err != nil {
		return err
	}
	if b.note.Automatic && len(b.note.Errors) == 0 {
		if err := r.publishDraft(req.Context(), actor, d); err != nil {
			if err := b.fail(req.Context(), d, err); err != nil {
				return err
			}
		}
	}
	registry.Answer(w, http.StatusCreated, plainText, []byte(d.ID))
	return nil
}

// bundlePart finds the part of the form that is the archive.
func bundlePart(req *http.Request) (io.Reader, error) {
	form, err := req.MultipartReader()
	if err != nil {
		return nil, fault.New(fault.Invalid, "deployment-invalid", "the bundle is sent as the part \"bundle\" of a form: curl --form bundle=@bundle.zip").Because(err)
	}
	for range 10 {
		part, err := form.NextPart()
		if err != nil {
			return nil, fault.New(fault.Invalid, "deployment-invalid", "the form has no part \"bundle\": curl --form bundle=@bundle.zip").Because(err)
		}
		if part.FormName() == "bundle" {
			return part, nil
		}
	}
	return nil, fault.New(fault.Invalid, "deployment-invalid", "the form has too many parts before its bundle")
}

// bundle is a deployment on its way in.
type bundle struct {
	r     *Registry
	actor evidence.Actor
	note  note
	files map[string]*bundled // by path
	may   map[string]error    // by name
}

// bundled is a file of it that was stored.
type bundled struct {
	registry.DraftFile
	facts facts
}

// read takes the archive apart, twice: what signatures and checksums are about may come after them.
func (b *bundle) read(ctx context.Context, part io.Reader) error {
	f, err := b.r.core.Receive(ctx, "the bundle", part, b.r.limits.Archive.Packed)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Look(func(content blob.Reader) error { return b.walk(ctx, content) })
}

func (b *bundle) walk(ctx context.Context, archive blob.Reader) error {
	for _, pass := range []func(context.Context, layout.Target, io.Reader) error{b.takeFile, b.takeSidecar} {
		err := safearchive.WalkZip(archive, archive.Size(), b.r.limits.Archive, func(e safearchive.Entry, content io.Reader) error {
			if e.Kind != safearchive.File {
				return nil
			}
			return b.entry(ctx, e.Path, content, pass)
		})
		if err != nil && fault.KindOf(err) == fault.Internal {
			return err
		}
		if err != nil {
			b.wrong("bundle", err)
			return nil
		}
	}
	if len(b.files) == 0 && len(b.note.Errors) == 0 {
		b.wrong("bundle", fault.New(fault.Invalid, "draft-empty", "it holds no file of a repository"))
	}
	return nil
}

// entry gives one file of the archive to pass, and writes down what is wrong with it.
func (b *bundle) entry(ctx context.Context, path string, content io.Reader, pass func(context.Context, layout.Target, io.Reader) error) error {
	t, err := layout.ParsePath(path)
	if err == nil && t.Shape != layout.ShapeFile {
		return nil // metadata is rendered here
	}
	if err == nil {
		err = b.mayStage(ctx, t.Name())
	}
	if err == nil && len(b.note.Errors) < maxBundleErrors {
		err = pass(ctx, t, content)
	}
	if err == nil || fault.KindOf(err) == fault.Internal {
		return err
	}
	b.wrong(path, err)
	return nil
}

func (b *bundle) wrong(path string, err error) {
	if text := fault.As(err).Text; len(b.note.Errors) < maxBundleErrors && len(b.note.Errors[path]) == 0 {
		b.note.Errors[fault.Clip(path)] = []string{text}
	}
}

// mayStage asks once for each name.
func (b *bundle) mayStage(ctx context.Context, name string) error {
	if b.may == nil {
		b.may = map[string]error{}
	}
	err, asked := b.may[name]
	if !asked {
		_, err = b.r.core.MustStage(ctx, b.actor, purl.Maven, name)
		b.may[name] = err
	}
	return unaskable(err)
}

// takeFile stores what is neither checksum nor signature.
func (b *bundle) takeFile(ctx context.Context, t layout.Target, content io.Reader) error {
	if t.Sum != "" || t.Sidecar != "" {
		return nil
	}
	if t.Snapshot() {
		return fault.New(fault.Invalid, "deployment-invalid", "%s is a snapshot, and deployments are of releases; deploy snapshots with mvn deploy", fault.Clip(t.File))
	}
	return b.take(ctx, t, content)
}

// takeSidecar checks checksums, and stores signatures.
func (b *bundle) takeSidecar(ctx context.Context, t layout.Target, content io.Reader) error {
	switch {
	case t.Sum == "" && t.Sidecar == "":
		return nil
	case t.Sum == "":
		return b.take(ctx, t, content)
	}
	f := b.files[t.Name()+" "+t.File]
	if f == nil && t.Sidecar != "" {
		return nil // the signature may come later; its checksum says nothing that the signature does not
	}
	if f == nil {
		return fault.New(fault.Invalid, "deployment-invalid", "%s is not in the bundle, and a checksum of it is", fault.Clip(t.File))
	}
	raw, err := io.ReadAll(io.LimitReader(content, maxChecksum))
	if err != nil {
		return err
	}
	have := f.facts.sum(t.Sum)
	if t.Sum == "sha256" {
		have = f.Artifact.Hex()
	}
	return checkSum(raw, t.Sum, have, t.File)
}

func (b *bundle) take(ctx context.Context, t layout.Target, content io.Reader) error {
	if len(b.files) >= maxBundleFiles {
		return fault.New(fault.TooLarge, "body-too-large", "a bundle may have %d files; upload its projects one by one", maxBundleFiles)
	}
	f, err := b.r.receive(ctx, t.Coordinates, content)
	if err != nil {
		return err
	}
	defer f.Close()
	o, err := b.r.offer(ctx, t.Name())
	if err != nil {
		return err
	}
	if _, exists := o.at[fileKey{t.Build, t.File}]; exists {
		return overwritten(t.File, fault.New(fault.Conflict, "file-exists", "used"))
	}
	if _, err := b.r.inspect(ctx, b.actor, f, b.signed); err != nil {
		return err
	}
	u, err := b.r.store(ctx, f)
	if err != nil {
		return err
	}
	b.files[t.Name()+" "+t.File] = &bundled{u.DraftFile(), f.facts}
	return nil
}

// signed finds what a sidecar is about: beside it, or published already.
func (b *bundle) signed(ctx context.Context, c layout.Coordinates) (digest.Digest, error) {
	if f := b.files[c.Name()+" "+c.Signed()]; f != nil {
		return f.Artifact, nil
	}
	return b.r.published(ctx, c)
}

// open makes the draft. One with errors has no files.
func (b *bundle) open(ctx context.Context) (registry.Draft, error) {
	b.complete(ctx)
	raw, err := json.Marshal(b.note)
	if err != nil {
		return registry.Draft{}, err
	}
	d, err := b.r.core.OpenDraft(ctx, b.actor, registry.Draft{Ecosystem: purl.Maven, Note: string(raw)}, deploymentLife, b.r.random)
	if err != nil || len(b.note.Errors) > 0 {
		return d, err
	}
	for _, f := range b.files {
		if err := b.r.core.PutDraftFile(ctx, d.ID, f.DraftFile); err != nil {
			return d, err
		}
		d.Files = append(d.Files, f.DraftFile)
	}
	return d, nil
}

// complete looks whether every version has its pom: without it nobody can depend on it.
func (b *bundle) complete(ctx context.Context) {
	poms := map[string]bool{}
	for _, f := range b.files {
		poms[string(f.PURL)] = poms[string(f.PURL)] || f.Type == "pom"
	}
	for _, f := range b.files {
		if poms[string(f.PURL)] {
			continue
		}
		o, err := b.r.offer(ctx, f.Name)
		_, artifact, _ := strings.Cut(f.Name, "/")
		if err == nil {
			if _, ok := o.at[fileKey{f.Version, artifact + "-" + f.Version + ".pom"}]; ok {
				continue
			}
		}
		b.wrong(string(f.PURL), fault.New(fault.Invalid, "deployment-invalid", "it has no pom; add the one that mvn makes"))
	}
}

// fail turns a deployment that could not be published into one with an error.
func (b *bundle) fail(ctx context.Context, d registry.Draft, err error) error {
	if fault.KindOf(err) == fault.Internal {
		return err
	}
	b.wrong("bundle", err)
	raw, merr := json.Marshal(b.note)
	if merr != nil {
		return merr
	}
	return b.r.core.NoteDraft(ctx, d.ID, string(raw))
}
