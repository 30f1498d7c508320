package nuget

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// The sorts of files of a version.
const (
	packageType = "nupkg"
	symbolsType = "snupkg"
	contentType = "application/octet-stream"
)

// push is a package on its way in.
type push struct {
	r       *Registry
	actor   evidence.Actor
	file    *registry.Incoming
	sha512  hash.Hash
	sort    string // packageType or symbolsType
	inside  *nupkg.Inside
	stage   bool
	author  *Signature // nil: none that was verified
	checked []byte     // the signature that it was
	pushed  digest.Digest
}

// pushPackage answers PUT api/v2/package. Source: NuGet docs, "Push and delete".
func (r *Registry) pushPackage(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	return r.push(w, req, &push{r: r, actor: actor, sort: packageType})
}

// push takes a package in. Whether the name is theirs who send it only the package can tell.
func (r *Registry) push(w http.ResponseWriter, req *http.Request, p *push) error {
	defer func() { p.file.Close() }()
	hold, err := p.take(req)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if hold.Waits() {
		status = http.StatusAccepted
	}
	if text := hold.Notice(string(p.purl()), string(p.purl())); text != "" {
		w.Header().Set(warningHeader, registry.OneLine(text))
	}
	w.WriteHeader(status)
	return nil
}

// warningHeader is printed by NuGet clients whatever the status. Source: NuGet.Client, ProtocolConstants.cs.
const warningHeader = "X-NuGet-Warning"

func (p *push) name() string    { return strings.ToLower(p.inside.Nuspec.ID) }
func (p *push) version() string { return p.inside.Nuspec.Version.Key() }
func (p *push) purl() purl.PURL { return purl.New(purl.NuGet, p.name(), p.version()) }

func (p *push) take(req *http.Request) (*registry.Hold, error) {
	ctx := req.Context()
	if err := p.receive(req); err != nil {
		return nil, err
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	if err := p.admit(req); err != nil {
		return nil, err
	}
	if p.sort == symbolsType {
		if err := p.checkSymbols(req); err != nil {
			return nil, p.r.core.Refused(ctx, p.actor, "publish", p.purl(), err)
		}
	}
	hold, err := p.publish(ctx)
	if err != nil {
		return nil, p.r.core.Refused(ctx, p.actor, "publish", p.purl(), err)
	}
	return hold, nil
}

// receive stores the request's one file. Clients send a form with one part; what it is called differs.
func (p *push) receive(req *http.Request) error {
	kind, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return malformed("it must be a multipart form with one file, as nuget push sends it")
	}
	part, err := multipart.NewReader(req.Body, params["boundary"]).NextPart()
	if err != nil {
		return malformed("it must be a multipart form with one file, as nuget push sends it").Because(err)
	}
	p.sha512 = sha512.New()
	p.file, err = p.r.core.Receive(req.Context(), "the package", part, p.r.limits.Archive.Packed, p.sha512)
	return err
}

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "body-malformed", "the request cannot be read: "+format, args...)
}

// read reads the received package.
func (p *push) read() error {
	return p.file.Look(func(content blob.Reader) (err error) {
		p.inside, err = nupkg.ReadInside(content, content.Size(), p.r.limits.Archive)
		return err
	})
}

// replace puts another file in the place of the received one.
func (p *push) replace(ctx context.Context, write func(io.Writer) error) error {
	sum := sha512.New()
	other, err := p.r.core.NewIncoming(ctx, sum)
	if err != nil {
		return err
	}
	if err := write(other); err != nil {
		other.Close()
		return fmt.Errorf("countersign %s: %w", p.purl(), err)
	}
	p.file.Close()
	p.pushed = digest.Sum(digest.SHA512, p.sha512)
	p.file, p.sha512 = other, sum
	return p.read() // the inventory is of what is served
}

// admit asks whether the name is theirs. Clients of NuGet cannot send a second factor: who would need one
// stages, and a person approves.
func (p *push) admit(req *http.Request) (err error) {
	p.stage, err = p.r.core.MustStage(req.Context(), p.actor, purl.NuGet, p.name())
	if err != nil {
		p.actor, err = p.r.guard().Admit(req, p.actor, evidence.Publish, p.name())
	}
	return err
}

// publish returns why the version is held, if it is.
func (p *push) publish(ctx context.Context) (*registry.Hold, error) {
	file := fileName(p.name(), p.version(), p.sort)
	if err := p.unused(ctx, file); err != nil {
		return nil, err
	}
	if err := p.checkSignature(); err != nil {
		return nil, err
	}
	owner, err := p.r.owner(ctx, p.name())
	if err != nil {
		return nil, err
	}
	if err := p.countersign(ctx, owner); err != nil {
		return nil, err
	}
	upload := registry.Upload{
		Ecosystem: purl.NuGet, Name: p.name(), Version: p.version(), File: file, PURL: p.purl(),
		MediaType: contentType, ArtifactType: p.sort, Inventory: p.inside.Inventory, Order: nupkg.CompareKeys, Stage: p.stage,
	}
	if err := p.store(ctx, &upload); err != nil {
		return nil, err
	}
	return p.r.core.Submit(ctx, p.actor, upload)
}

// unused fails when the file was published before, in whatever spelling of the version: better now than
// after it has been stored.
func (p *push) unused(ctx context.Context, file string) error {
	_, err := p.r.core.File(ctx, purl.NuGet, p.name(), file)
	switch {
	case err == nil:
		return fault.New(fault.Conflict, "version-exists",
			"%s %s was published before, and a version is never reused; publish a new version number", p.inside.Nuspec.ID, p.version())
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	return nil
}

// store makes the package durable, with what is told of it.
func (p *push) store(ctx context.Context, u *registry.Upload) error {
	m := described(p.inside.Nuspec)
	m.SHA512, m.Pushed = base64.StdEncoding.EncodeToString(p.sha512.Sum(nil)), p.pushed
	m.Nuspec = digest.FromBytes(p.inside.Raw)
	beside := [][]byte{p.inside.Raw}
	if p.inside.Readme != nil {
		m.Readme = digest.FromBytes(p.inside.Readme)
		beside = append(beside, p.inside.Readme)
	}
	if p.author != nil {
		m.Author = p.author.Subject
		beside = append(beside, p.checked)
	}
	if err := p.r.core.Store(ctx, p.file, u, m, beside...); err != nil {
		return err
	}
	if p.author != nil {
		u.Contents = append(u.Contents, p.author.Statement(u.PURL, u.Artifact, digest.FromBytes(p.checked)))
	}
	return nil
}

// fileName is what a file of a version is called in the core, and in its address.
func fileName(name, version, sort string) string { return name + "." + version + "." + sort }

// unlist answers DELETE api/v2/package/{id}/{version}: NuGet means by it that a version is not proposed any
// more; who depends on it still gets it. Source: NuGet docs, "Push and delete".
func (r *Registry) unlist(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name, key, err := versionOf(req)
	if err != nil {
		return err
	}
	if err := r.core.Unlist(req.Context(), actor, purl.NuGet, name, key, "unlisted by its publisher"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// relist answers POST api/v2/package/{id}/{version}.
func (r *Registry) relist(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name, key, err := versionOf(req)
	if err != nil {
		return err
	}
	return r.core.Relist(req.Context(), actor, purl.NuGet, name, key)
}

// versionOf returns name and version of a path as the core keeps them.
func versionOf(req *http.Request) (name, key string, err error) {
	v, err := nupkg.ParseVersion(req.PathValue("version"))
	return pathName(req), v.Key(), err
}

// pathName is the name in a path as the core keeps it.
func pathName(req *http.Request) string { return strings.ToLower(req.PathValue("name")) }
