package maven

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// folder is where the files of a version are.
func (c coordinates) folder() string {
	return strings.ReplaceAll(c.group, ".", "/") + "/" + c.artifact + "/" + c.version + "/"
}

// pom is the name of the version's pom.
func (c coordinates) pom() string { return c.artifact + "-" + c.build + ".pom" }

// ask gets a document of an upstream's; name is what it is about.
func (r *Registry) ask(ctx context.Context, name, path string, limit int64) (*registry.Document, error) {
	if r.upstream == nil {
		return nil, nameUnknown(name)
	}
	return r.upstream.Document(ctx, registry.Question{Ecosystem: purl.Maven, Name: name, Path: path, Limit: limit})
}

// listed is what an upstream has of a file. Its index names no files and no times: a version is as old as its pom is
// there, and one without a date as old as the first listing of it here. A file has the checksum that stands beside it.
func (r *Registry) listed(ctx context.Context, c coordinates) (registry.Listed, error) {
	l := registry.Listed{Release: registry.Release{
		Version: c.build, File: c.file, PURL: c.purl(), MediaType: contentType(c), ArtifactType: c.sort(),
	}}
	if r.upstream == nil {
		return l, fileUnknown(c)
	}
	if kept, err := r.core.Kept(ctx, purl.Maven, c.name(), c.build, c.file); err == nil {
		l.Fill(kept) // what was seen first counts: the upstream need not be asked again
		l.URL = kept.Origin
		return l, nil
	} else if fault.KindOf(err) != fault.NotFound {
		return l, err
	}
	pom, err := r.ask(ctx, c.name(), c.folder()+c.pom(), r.limits.POM)
	if err != nil {
		return l, err
	}
	l.Published, l.URL = pom.Modified, pom.Resolve(c.file)
	sum, err := r.ask(ctx, c.name(), c.folder()+c.file+".sha1", maxChecksum)
	switch {
	case err == nil:
		if hexSum, ok := sumIn(sum.Body, "sha1"); ok {
			l.Digests = []string{"sha1:" + hexSum}
		}
	case fault.KindOf(err) != fault.NotFound:
		return l, err
	}
	one := []registry.Listed{l}
	if err := r.core.Listed(ctx, purl.Maven, c.name(), one); err != nil {
		return l, err
	}
	return one[0], nil
}

// sumIn reads the hex checksum that a checksum file begins with.
func sumIn(raw []byte, algorithm string) (string, bool) {
	said, _, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
	said = strings.ToLower(said)
	sum, err := hex.DecodeString(said)
	size := map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}[algorithm]
	return said, err == nil && len(sum) == size
}

// serveUpstreamFile answers GET of a file, or of its checksum, of a name that is not hosted here.
func (r *Registry) serveUpstreamFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor, t target) error {
	ctx := req.Context()
	if t.snapshot() && t.build == t.version {
		return fileUnknown(t.coordinates) // what changes under its name cannot be kept
	}
	if t.sidecar != "" && t.sum == "" {
		return r.passOn(w, req, t)
	}
	if t.sum != "" {
		return r.serveUpstreamSum(w, req, t)
	}
	l, err := r.listed(ctx, t.coordinates)
	if err != nil {
		return err
	}
	return r.upstream.Serve(w, req, actor, t.name(), registry.Wanted{
		Listed: l, ContentType: contentType(t.coordinates),
		Read: func(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error) {
			return r.look(ctx, t.coordinates, artifact)
		},
	})
}

// passOn sends a small document of an upstream's as it is: a signature there is the business of who asks for it.
func (r *Registry) passOn(w http.ResponseWriter, req *http.Request, t target) error {
	d, err := r.ask(req.Context(), t.name(), t.coordinates.folder()+t.file, r.limits.Signature)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = revalidate
	registry.Answer(w, http.StatusOK, contentType(t.coordinates), d.Body)
	return nil
}

// serveUpstreamSum answers with a checksum of what is kept, and of what is not yet with the upstream's own.
func (r *Registry) serveUpstreamSum(w http.ResponseWriter, req *http.Request, t target) error {
	ctx := req.Context()
	kept, err := r.core.Kept(ctx, purl.Maven, t.name(), t.build, t.file)
	if err == nil {
		sum, err := r.sumOfBlob(ctx, kept.Artifact, t.sum)
		if err == nil {
			serveSum(w, sum)
		}
		return err
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	d, err := r.ask(ctx, t.name(), t.coordinates.folder()+t.file+"."+t.sum, maxChecksum)
	if err != nil {
		return err
	}
	sum, ok := sumIn(d.Body, t.sum)
	if !ok {
		return fileUnknown(t.coordinates)
	}
	serveSum(w, sum)
	return nil
}

// look makes the inventory of a file that was fetched. What cannot be read is said to be so: the upstream's users have
// it anyway, and nobody here can mend it.
func (r *Registry) look(ctx context.Context, c coordinates, artifact digest.Digest) (*evidence.Inventory, error) {
	inv := &evidence.Inventory{Analyser: registry.ReleaseAnalyser}
	err := r.core.Look(ctx, artifact, func(content blob.Reader) error {
		switch {
		case c.extension == "pom" && c.classifier == "":
			p, err := readPOM(content, r.limits.POM)
			if err != nil {
				return err
			}
			inv = p.inventory(evidence.File{Path: c.file, Size: content.Size(), Mode: 0o644, SHA256: artifact})
		case isZip(c.extension):
			found, _, err := readJar(content, content.Size(), c, r.limits)
			if err != nil {
				return err
			}
			inv = found
		}
		return nil
	})
	if err != nil && fault.KindOf(err) == fault.Internal {
		return nil, err
	}
	if err != nil {
		inv.Incomplete = fault.As(err).Code
	}
	return inv, nil
}
