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
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// ask gets a document of an upstream's; name is what it is about.
func (r *Registry) ask(ctx context.Context, name, path string, limit int64) (*registry.Document, error) {
	if r.upstream == nil {
		return nil, nameUnknown(name)
	}
	return r.upstream.Document(ctx, registry.Question{Ecosystem: purl.Maven, Name: name, Path: path, Limit: limit})
}

// listed is what an upstream has of a file. Its index names no files and no times: a version is as old as its pom is
// there, and one without a date as old as the first listing of it here. A file has the checksum that stands beside it.
func (r *Registry) listed(ctx context.Context, c layout.Coordinates) (registry.Listed, error) {
	l := registry.Listed{Release: registry.Release{
		Version: c.Build, File: c.File, PURL: c.PURL(), MediaType: contentType(c), ArtifactType: c.Sort(),
	}}
	if r.upstream == nil {
		return l, fileUnknown(c)
	}
	if kept, err := r.core.Kept(ctx, purl.Maven, c.Name(), c.Build, c.File); err == nil {
		l.Fill(kept) // what was seen first counts: the upstream need not be asked again
		l.URL = kept.Origin
		return l, nil
	} else if fault.KindOf(err) != fault.NotFound {
		return l, err
	}
	pom, err := r.ask(ctx, c.Name(), c.Dir()+c.POM(), r.limits.POM)
	if err != nil {
		return l, err
	}
	l.Published, l.URL = pom.Modified, pom.Resolve(c.File)
	sum, err := r.ask(ctx, c.Name(), c.Dir()+c.File+".sha1", maxChecksum)
	switch {
	case err == nil:
		if hexSum, ok := sumIn(sum.Body, "sha1"); ok {
			l.Digests = []string{"sha1:" + hexSum}
		}
	case fault.KindOf(err) != fault.NotFound:
		return l, err
	}
	one := []registry.Listed{l}
	if err := r.core.Listed(ctx, purl.Maven, c.Name(), one); err != nil {
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
func (r *Registry) serveUpstreamFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor, t layout.Target) error {
	ctx := req.Context()
	if t.Snapshot() && t.Build == t.Version {
		return fileUnknown(t.Coordinates) // what changes under its name cannot be kept
	}
	if t.Sidecar != "" && t.Sum == "" {
		return r.passOn(w, req, t)
	}
	if t.Sum != "" {
		return r.serveUpstreamSum(w, req, t)
	}
	l, err := r.listed(ctx, t.Coordinates)
	if err != nil {
		return err
	}
	return r.upstream.Serve(w, req, actor, t.Name(), registry.Wanted{
		Listed: l, ContentType: contentType(t.Coordinates),
		Read: func(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error) {
			return r.look(ctx, t.Coordinates, artifact)
		},
	})
}

// passOn sends a small document of an upstream's as it is: a signature there is the business of who asks for it.
func (r *Registry) passOn(w http.ResponseWriter, req *http.Request, t layout.Target) error {
	d, err := r.ask(req.Context(), t.Name(), t.Coordinates.Dir()+t.File, r.limits.Signature)
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = revalidate
	registry.Answer(w, http.StatusOK, contentType(t.Coordinates), d.Body)
	return nil
}

// serveUpstreamSum answers with a checksum of what is kept, and of what is not yet with the upstream's own.
func (r *Registry) serveUpstreamSum(w http.ResponseWriter, req *http.Request, t layout.Target) error {
	ctx := req.Context()
	kept, err := r.core.Kept(ctx, purl.Maven, t.Name(), t.Build, t.File)
	if err == nil {
		sum, err := r.sumOfBlob(ctx, kept.Artifact, t.Sum)
		if err == nil {
			serveSum(w, sum)
		}
		return err
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	d, err := r.ask(ctx, t.Name(), t.Coordinates.Dir()+t.File+"."+t.Sum, maxChecksum)
	if err != nil {
		return err
	}
	sum, ok := sumIn(d.Body, t.Sum)
	if !ok {
		return fileUnknown(t.Coordinates)
	}
	serveSum(w, sum)
	return nil
}

// look makes the inventory of a file that was fetched. What cannot be read is said to be so: the upstream's users have
// it anyway, and nobody here can mend it.
func (r *Registry) look(ctx context.Context, c layout.Coordinates, artifact digest.Digest) (*evidence.Inventory, error) {
	inv := &evidence.Inventory{Analyser: registry.ReleaseAnalyser}
	err := r.core.Look(ctx, artifact, func(content blob.Reader) error {
		switch {
		case c.Extension == "pom" && c.Classifier == "":
			p, err := layout.ReadPOM(content, r.limits.POM)
			if err != nil {
				return err
			}
			inv = p.Inventory(evidence.File{Path: c.File, Size: content.Size(), Mode: 0o644, SHA256: artifact})
		case layout.IsZip(c.Extension):
			found, _, err := layout.ReadJar(content, content.Size(), c, r.limits.Archive, r.limits.POM)
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
