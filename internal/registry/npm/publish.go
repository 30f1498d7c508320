package npm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

const (
	tarballType = "application/gzip"
	latest      = "latest"
)

// publication is one publish request on its way in.
type publication struct {
	r       *Registry
	actor   evidence.Actor
	name    string
	version string
	// provenance is nil unless a bundle came along.
	provenance *provenance
	// document is kept of a request that publishes nothing.
	document document
	stage    bool     // its version shall wait for a person
	tarball  *tarball // nil until its attachment arrives
}

// put answers PUT /{name}: a publication when there is a tarball, else a deprecation.
// Source: libnpmpublish, publish.js; npm, deprecate.js.
func (r *Registry) put(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	p := &publication{r: r, actor: actor, name: req.PathValue("name")}
	hold, err := p.take(req)
	if errors.Is(err, errNoTarball) {
		return r.deprecate(w, req, actor, p.document)
	}
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if hold.Waits() {
		status = http.StatusAccepted
	}
	p.sayNotice(w.Header(), hold)
	r.respond(w, status, map[string]any{"ok": true, "success": true, "id": p.name})
	return nil
}

// errNoTarball says that a request publishes nothing.
var errNoTarball = errors.New("the document has no tarball")

// take reads the request and submits what it publishes. It fails with errNoTarball, and keeps the
// document, where that is nothing.
func (p *publication) take(req *http.Request) (*registry.Hold, error) {
	ctx := req.Context()
	if err := checkName(p.name); err != nil {
		return nil, err
	}
	defer p.close()
	doc, err := p.r.readDocument(ctx, req.Body, func(name string, data io.Reader) error { return p.receive(ctx, name, data) })
	if err != nil {
		return nil, p.refuse(ctx, err)
	}
	if p.tarball == nil && len(doc.attachments) == 0 && !p.stage {
		p.document = doc
		return nil, errNoTarball
	}
	hold, err := p.publish(ctx, doc)
	if err != nil {
		return nil, p.refuse(ctx, err)
	}
	return hold, nil
}

// sayNotice tells the publisher that the version is held, or what it was noted with. npm prints the header
// (npm-registry-fetch, check-response.js).
func (p *publication) sayNotice(h http.Header, hold *registry.Hold) {
	if text := hold.Notice(p.name+"@"+p.version, string(purl.New(purl.NPM, p.name, p.version))); text != "" {
		h.Set("Npm-Notice", registry.OneLine(text))
	}
}

// readDocument reads a request's document and hands its attachments to attach. Only so many large
// ones are read at a time, because each may take Limits.Document bytes of memory; a small one never
// waits, however slowly the large ones come in.
func (r *Registry) readDocument(ctx context.Context, body io.Reader, attach func(string, io.Reader) error) (document, error) {
	held := false
	defer func() {
		if held {
			<-r.large
		}
	}()
	raw, err := scanDocument(body, r.limits.Document, func() error {
		select {
		case r.large <- struct{}{}:
			held = true
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, attach)
	if err != nil {
		return document{}, err
	}
	return parseDocument(raw)
}

// close forgets a tarball that was not published.
func (p *publication) close() {
	if p.tarball != nil {
		p.tarball.Close()
	}
}

// refuse records that the gate said no, when it did: what the network cut off, or what failed on
// our side, is not a decision. The core has recorded its own refusals.
func (p *publication) refuse(ctx context.Context, err error) error {
	switch fault.As(err).Code {
	case "internal", "body-malformed", "namespace-not-yours", "namespace-unowned", "token-scope", "login-required", "otp-required", "webauthn-required", "otp-invalid":
		return err
	}
	return p.r.core.Refuse(ctx, p.actor, "publish", purl.New(purl.NPM, p.name, p.version), err)
}

// publish returns why the version is held, if it is.
func (p *publication) publish(ctx context.Context, doc document) (*registry.Hold, error) {
	version, manifest, tags, err := doc.single(p.name)
	if err != nil {
		return nil, err
	}
	p.version = version
	if err := p.checkAttachments(len(doc.attachments)); err != nil {
		return nil, err
	}
	offer, err := p.newVersion(ctx, version)
	if err != nil {
		return nil, err
	}
	if offer == nil || offer.uncooled().tag(latest) == "" {
		tags = withLatest(tags)
	}
	inside, err := p.readTarball()
	if err != nil {
		return nil, err
	}
	if err := p.prove(inside); err != nil {
		return nil, err
	}
	metadata, err := p.metadata(manifest, inside)
	if err != nil {
		return nil, err
	}
	upload := registry.Upload{
		Ecosystem: purl.NPM, Name: p.name, Version: version, PURL: purl.New(purl.NPM, p.name, version),
		Tags: tags, MediaType: tarballType,
		Inventory: inside.inventory, Order: compareVersions, Stage: p.stage,
	}
	if err := p.store(ctx, &upload, metadata); err != nil {
		return nil, err
	}
	hold, err := p.r.core.Submit(ctx, p.actor, upload)
	return hold, overPublished(err, version)
}

// checkAttachments checks that what was attached is of this version: its tarball and, if the publisher
// has one, its provenance.
func (p *publication) checkAttachments(n int) error {
	stem, want := p.name+"-"+p.version, 1
	if p.provenance != nil {
		want = 2
	}
	if p.tarball == nil || n != want || p.tarball.name != stem+".tgz" || p.provenance != nil && p.provenance.name != stem+attachmentSuffix {
		return malformed("it must hold the attachment %s.tgz, and may hold %s%s", stem, stem, attachmentSuffix)
	}
	return nil
}

// newVersion returns what the name offers so far (nil: nothing) and fails when the version was
// used before: better now than after the tarball has been read and stored.
func (p *publication) newVersion(ctx context.Context, version string) (*offer, error) {
	offer, err := p.r.offer(ctx, p.name)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, used := offer.used[version]; used {
		return nil, overPublished(fault.New(fault.Conflict, "version-exists", "used"), version)
	}
	return offer, nil
}

// overPublished gives a version-exists fault the words that npm's own registry uses: release tools
// look for them.
func overPublished(err error, version string) error {
	if err == nil || fault.As(err).Code != "version-exists" {
		return err
	}
	return fault.New(fault.Conflict, "version-exists",
		"You cannot publish over the previously published versions: %s. A version is never reused; publish a new version number.", version)
}

// withLatest adds the tag latest, as npm's registry does for the first version of a package
// whatever tag it was published under: clients take its presence for granted.
func withLatest(tags []string) []string {
	if slices.Contains(tags, latest) {
		return tags
	}
	return append(tags, latest)
}

// store makes the tarball durable, with its metadata and its provenance.
func (p *publication) store(ctx context.Context, u *registry.Upload, metadata []byte) error {
	if p.provenance == nil {
		return p.r.core.Store(ctx, p.tarball.Incoming, u, metadata)
	}
	err := p.r.core.Store(ctx, p.tarball.Incoming, u, metadata, p.provenance.bundle)
	u.Contents = append(u.Contents, p.provenance.proof.Statement(u.PURL, u.Artifact, p.provenance.digest()))
	return err
}
