// Package nuget speaks the NuGet V3 protocol on top of the registry core: NuGet.exe, dotnet and Visual Studio
// push, unlist, search and install unmodified. It keeps no state of its own beyond pages in memory that can
// be thrown away: a registration is a projection of releases and of their metadata.
//
// A package says itself what it is called, in the nuspec inside of it, so that a push is taken in whole
// before it is known whose name it is for: nobody without a credential gets that far. The package is read once.
//
// What it refuses: an archive or a nuspec that two tools could read in two ways, a version that was ever used
// before however it is spelt (1.0, 1.0.0.0 and 1.0.0 are one), an author's signature that does not hold, and
// symbols for a package that is not there.
//
// Names and versions are kept in lower case and normal form, as clients ask for them; how the publisher
// writes them is in the metadata.
//
// Source: NuGet docs, "NuGet Server API"; where the source of the client decides, the comment names the file.
package nuget

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Config is what the registry needs besides the core.
type Config struct {
	// PublicURL is the absolute URL, with a final slash, under which clients reach the registry: every
	// address in the service index begins with it. Behind a proxy it is the proxy's.
	PublicURL string
	// Owners knows to whom names belong; nil shows no owners.
	Owners Owners
	// Signatures checks the signatures of authors; nil looks at none.
	Signatures Signatures
	// Countersigner signs what is published, in the repository's name; nil signs nothing. Clients only take
	// a repository's signatures that are announced over https, so it is not used with another PublicURL.
	Countersigner Countersigner
	// Trust lets pipelines publish without a stored token; nil turns that off.
	Trust registry.Exchanger
	// Upstream is where packages come from that nobody here owns; nil serves what is hosted.
	Upstream Upstream
	// Limits bound what one request may cost; the zero value means DefaultLimits.
	Limits Limits
	// Clock and Random are inputs for tests; nil means the machine's.
	Clock  clock.Clock
	Random io.Reader
	// Log receives the errors that callers are not shown; nil means the default logger.
	Log *slog.Logger
}

// Owners knows to whom names belong. The account package implements it.
type Owners interface {
	// Owner returns the organisation that a name belongs to; empty when nobody owns it.
	Owner(ctx context.Context, name string) (string, error)
}

// Limits bound what one request may cost.
type Limits struct {
	// Archive bounds a package; its Packed bytes also bound the upload.
	Archive safearchive.Limits
	Cache   int64 // bytes of rendered documents that are kept
}

// DefaultLimits returns the limits of a server that nobody configured: a package of 256 MiB that unpacks to
// 2 GiB in 100,000 entries, and 32 MiB of cache.
func DefaultLimits() Limits { return Limits{Archive: safearchive.PackageLimits(), Cache: 32 << 20} }

// Registry is the NuGet protocol over a core. It is safe for concurrent use.
type Registry struct {
	core       *registry.Core
	owners     Owners
	signatures Signatures
	signer     Countersigner // nil: nothing is countersigned
	trust      registry.Exchanger
	upstream   Upstream
	base       string // Config.PublicURL
	limits     Limits
	clock      clock.Clock
	log        *slog.Logger

	pages  *registry.Pages
	stored *registry.Facts[metadata]
	keys   *registry.Shelf[verified]
	random io.Reader
	// listings are what upstreams say, once it was parsed.
	listings     *registry.Cache[*listing]
	listingOrder atomic.Int64
}

// New returns the registry. It fails when cfg cannot work.
func New(core *registry.Core, cfg Config) (*Registry, error) {
	u, err := url.Parse(cfg.PublicURL)
	if err != nil || u.Host == "" || !strings.HasSuffix(cfg.PublicURL, "/") {
		return nil, fmt.Errorf("nuget: the public URL %q must be absolute and end in a slash", cfg.PublicURL)
	}
	r := &Registry{
		core: core, owners: cfg.Owners, signatures: cfg.Signatures, trust: cfg.Trust, upstream: cfg.Upstream,
		base: cfg.PublicURL, limits: cmp.Or(cfg.Limits, DefaultLimits()), clock: cmp.Or[clock.Clock](cfg.Clock, clock.System{}), log: cmp.Or(cfg.Log, slog.Default()),
	}
	if u.Scheme == "https" {
		r.signer = cfg.Countersigner
	}
	r.pages = registry.NewPages(core, r.limits.Cache, r.clock.Now)
	r.stored = registry.NewFacts[metadata](core, r.limits.Cache)
	r.listings = registry.NewCache[*listing](r.limits.Cache)
	r.keys, r.random = registry.NewShelf[verified](maxKeys, r.clock.Now), cmp.Or(cfg.Random, rand.Reader)
	return r, nil
}

// Handler serves the routes. The caller has stripped the path that PublicURL ends in.
func (r *Registry) Handler() http.Handler {
	return r.guard().Mux(r.Routes(), func(req *http.Request) error {
		return fault.New(fault.NotFound, "route-unknown", "the NuGet registry has no %s %s; clients begin at %sv3/index.json", req.Method, fault.Clip(req.URL.Path), r.base)
	})
}
