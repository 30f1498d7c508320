package nuget

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// The sorts of files of a version.
const (
	packageType = "nupkg"
	symbolsType = "snupkg"
	contentType = "application/octet-stream"
)

// push is a package on its way in.
type push struct {
	r     *Registry
	actor evidence.Actor
	*received
	sort    string // packageType or symbolsType
	inside  *inside
	stage   bool
	author  *Signature // nil: none that was verified
	checked []byte     // the signature that it was
	pushed  digest.Digest
}

// received is a file on its way into the blob store.
type received struct {
	upload blob.Upload // nil once it is committed
	sha512 hash.Hash
}

func (r *Registry) newReceived(ctx context.Context) (*received, error) {
	upload, err := r.core.Blobs().Create(ctx)
	if err != nil {
		return nil, fmt.Errorf("receive package: %w", err)
	}
	return &received{upload: upload, sha512: sha512.New()}, nil
}

// Write implements io.Writer.
func (f *received) Write(b []byte) (int, error) {
	f.sha512.Write(b)
	return f.upload.Write(b)
}

// content opens what was received, before it has a name in the blob store.
func (f *received) content() (io.ReaderAt, int64, func() error, error) {
	content, err := f.upload.Content()
	if err != nil {
		return nil, 0, nil, fmt.Errorf("read package: %w", err)
	}
	at, ok := content.(io.ReaderAt)
	if !ok {
		content.Close()
		return nil, 0, nil, errors.New("read package: the blob store's uploads cannot be read at a place")
	}
	return at, f.upload.Size(), content.Close, nil
}

// close forgets what was not committed.
func (f *received) close() {
	if f != nil && f.upload != nil {
		f.upload.Abort()
	}
}

// pushPackage answers PUT api/v2/package. Source: NuGet docs, "Push and delete".
func (r *Registry) pushPackage(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	return r.push(w, req, &push{r: r, actor: actor, sort: packageType})
}

// push takes a package in. Who has no account learns so before a byte is read; whether the name is theirs
// only the package can tell.
func (r *Registry) push(w http.ResponseWriter, req *http.Request, p *push) error {
	if p.actor.Anonymous() {
		return fault.New(fault.Unauthenticated, "login-required", "pushing needs a token of this registry; give it to nuget push as -ApiKey")
	}
	defer p.close()
	hold, err := p.take(req)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	switch {
	case hold.Waits():
		status = http.StatusAccepted
		w.Header().Set(warningHeader, ascii(fmt.Sprintf("held: %s is not offered yet, because %s. Somebody else who may publish it approves it with: hullmark approve %s",
			p.purl(), hold.Summary, p.purl())))
	case hold != nil && hold.Warn:
		w.Header().Set(warningHeader, ascii(fmt.Sprintf("noted (%s): %s is offered, and others may want to look at it: %s", hold.Code, p.purl(), hold.Summary)))
	}
	w.WriteHeader(status)
	return nil
}

// warningHeader is printed by NuGet clients whatever the status. Source: NuGet.Client, ProtocolConstants.cs.
const warningHeader = "X-NuGet-Warning"

func (p *push) name() string    { return strings.ToLower(p.inside.nuspec.ID) }
func (p *push) version() string { return p.inside.nuspec.Version.key() }
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
			return nil, p.refuse(ctx, err)
		}
	}
	hold, err := p.publish(ctx)
	if err != nil {
		return nil, p.refuse(ctx, err)
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
	if p.received, err = p.r.newReceived(req.Context()); err != nil {
		return err
	}
	limit := p.r.limits.Archive.Packed
	source := &blame{r: part}
	n, err := io.Copy(p.received, io.LimitReader(source, limit+1))
	switch {
	case source.err != nil:
		return malformed("it broke off").Because(source.err)
	case err != nil:
		return fmt.Errorf("receive package: %w", err)
	case n > limit:
		return fault.New(fault.TooLarge, "body-too-large", "the package is larger than %d MiB; leave out what is not needed to use it", limit>>20)
	}
	return nil
}

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "body-malformed", "the request cannot be read: "+format, args...)
}

// blame remembers an error of the reader below, to tell it from one of the writer.
type blame struct {
	r   io.Reader
	err error
}

func (b *blame) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// read reads the received package.
func (p *push) read() error {
	at, size, done, err := p.content()
	if err != nil {
		return err
	}
	defer done()
	p.inside, err = readInside(at, size, p.r.limits.Archive)
	return err
}

// replace puts another file in the place of the received one.
func (p *push) replace(ctx context.Context, write func(*received) error) error {
	before := hex.EncodeToString(p.sha512.Sum(nil))
	other, err := p.r.newReceived(ctx)
	if err != nil {
		return err
	}
	if err := write(other); err != nil {
		other.close()
		return fmt.Errorf("countersign %s: %w", p.purl(), err)
	}
	p.received.close()
	p.received, p.pushed = other, digest.Digest(digest.SHA512+":"+before)
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

// refuse records that the gate said no, when it did: what failed on our side is not a decision. The core
// has recorded its own refusals.
func (p *push) refuse(ctx context.Context, err error) error {
	if fault.KindOf(err) == fault.Internal {
		return err
	}
	return p.r.core.Refuse(ctx, p.actor, "publish", p.purl(), err)
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
		Ecosystem: purl.NuGet, Name: p.name(), Version: p.version(), File: file, PURL: p.purl(), Size: p.upload.Size(),
		MediaType: contentType, ArtifactType: p.sort, Inventory: p.inside.inventory, Order: compareKeys, Stage: p.stage,
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
			"%s %s was published before, and a version is never reused; publish a new version number", p.inside.nuspec.ID, p.version())
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	return nil
}

// store makes the package, its metadata and its file index durable, all at once: each costs an fsync of its
// own. It fills in what the upload names them by.
func (p *push) store(ctx context.Context, u *registry.Upload) error {
	g, gctx := errgroup.WithContext(ctx)
	var stored, signature digest.Digest
	g.Go(func() (err error) {
		upload := p.received.upload
		p.received.upload = nil // Commit ends it, whatever comes out
		u.Artifact, err = upload.Commit(gctx, "")
		return err
	})
	g.Go(func() (err error) {
		if p.author != nil {
			signature, err = p.r.storeBlob(gctx, p.checked)
		}
		return err
	})
	g.Go(func() (err error) {
		u.Metadata, err = p.storeMetadata(gctx)
		return err
	})
	g.Go(func() (err error) {
		stored, err = p.r.core.Record().StoreInventory(gctx, p.inside.inventory)
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("store %s: %w", u.PURL, err)
	}
	u.Contents = []evidence.Draft{registry.ReleaseContents(u.PURL, u.Artifact, stored, p.inside.inventory)}
	if p.author != nil {
		u.Contents = append(u.Contents, p.author.Statement(u.PURL, u.Artifact, signature))
	}
	return nil
}

func (p *push) storeMetadata(ctx context.Context) (_ digest.Digest, err error) {
	m := described(p.inside.nuspec)
	m.SHA512, m.Pushed = base64.StdEncoding.EncodeToString(p.sha512.Sum(nil)), p.pushed
	if p.author != nil {
		m.Author = p.author.Subject
	}
	if m.Nuspec, err = p.r.storeBlob(ctx, p.inside.raw); err != nil {
		return "", err
	}
	if p.inside.readme != nil {
		if m.Readme, err = p.r.storeBlob(ctx, p.inside.readme); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return p.r.storeBlob(ctx, data)
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
	v, err := parseVersion(req.PathValue("version"))
	return pathName(req), v.key(), err
}

// pathName is the name in a path as the core keeps it.
func pathName(req *http.Request) string { return strings.ToLower(req.PathValue("name")) }
