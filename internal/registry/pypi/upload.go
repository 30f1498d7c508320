package pypi

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Media types of the files.
const (
	wheelType = "application/vnd.pypi.wheel"
	sdistType = "application/gzip"
)

// publication is one file on its way in.
type publication struct {
	r     *Registry
	actor evidence.Actor
	file  *received
	kind  dist.Sort
	// name is as the core keeps it, version in its normal form.
	name, version string
}

// redirectUpload answers who forgot the slash; clients repeat a POST on 308.
func (r *Registry) redirectUpload(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	io.CopyN(io.Discard, req.Body, 32<<20)
	w.Header().Set("Location", r.config.PublicURL+"legacy/")
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// upload answers POST /legacy/. Source: PyPI docs, "Upload API"; twine, package.py and repository.py.
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	p := &publication{r: r, actor: actor}
	defer func() { p.file.close() }()
	fields, err := r.readForm(req, func(file string, fields map[string][]string, content io.Reader) error {
		return p.take(req, file, fields, content)
	})
	if err == nil && p.file == nil {
		err = fault.New(fault.Invalid, "body-malformed", "the upload has no file; upload with twine").Because(errNoFile)
	}
	var hold *registry.Hold
	if err == nil {
		hold, err = p.publish(req.Context(), fields)
	}
	if err != nil {
		return p.refuse(req.Context(), err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if text := hold.Notice(p.file.name, string(purl.New(purl.PyPI, p.name, p.version))); text != "" {
		fmt.Fprintln(w, text)
	}
	return nil
}

// take receives the file, once it is known whose it is and that the caller may publish it.
func (p *publication) take(req *http.Request, file string, fields map[string][]string, content io.Reader) (err error) {
	if p.file != nil {
		return dist.Invalid("the upload has two files")
	}
	if p.kind, p.name, p.version, err = dist.ParseFile(file); err != nil {
		return err
	}
	said := fields["name"]
	if len(said) != 1 || dist.Normal(said[0]) != p.name {
		return dist.Mismatch("the file %q is not of the project %q, which has to be named before it", fault.Clip(file), fields["name"])
	}
	if p.actor, err = p.r.guard().Admit(req, p.actor, evidence.Publish, p.name); err != nil {
		if stage, serr := p.r.core.MustStage(req.Context(), p.actor, purl.PyPI, p.name); serr != nil || !stage {
			return err
		}
	}
	p.file, err = p.r.receive(req.Context(), file, content)
	return err
}

// refuse records that the gate said no, when it did; the core has recorded its own refusals.
func (p *publication) refuse(ctx context.Context, err error) error {
	if fault.As(err).Code == "file-exists" {
		// twine --skip-existing looks for these words (twine, commands/upload.py).
		err = fault.New(fault.Invalid, "file-exists", "File already exists ('%s'): the name of a file is never reused; publish a new version", fault.Clip(p.file.name)).Because(err)
	}
	if p.name == "" {
		return err
	}
	return p.r.core.Refused(ctx, p.actor, "publish", purl.New(purl.PyPI, p.name, p.version), err)
}

// publish checks what was received and submits it.
func (p *publication) publish(ctx context.Context, fields map[string][]string) (*registry.Hold, error) {
	if err := p.checkForm(fields); err != nil {
		return nil, err
	}
	in, err := p.read()
	if err != nil {
		return nil, err
	}
	if err := in.Metadata.Compare(fields); err != nil {
		return nil, err
	}
	proofs, err := p.r.prove(fields["attestations"], p.file.name, p.file.Digest(), p.actor)
	if err != nil {
		return nil, err
	}
	u, again, err := p.prepare(ctx, in)
	if err != nil || again {
		return nil, err
	}
	if u.Stage, err = p.r.core.MustStage(ctx, p.actor, purl.PyPI, p.name); err != nil {
		return nil, err
	}
	if err := p.store(ctx, u, in, proofs); err != nil {
		return nil, err
	}
	hold, err := p.r.core.Submit(ctx, p.actor, *u)
	if err != nil && fault.As(err).Code == "sort-exists" {
		err = fault.New(fault.Invalid, "sort-exists", "%s %s has a source distribution already, and a release has one; publish a new version", p.name, p.version).Because(err)
	}
	return hold, err
}

func (p *publication) checkForm(fields map[string][]string) error {
	one := func(key string) string {
		if len(fields[key]) == 0 {
			return ""
		}
		return fields[key][0]
	}
	if one(":action") != "file_upload" {
		return dist.Invalid("the only action here is file_upload, not %q", fault.Clip(one(":action")))
	}
	if !dist.SameVersion(one("version"), p.version) {
		return dist.Mismatch("the file %q is not of version %q", fault.Clip(p.file.name), fault.Clip(one("version")))
	}
	if one("filetype") != string(p.kind) {
		return dist.Mismatch("the file %q is not of the sort %q", fault.Clip(p.file.name), fault.Clip(one("filetype")))
	}
	for field, sum := range map[string]string{
		"sha256_digest": p.file.Digest().Hex(), "md5_digest": p.file.md5Sum(), "blake2_256_digest": p.file.blake2Sum(),
	} {
		if said := one(field); said != "" && said != sum {
			return fault.New(fault.Invalid, "digest-mismatch", "the file received has the %s %s and not %s as announced; upload it again", field, sum, fault.Clip(said))
		}
	}
	return nil
}

// read reads the received file, before it has a name in the blob store.
func (p *publication) read() (in *dist.Inside, err error) {
	err = p.file.Look(func(content blob.Reader) (err error) {
		in, err = readFile(p.kind, content, p.name, p.version, p.r.limits.Archive)
		return err
	})
	return in, err
}

func readFile(kind dist.Sort, content blob.Reader, name, version string, limits safearchive.Limits) (*dist.Inside, error) {
	if kind == dist.Wheel {
		return dist.ReadWheel(content, content.Size(), name, version, limits)
	}
	return dist.ReadSdist(content, name, version, limits)
}

// prepare makes the core's upload of what was read. It returns true when the same file is here already:
// a client that was cut off sends it again.
func (p *publication) prepare(ctx context.Context, in *dist.Inside) (*registry.Upload, bool, error) {
	if err := p.spell(ctx); err != nil {
		return nil, false, err
	}
	before, err := p.r.core.File(ctx, purl.PyPI, p.name, p.file.name)
	switch {
	case err == nil && before.Artifact == p.file.Digest() && before.State != registry.Withdrawn && before.Recalled == "":
		return nil, true, nil
	case err == nil:
		return nil, false, fault.New(fault.Conflict, "file-exists", "%s was published before", fault.Clip(p.file.name))
	case fault.KindOf(err) != fault.NotFound:
		return nil, false, err
	}
	u := p.r.newUpload(p.name, p.version)
	u.File, u.Inventory, u.ArtifactType = p.file.name, in.Inventory, string(p.kind)
	u.MediaType, u.Sole = wheelType, p.kind == dist.Sdist
	if p.kind == dist.Sdist {
		u.MediaType = sdistType
	}
	return u, false, nil
}

// spell gives the version the spelling under which it was published first: 1.0 and 1.0.0 are one release.
func (p *publication) spell(ctx context.Context) error {
	_, err := p.r.core.Release(ctx, purl.PyPI, p.name, p.version)
	if err == nil || fault.KindOf(err) != fault.NotFound {
		return err
	}
	all, err := p.r.core.Releases(ctx, purl.PyPI, p.name)
	for _, r := range all {
		if dist.SameVersion(r.Version, p.version) {
			p.version = r.Version
		}
	}
	return err
}

// newUpload is what all uploads of a release share.
func (r *Registry) newUpload(name, version string) *registry.Upload {
	return &registry.Upload{
		Ecosystem: purl.PyPI, Name: name, Version: version, PURL: purl.New(purl.PyPI, name, version),
		Order: dist.CompareVersions, OpenFor: r.config.OpenFor,
	}
}

// store makes the file durable, with what is told of it and what proves it.
func (p *publication) store(ctx context.Context, u *registry.Upload, in *dist.Inside, proofs *proven) error {
	known := &facts{
		Name: in.Metadata.Get("name"), RequiresPython: in.Metadata.Get("requires-python"), Summary: fault.Clip(in.Metadata.Get("summary")),
		Core: digest.FromBytes(in.Metadata.Raw), MD5: p.file.md5Sum(), Blake2: p.file.blake2Sum(),
	}
	beside := [][]byte{in.Metadata.Raw}
	if proofs != nil {
		known.Provenance = digest.FromBytes(proofs.served)
		beside = append(append(beside, proofs.served), proofs.bundles...)
	}
	if err := p.r.core.Store(ctx, p.file.Incoming, u, known, beside...); err != nil {
		return err
	}
	if proofs != nil {
		u.Contents = append(u.Contents, proofs.statements(u.PURL, u.Artifact)...)
	}
	return nil
}
