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
)

// put answers PUT of a file or of one of its checksums.
// Source: maven-resolver, BasicRepositoryConnector; the file comes before its checksums.
func (r *Registry) put(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	t := targetOf(req)
	if t.sum != "" {
		return r.putChecksum(w, req, t)
	}
	if t.snapshot() && t.build == t.version {
		return r.core.Refused(req.Context(), actor, "publish", t.coordinates.purl(), fault.New(fault.Invalid, "snapshot-unnumbered",
			"%s has no timestamp, and two builds would be told apart by nobody; use a client that deploys unique snapshots, as Maven 3 does", fault.Clip(t.file)))
	}
	stage, err := r.core.MustStage(req.Context(), actor, purl.Maven, t.name())
	if err != nil {
		return err
	}
	f, err := r.receive(req.Context(), t.coordinates, req.Body)
	if err != nil {
		return r.core.Refused(req.Context(), actor, "publish", t.coordinates.purl(), err)
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
	coordinates
	*registry.Incoming
	facts facts
	inv   *evidence.Inventory
}

// receive reads a file into the blob store. Nothing is believed of it yet.
func (r *Registry) receive(ctx context.Context, c coordinates, body io.Reader) (*incoming, error) {
	limit := r.limits.File
	switch {
	case c.sidecar != "":
		limit = r.limits.Signature
	case c.extension == "pom" || c.extension == "module":
		limit = r.limits.POM
	}
	sum5, sum1, sum512 := md5.New(), sha1.New(), sha512.New()
	in, err := r.core.Receive(ctx, fault.Clip(c.file), body, limit, sum5, sum1, sum512)
	if err != nil {
		return nil, err
	}
	if in.Size() == 0 {
		in.Close()
		return nil, fault.New(fault.Invalid, "body-malformed", "%s is empty; build it again", fault.Clip(c.file))
	}
	hexOf := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	return &incoming{coordinates: c, Incoming: in, facts: facts{MD5: hexOf(sum5), SHA1: hexOf(sum1), SHA512: hexOf(sum512)}}, nil
}

// identical reports whether the very same file was published before: a deployment that broke off half-way
// can be repeated, and changes nothing. Other bytes, or a file that was withdrawn, are refused later on.
func (r *Registry) identical(ctx context.Context, f *incoming) (bool, error) {
	o, err := r.offer(ctx, f.name())
	if err != nil {
		return false, err
	}
	i, ok := o.at[fileKey{f.build, f.file}]
	return ok && o.releases[i].Artifact == f.Digest() && o.releases[i].State != registry.Withdrawn, nil
}

// publish checks a file and puts it on the record.
func (r *Registry) publish(ctx context.Context, actor evidence.Actor, f *incoming, stage bool) (*registry.Hold, error) {
	proof, err := r.inspect(ctx, actor, f, r.published)
	if err != nil {
		return nil, r.core.Refused(ctx, actor, "publish", f.coordinates.purl(), err)
	}
	u, err := r.store(ctx, f)
	if err != nil {
		return nil, err
	}
	u.Stage, u.Contents = stage, append(u.Contents, proof...)
	hold, err := r.core.Submit(ctx, actor, u)
	return hold, overwritten(f.file, err)
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
	case f.sidecar != "":
		return r.inspectSidecar(ctx, actor, f, signed)
	case f.extension == "pom" && f.classifier == "":
		raw, err := f.content()
		if err != nil {
			return nil, err
		}
		p, err := parsePOM(raw)
		if err != nil {
			return nil, err
		}
		if err := p.check(f.coordinates); err != nil {
			return nil, err
		}
		f.facts.Packaging, f.facts.Title, f.facts.Description = p.Packaging, fault.Clip(p.Name), fault.Clip(strings.Join(strings.Fields(p.Description), " "))
		f.inv = p.inventory(evidence.File{Path: f.file, Size: f.Size(), Mode: 0o644, SHA256: f.Digest()})
	case f.extension == "module":
		raw, err := f.content()
		if err != nil {
			return nil, err
		}
		return nil, checkModule(raw, f.coordinates)
	case isZip(f.extension):
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
		Ecosystem: purl.Maven, Name: f.name(), Version: f.build, File: f.file, PURL: f.purl(),
		MediaType: contentType(f.coordinates), ArtifactType: f.sort(), Inventory: f.inv, Order: compareVersions,
	}
	err := r.core.Store(ctx, f.Incoming, &u, f.facts)
	return u, err
}

// maxChecksum is the longest file with a checksum, in bytes: some have the file's name in them.
const maxChecksum = 4096

// putChecksum compares a checksum with the file that it is about, and keeps nothing.
func (r *Registry) putChecksum(w http.ResponseWriter, req *http.Request, t target) error {
	raw, err := io.ReadAll(io.LimitReader(req.Body, maxChecksum))
	if err != nil {
		return fault.New(fault.Invalid, "body-malformed", "the request broke off").Because(err)
	}
	o, err := r.offer(req.Context(), t.name())
	if err != nil {
		return err
	}
	release, ok := o.file(t.coordinates)
	if !ok {
		return fault.New(fault.NotFound, "version-unknown", "%s was not deployed, so its checksum says nothing; deploy the file before its checksum", fault.Clip(t.file))
	}
	have, err := r.checksum(req.Context(), release, t.sum)
	if err != nil {
		return err
	}
	if err := checkSum(raw, t.sum, have, t.file); err != nil {
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
