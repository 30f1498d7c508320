package nuget

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// Upstream is where packages come from that nobody here owns. The upstream package implements it.
type Upstream interface {
	registry.Upstream
	// Fetch makes sure that a listed file is kept, and returns its digest.
	Fetch(ctx context.Context, name string, wanted registry.Wanted) (digest.Digest, error)
}

const (
	maxDocument = 32 << 20 // bytes of one of an upstream's documents
	maxPages    = 500      // of one registration
	maxVersions = 30_000   // of one package
)

// listing is what an upstream says of a name.
type listing struct {
	name    string
	word    string // changes with any of the documents
	entries []*entry
	stale   time.Time // since when the upstream does not answer; zero while it does
	order   int64
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (l *listing) CacheKey() string     { return l.name }
func (l *listing) CacheRevision() int64 { return l.order }
func (l *listing) CacheWeight() int64   { return 500 + 2000*int64(len(l.entries)) }

// listed returns what the upstream says of a name: the registration that its service index names, with all
// pages. Without an upstream every name is unknown.
func (r *Registry) listed(ctx context.Context, name string) (*listing, error) {
	if r.upstream == nil {
		return nil, nameUnknown(name)
	}
	l := &listing{name: name}
	ask := func(path string) (*registry.Document, error) {
		d, err := r.upstream.Document(ctx, registry.Question{Ecosystem: purl.NuGet, Name: name, Path: path, Limit: maxDocument})
		if err != nil {
			return nil, err
		}
		l.word += " " + string(d.Digest)
		if d.Stale {
			l.stale = d.Asked
			l.word += " " + d.Asked.Format(time.RFC3339)
		}
		return d, nil
	}
	service, err := ask("index.json")
	if err != nil {
		return nil, err
	}
	at, err := registrations(service)
	if err != nil {
		return nil, err
	}
	index, err := ask(at + name + "/index.json")
	if err != nil {
		return nil, err
	}
	pages, err := pagesOf(service, index, ask)
	if err != nil {
		return nil, err
	}
	if known := r.listings.Get(name); known != nil && known.word == l.word {
		return known, nil
	}
	l.entries = entriesOf(name, index, pages)
	l.order = r.listingOrder.Add(1)
	r.listings.Put(l)
	return l, nil
}

func nameUnknown(name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no NuGet package %q here", name)
}

func unusable(format string, args ...any) error {
	return fault.New(fault.Unavailable, "upstream-unusable", format, args...)
}

// registrations returns where a service index has its registrations, relative to the index: those that show
// all versions, before those that leave out what old clients cannot read.
func registrations(service *registry.Document) (string, error) {
	var index struct {
		Resources []struct {
			ID   string          `json:"@id"`
			Type json.RawMessage `json:"@type"`
		}
	}
	if err := decode(service.Body, &index); err != nil {
		return "", unusable("the upstream's service index cannot be read; whoever runs this registry must give the address that ends before /index.json")
	}
	for _, wanted := range []string{"/3.6.0", "/Versioned", "/3.4.0", ""} {
		for _, one := range index.Resources {
			if bytes.Contains(one.Type, []byte(`"RegistrationsBaseUrl`+wanted+`"`)) {
				return relative(service, strings.TrimSuffix(one.ID, "/")+"/")
			}
		}
	}
	return "", unusable("the upstream's service index names no registrations")
}

// relative returns an address as a path below the one that the service index is at.
func relative(service *registry.Document, address string) (string, error) {
	base := service.Base[:strings.LastIndexByte(service.Base, '/')+1]
	path, below := strings.CutPrefix(service.Resolve(address), base)
	if !below || path == "" {
		return "", unusable("the upstream has its registrations at %s, which is not below %s", fault.Clip(address), fault.Clip(base))
	}
	return path, nil
}

// upstreamPage is a page of a registration; Items is nil in an index that has its pages elsewhere.
type upstreamPage struct {
	ID    string               `json:"@id"`
	Items many[upstreamOffers] `json:"items"`
}

type upstreamOffers struct {
	Entry           upstreamEntry `json:"catalogEntry"`
	Content         string        `json:"packageContent"`
	CommitTimeStamp time.Time     `json:"commitTimeStamp"`
}

// pagesOf returns the pages of a registration, those that are documents of their own with them.
func pagesOf(service, index *registry.Document, ask func(string) (*registry.Document, error)) ([]upstreamPage, error) {
	var all struct {
		Items many[upstreamPage] `json:"items"`
	}
	if err := decode(index.Body, &all); err != nil || len(all.Items) > maxPages {
		return nil, unusable("what the upstream says of the package cannot be read")
	}
	for i := range all.Items {
		page := &all.Items[i]
		if page.Items != nil {
			continue
		}
		address, _, _ := strings.Cut(page.ID, "#")
		path, err := relative(service, address)
		if err != nil {
			return nil, err
		}
		d, err := ask(path)
		if err != nil {
			return nil, err
		}
		if err := decode(d.Body, page); err != nil {
			return nil, unusable("what the upstream says of the package cannot be read")
		}
	}
	return all.Items, nil
}

// entriesOf makes versions of an upstream's words; what is no version of the name is left out.
func entriesOf(name string, index *registry.Document, pages []upstreamPage) []*entry {
	seen := map[string]bool{}
	var out []*entry
	for _, page := range pages {
		for _, item := range page.Items {
			e, ok := item.entry(name, index)
			if ok && !seen[e.Version] && len(out) < maxVersions {
				seen[e.Version] = true
				out = append(out, e)
			}
		}
	}
	return out
}

// upstreamEntries returns the upstream's versions of a name with what the record knows of them.
func (r *Registry) upstreamEntries(ctx context.Context, name string) ([]*entry, time.Time, error) {
	l, err := r.listed(ctx, name)
	if err != nil {
		return nil, time.Time{}, err
	}
	all := make([]registry.Listed, len(l.entries))
	for i, e := range l.entries {
		all[i] = e.Listed
	}
	if err := r.core.Listed(ctx, purl.NuGet, name, all); err != nil {
		return nil, time.Time{}, err
	}
	out := make([]*entry, len(all))
	for i, e := range l.entries {
		one := *e
		one.Listed = all[i]
		out[i] = &one
	}
	return out, l.stale, nil
}

// upstreamState is a word that changes with what the upstream says of a name.
func (r *Registry) upstreamState(ctx context.Context, name string) (string, error) {
	hosted, err := r.core.Hosted(ctx, purl.NuGet, name)
	if err != nil || hosted || r.upstream == nil {
		return "", err
	}
	l, err := r.listed(ctx, name)
	if err != nil {
		return "", err
	}
	return l.word, nil
}

// serveUpstream answers with a package of the upstream's, through the pull gate.
func (r *Registry) serveUpstream(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name, key string) error {
	e, err := r.find(req.Context(), name, key)
	if err != nil {
		return err
	}
	return r.upstream.Serve(w, req, actor, name, r.wanted(e))
}

func (r *Registry) wanted(e *entry) registry.Wanted {
	return registry.Wanted{Listed: e.Listed, ContentType: contentType, Read: func(ctx context.Context, artifact digest.Digest) (*evidence.Inventory, error) {
		in, err := r.readKept(ctx, artifact)
		if err != nil {
			return nil, err
		}
		return in.Inventory, nil
	}}
}

// readKept reads a stored package.
func (r *Registry) readKept(ctx context.Context, artifact digest.Digest) (in *nupkg.Inside, err error) {
	err = r.core.Look(ctx, artifact, func(content blob.Reader) (err error) {
		in, err = nupkg.ReadInside(content, content.Size(), r.limits.Archive)
		return err
	})
	return in, err
}

// document returns a small document out of an upstream's package, which is fetched for it.
func (r *Registry) upstreamDocument(ctx context.Context, name string, e *entry, which string) ([]byte, error) {
	artifact, err := r.upstream.Fetch(ctx, name, r.wanted(e))
	if err != nil {
		return nil, err
	}
	in, err := r.readKept(ctx, artifact)
	if err != nil {
		return nil, err
	}
	data := in.Raw
	if which == "readme" {
		data = in.Readme
	}
	if data == nil {
		return nil, fileUnknown(name, which)
	}
	return data, nil
}

// decode reads a document, which some servers store packed and send without saying so.
func decode(data []byte, v any) error {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return err
		}
		if data, err = io.ReadAll(io.LimitReader(z, maxDocument)); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), v); err != nil {
		return fmt.Errorf("upstream document: %w", err)
	}
	return nil
}
