package nuget

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// offer is what a name offers at a moment.
type offer struct {
	name    string // as the core keeps it
	owner   string // organisation; empty when it is nobody's here
	entries []*entry
	until   time.Time // when a version ripens next; zero when none does
	stale   time.Time // as of when the upstream said so, when it does not answer; else zero
	// young is why the newest version that is too young is not offered.
	young error
}

// entry is a version that is offered.
type entry struct {
	registry.Listed
	*metadata
	version nupkg.Version
	listed  bool
}

// offer returns what a name offers, oldest version first. A name without any version that is offered
// is refused with the reason why the newest is not.
func (r *Registry) offer(ctx context.Context, name string) (*offer, error) {
	o, err := r.all(ctx, name)
	if err != nil {
		return nil, err
	}
	sieve, err := r.core.Sieve(ctx, purl.NuGet, name)
	if err != nil {
		return nil, err
	}
	o.entries = slices.DeleteFunc(o.entries, func(e *entry) bool { return !sieve.Passes(e.Release) })
	o.until, o.young = sieve.Until, sieve.Young
	if len(o.entries) == 0 && sieve.Kept != nil {
		return nil, sieve.Kept
	}
	if len(o.entries) == 0 {
		return nil, nameUnknown(name)
	}
	return o, nil
}

// all returns every version of a name, hosted or listed by the upstream.
func (r *Registry) all(ctx context.Context, name string) (*offer, error) {
	hosted, err := r.core.Hosted(ctx, purl.NuGet, name)
	if err != nil {
		return nil, err
	}
	o := &offer{name: name}
	if !hosted {
		o.entries, o.stale, err = r.upstreamEntries(ctx, name)
		return o.sorted(), err
	}
	if o.owner, err = r.owner(ctx, name); err != nil {
		return nil, err
	}
	releases, err := r.core.Releases(ctx, purl.NuGet, name)
	if err != nil {
		return nil, err
	}
	for _, rel := range releases {
		if rel.ArtifactType != packageType {
			continue
		}
		e := &entry{Listed: registry.Listed{Release: rel}, listed: rel.Unlisted == ""}
		if e.version, err = nupkg.ParseVersion(rel.Version); err != nil {
			return nil, err
		}
		if e.metadata, err = r.stored.Get(ctx, rel.Metadata); err != nil {
			return nil, err
		}
		o.entries = append(o.entries, e)
	}
	return o.sorted(), nil
}

// owner returns whose a name is; empty when it is nobody's here.
func (r *Registry) owner(ctx context.Context, name string) (string, error) {
	if r.owners == nil {
		return "", nil
	}
	return r.owners.Owner(ctx, name)
}

func (o *offer) sorted() *offer {
	slices.SortStableFunc(o.entries, func(a, b *entry) int { return a.version.Compare(b.version) })
	return o
}

// only leaves out what a client cannot use or does not want.
func (o *offer) only(keep func(*entry) bool) []*entry {
	var out []*entry
	for _, e := range o.entries {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

// state is a word that changes with anything that a name may offer.
func (r *Registry) state(ctx context.Context, name string) (string, error) {
	state, err := r.core.State(ctx, purl.NuGet, name)
	if err != nil || r.upstream == nil {
		return state, err
	}
	known, err := r.upstreamState(ctx, name)
	return state + known, err
}

// page returns a document that is made from a name's offer and kept while the offer is the same.
func (r *Registry) page(ctx context.Context, name, form string, render func(*offer) (any, error)) (*registry.Page, error) {
	state, err := r.state(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.pages.Get(ctx, purl.NuGet, name, form, state, func(ctx context.Context) (*registry.Page, error) {
		o, err := r.offer(ctx, name)
		if err != nil {
			return nil, err
		}
		document, err := render(o)
		if err != nil {
			return nil, err
		}
		body, err := encode(document)
		if err != nil {
			return nil, err
		}
		return registry.NewPage("application/json", body, o.until, o.warning()), nil
	})
}

// warning is what clients print beside the answer: that it is an older one because the upstream does not answer,
// and that a newer version waits.
func (o *offer) warning() http.Header {
	h := http.Header{}
	if !o.stale.IsZero() {
		h.Add(warningHeader, registry.OneLine(fmt.Sprintf("the upstream of %s does not answer; what it offered at %s is shown", o.name, o.stale.UTC().Format("2006-01-02 15:04:05 UTC"))))
	}
	if o.young != nil {
		h.Add(warningHeader, registry.OneLine(fault.As(o.young).Text))
	}
	return h
}

// find returns a version of a name, offered or not, by a version in any spelling.
func (r *Registry) find(ctx context.Context, name, spelt string) (*entry, error) {
	o, err := r.all(ctx, name)
	if err != nil {
		return nil, err
	}
	return o.find(spelt)
}

// offered is find among what is offered.
func (r *Registry) offered(req *http.Request, name, spelt string) (*entry, error) {
	o, err := r.offer(req.Context(), name)
	if err != nil {
		return nil, err
	}
	return o.find(spelt)
}

func (o *offer) find(spelt string) (*entry, error) {
	if v, err := nupkg.ParseVersion(spelt); err == nil {
		for _, e := range o.entries {
			if e.Version == v.Key() {
				return e, nil
			}
		}
	}
	return nil, fault.New(fault.NotFound, "version-unknown", "%s has no version %q", o.name, fault.Clip(spelt))
}

// lower is a name as the core keeps it.
func lower(id string) string { return strings.ToLower(id) }
