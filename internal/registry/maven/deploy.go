package maven

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// put answers PUT of a file or of one of its checksums.
// Source: maven-resolver, BasicRepositoryConnector; the file comes before its checksums.
func (r *Registry) put(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	t := targetOf(req)
	if t.Sum != "" {
		return r.putChecksum(w, req, t)
	}
	if t.Snapshot() && t.Build == t.Version {
		return r.core.Refused(req.Context(), actor, "publish", t.Coordinates.PURL(), fault.New(fault.Invalid, "snapshot-unnumbered",
			"%s has no timestamp, and two builds would be told apart by nobody; use a client that deploys unique snapshots, as Maven 3 does", fault.Clip(t.File)))
	}
	stage, err := r.core.MustStage(req.Context(), actor, purl.Maven, t.Name())
	if err != nil {
		return err
	}
	f, err := r.receive(req.Context(), t.Coordinates, req.Body)
	if err != nil {
		return r.core.Refused(req.Context(), actor, "publish", t.Coordinates.PURL(), err)
	}
	defer f.Close()
	if known, err := r.identical(req.Context(), f); known || err != nil {
		return r.answerPut(w, nil, err)
	}
	hold, err := r.publish(req.Context(), actor, f, stage)
	return r.answerPut(w, hold, err)
}

// answerPut says that a file was taken. mvn shows nothing of a good answer, so what a held file needs is in
// a header for those who look.
func (r *Registry) answerPut(w http.ResponseWriter, hold *registry.Hold, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusCreated
	if hold.Waits() {
		w.Header().Set("Hullmark-Notice", "held: "+strings.Join(strings.Fields(hold.Summary), " "))
		status = http.StatusAccepted
	}
	w.WriteHeader(status)
	return nil
}

// forget answers PUT of metadata and of its checksums: they are rendered here, from what was published.
func (r *Registry) forget(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	w.WriteHeader(http.StatusCreated)
	return nil
}

// incoming is a file on its way in.
type incoming struct {
	layout.Coordinates
	*registry.Incoming
	facts facts
	inv   *evidence.Inventory
}

// receive reads a file into the blob store. Nothing is believed of it yet.
func (r *Registry) receive(ctx context.Context, c layout.Coordinates, body io.Reader) (*incoming, error) {
	limit := r.limits.File
	switch {
	case c.Sidecar != "":
		limit = r.limits.Signature
	case c.Extension == "pom" || c.Extension == "module":
		limit = r.limits.POM
	}
	sum5, sum1, sum512 := md5.New(), sha1.New(), sha512.New()
	in, err := r.core.Receive(ctx, fault.Clip(c.File), body, limit, sum5, sum1, sum512)
	if err != nil {
		return nil, err
	}
	if in.Size() == 0 {
		in.Close()
		return nil, fault.New(fault.Invalid, "body-malformed", "%s is empty; build it again", fault.Clip(c.File))
	}
	hexOf := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	return &incoming{Coordinates: c, Incoming: in, facts: facts{MD5: hexOf(sum5), SHA1: hexOf(sum1), SHA512: hexOf(sum512)}}, nil
}

// identical reports whether the very same file was published before: a deployment that broke off half-way
// can be repeated, and changes nothing. Other bytes, or a file that was withdrawn, are refused later on.
func (r *Registry) identical(ctx context.Context, f *incoming) (bool, error) {
	o, err := r.offer(ctx, f.Name())
	if err != nil {
		return false, err
	}
	i, ok := o.at[fileKey{f.Build, f.File}]
	return ok && o.releases[i].Artifact == f.Digest() && o.releases[i].State != registry.Withdrawn, nil
}

// publish checks a file and puts it on the record.
func (r *Registry) publish(ctx context.Context, actor evidence.Actor, f *incoming, stage bool) (*registry.Hold, error) {
	proof, err := r.inspect(ctx, actor, f, r.published)
	if err != nil {
		return nil, r.core.Refused(ctx, actor, "publish", f.Coordinates.PURL(), err)
	}
	u, err := r.store(ctx, f)
	if err != nil {
		return nil, err
	}
	u.Stage, u.Contents = stage, append(u.Contents, proof...)
	hold, err := r.core.Submit(ctx, actor, u)
	return hold, overwritten(f.File, err)
}

// overwritten says of a file that exists what to do about it in the words of Maven.
func overwritten(file string, err error) error {
	if err == nil || fault.As(err).Code != "file-exists" {
		return err
	}
	return fault.New(fault.Conflict, "file-exists",
		"%s was deployed before with other content, and a release is never overwritten; deploy a new version", fault.Clip(file)).Because(err)
}

// inspect checks what is in a file. signed finds what a sidecar is about. It returns what is to be on the record beside the
// publication.
func (r *Registry) inspect(ctx context.Context, actor evidence.Actor, f *incoming, signed lookup) ([]evidence.Draft, error) {
	switch {
	case f.Sidecar != "":
		return r.inspectSidecar(ctx, actor, f, signed)
	case f.Extension == "pom" && f.Classifier == "":
		raw, err := f.content()
		if err != nil {
			return nil, err
		}
		p, err := layout.ParsePOM(raw)
		if err != nil {
			return nil, err
		}
		if err := p.Check(f.Coordinates); err != nil {
			return nil, err
		}
		f.facts.Packaging, f.facts.Title, f.facts.Description = p.Packaging, fault.Clip(p.Name), fault.Clip(strings.Join(strings.Fields(p.Description), " "))
		f.inv = p.Inventory(evidence.File{Path: f.File, Size: f.Size(), Mode: 0o644, SHA256: f.Digest()})
	case f.Extension == "module":
		raw, err := f.content()
		if err != nil {
			return nil, err
		}
		return nil, layout.CheckModule(raw, f.Coordinates)
	case layout.IsZip(f.Extension):
		return nil, r.inspectJar(f)
	}
	return nil, nil
}

// content returns the bytes of a small file.
func (f *incoming) content() (raw []byte, err error) {
	err = f.Look(func(content blob.Reader) (err error) {
		raw, err = io.ReadAll(content)
		return err
	})
	return raw, err
}

// store makes the file durable, with what is kept about it, and returns the upload that names it.
func (r *Registry) store(ctx context.Context, f *incoming) (registry.Upload, error) {
	u := registry.Upload{
		Ecosystem: purl.Maven, Name: f.Name(), Version: f.Build, File: f.File, PURL: f.PURL(),
		MediaType: contentType(f.Coordinates), ArtifactType: f.Sort(), Inventory: f.inv, Order: compareVersions,
	}
	err := r.core.Store(ctx, f.Incoming, &u, f.facts)
	return u, err
}

// maxChecksum is the longest file with a checksum, in bytes: some have the file's name in them.
const maxChecksum = 4096

// putChecksum compares a checksum with the file that it is about, and keeps nothing.
func (r *Registry) putChecksum(w http.ResponseWriter, req *http.Request, t layout.Target) error {
	raw, err := io.ReadAll(io.LimitReader(req.Body, maxChecksum))
	if err != nil {
		return fault.New(fault.Invalid, "body-malformed", "the request broke off").Because(err)
	}
	o, err := r.offer(req.Context(), t.Name())
	if err != nil {
		return err
	}
	release, ok := o.file(t.Coordinates)
	if !ok {
		return fault.New(fault.NotFound, "version-unknown", "%s was not deployed, so its checksum says nothing; deploy the file before its checksum", fault.Clip(t.File))
	}
	have, err := r.checksum(req.Context(), release, t.Sum)
	if err != nil {
		return err
	}
	if err := checkSum(raw, t.Sum, have, t.File); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// checkSum compares the content of a checksum file with a hex checksum.
func checkSum(raw []byte, algorithm, have, file string) error {
	said, _, _ := strings.Cut(string(bytes.TrimSpace(raw)), " ")
	if strings.EqualFold(strings.TrimSpace(said), have) {
		return nil
	}
	return fault.New(fault.Integrity, "checksum-differs",
		"the %s of %s is %s and not %q as its checksum says; the file was changed on its way here: deploy it again", algorithm, fault.Clip(file), have, fault.Clip(said))
}

// inspectJar looks into an archive on its way in.
func (r *Registry) inspectJar(f *incoming) error {
	return f.Look(func(content blob.Reader) error {
		inv, j, err := layout.ReadJar(content, content.Size(), f.Coordinates, r.limits.Archive, r.limits.POM)
		if err != nil {
			return err
		}
		f.inv, f.facts.Goal = inv, j.Goal
		return j.Check(f.Coordinates)
	})
}
