package gem

import (
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

const mediaType = "application/vnd.rubygems.gem"

// pushed is a gem on its way in.
type pushed struct {
	r         *Registry
	actor     evidence.Actor
	file      *registry.Incoming
	spec      *gemspec.Spec
	inventory *evidence.Inventory
	parts     *multipart.Reader // nil where the gem is the whole body
	bundles   []json.RawMessage
	already   bool // that it is here, the same to the byte
	proofs    []evidence.Draft
}

// push answers POST /api/v1/gems. The name stands in the gem alone, so that it is taken in before it is
// known whether its sender may publish it; nobody sees it until then.
func (r *Registry) push(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	p := &pushed{r: r, actor: actor}
	defer func() { p.file.Close() }()
	if err := p.receive(req); err != nil {
		return err
	}
	name := normal(p.spec.Name)
	actor, err := r.admit(req, actor, evidence.Publish, name)
	if err != nil {
		return err
	}
	p.actor = actor
	hold, err := p.publish(req.Context(), name)
	if err != nil {
		return r.core.Refused(req.Context(), p.actor, "publish", gemspec.PURLOf(name, p.spec.Version, p.spec.Platform), err)
	}
	r.index.stir()
	return respondText(w, http.StatusOK, p.answer(hold))
}

// answer is what gem prints.
func (p *pushed) answer(hold *registry.Hold) string {
	what := fmt.Sprintf("%s (%s)", p.spec.Name, p.spec.Key())
	switch {
	case p.already:
		return "Gem was already pushed: " + what
	case hold.Waits():
		return hold.Notice(what, "'"+string(gemspec.PURLOf(normal(p.spec.Name), p.spec.Version, p.spec.Platform))+"'")
	}
	return strings.TrimSpace("Successfully registered gem: " + what + "\n" + hold.Notice(what, ""))
}

// receive stores what comes and reads it.
func (p *pushed) receive(req *http.Request) error {
	body, err := p.body(req)
	if err != nil {
		return err
	}
	if p.file, err = p.r.core.Receive(req.Context(), "the gem", body, p.r.limits.Archive.Packed); err != nil {
		return err
	}
	if err := p.receiveBundles(); err != nil {
		return err
	}
	return p.file.Look(func(content blob.Reader) (err error) {
		p.spec, p.inventory, err = gemspec.ReadGem(content, p.r.limits.Archive, p.r.limits.Metadata)
		return err
	})
}

func (p *pushed) publish(ctx context.Context, name string) (*registry.Hold, error) {
	if err := p.checkSpelling(ctx, name); err != nil {
		return nil, err
	}
	if err := p.prove(p.file.Digest()); err != nil {
		return nil, err
	}
	u := registry.Upload{
		Ecosystem: purl.Gem, Name: name, Version: p.spec.Key(), PURL: gemspec.PURLOf(name, p.spec.Version, p.spec.Platform),
		MediaType: mediaType, ArtifactType: p.spec.Platform, Inventory: p.inventory, Order: gemspec.CompareKeys,
	}
	if err := p.store(ctx, &u); err != nil {
		return nil, err
	}
	hold, err := p.r.core.Submit(ctx, p.actor, u)
	if err != nil && fault.As(err).Code == "version-exists" {
		return nil, p.again(ctx, u, err)
	}
	return hold, err
}

// checkSpelling keeps two gems from being taken for one: the same name in other letters, and the same file
// name for another name and version.
func (p *pushed) checkSpelling(ctx context.Context, name string) error {
	all, err := p.r.core.Releases(ctx, purl.Gem, name)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		first, err := p.r.stored.Get(ctx, all[0].Metadata)
		if err != nil {
			return err
		}
		if first.Name != p.spec.Name {
			return fault.New(fault.Conflict, "gem-spelling", "this name is spelt %q here, and a gem %q would be another one to clients; spell it the same", first.Name, p.spec.Name)
		}
	}
	for _, s := range splits(p.spec.FullName()) {
		if normal(s.name) == name {
			continue
		}
		if _, err := p.r.core.Release(ctx, purl.Gem, normal(s.name), s.key()); err == nil {
			return fault.New(fault.Conflict, "gem-spelling", "the file %s.gem is that of %s %s here; choose another version", p.spec.FullName(), s.name, s.key())
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return nil
}

// again answers a second push: the same bytes once more are no error to rubygems.org, and release tools
// rely on that; other bytes are refused.
func (p *pushed) again(ctx context.Context, u registry.Upload, exists error) error {
	old, err := p.r.core.Release(ctx, purl.Gem, u.Name, u.Version)
	if err != nil {
		return err
	}
	if old.Artifact == u.Artifact && old.State != registry.Withdrawn {
		p.already = true
		return nil
	}
	return fault.New(fault.Conflict, "version-exists",
		"Repushing of gem versions is not allowed. %s %s was published before, and a version is never reused; publish a new version number.", p.spec.Name, u.Version).Because(exists)
}

// store makes the gem durable, with what is told of it and what came with it.
func (p *pushed) store(ctx context.Context, u *registry.Upload) error {
	var beside [][]byte
	for _, b := range p.bundles {
		p.spec.Attestations = append(p.spec.Attestations, digest.FromBytes(b))
		beside = append(beside, b)
	}
	err := p.r.core.Store(ctx, p.file, u, p.spec, beside...)
	u.Contents = append(u.Contents, p.proofs...)
	return err
}
