// Package gem speaks the protocols of RubyGems on top of the registry core: what gem and bundler send is
// translated, what the core knows is rendered. It keeps no state of its own but the list of names with
// the history of this month, which clients read once and then only to its end (the compact index), and
// which can be thrown away.
//
// A gem is read once, on its way in: its metadata is parsed as plain data, whatever classes it asks for,
// its checksums are verified, and the files are listed from the archive and not from the gemspec. Indexes in
// Ruby's Marshal format are written here and never read: loading foreign ones is how code gets in.
//
// What it refuses: a gem whose checksums do not hold, a second spelling of a name, a full name that could
// be two gems ("a-1" 2.0 and "a" 1 for "2.0"), a version that was ever used before, attestations without a
// trusted publisher, and the dependency API, which ended in 2023.
//
// The protocols have few specifications; where the source of a client decides, the comment names its file.
// RubyGems 3.3.15, 3.6.9 and Bundler 2.3 are what was read.
package gem

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/sync/singleflight"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Config is what the registry needs besides the core.
type Config struct {
	// PublicURL is the absolute URL, with a final slash, under which clients reach the registry.
	PublicURL string
	// Accounts knows users, keys and who may see what.
	Accounts Accounts
	// StepUp asks people for second factors in their browser; nil: they send a code, or nothing.
	StepUp registry.StepUp
	// Trust keeps which pipelines a name trusts, and Exchange makes keys for them; nil turns both off.
	Trust    Trust
	Exchange registry.Exchanger
	// Attestations checks the Sigstore bundles that come with a gem; nil refuses all of them.
	Attestations Attestations
	// Upstream is where the gems come from that are not hosted here; nil: there are none.
	Upstream registry.Upstream
	// Limits bound what one request may cost; the zero value means DefaultLimits.
	Limits Limits
	// Clock tells the time; nil means the machine's.
	Clock clock.Clock
	// Log receives the errors that callers are not shown; nil means the default logger.
	Log *slog.Logger
}

// Limits bound what one request may cost.
type Limits struct {
	Metadata int64 // bytes of a gem's metadata, unpacked
	// Archive bounds a gem, whose bytes are its Packed, and what its data unpacks to.
	Archive safearchive.Limits
	Info    int64 // bytes of an upstream's index of one name
	Index   int64 // bytes of an upstream's list of all names
	Cache   int64 // bytes of what is offered, by name, that are kept
	Pages   int64 // bytes of lists of all names that are kept, for different callers
}

// DefaultLimits returns the limits of a server that nobody configured: 4 MiB of metadata, a gem of 256 MiB
// that unpacks to 2 GiB in 100,000 entries, 16 MiB of a name's index and 64 MiB of all names at an upstream,
// and 32 and 64 MiB of memory.
func DefaultLimits() Limits {
	return Limits{
		Metadata: 4 << 20, Archive: safearchive.PackageLimits(), Info: 16 << 20, Index: 64 << 20, Cache: 32 << 20, Pages: 64 << 20,
	}
}

// Registry is the RubyGems protocols over a core. It is safe for concurrent use.
type Registry struct {
	core         *registry.Core
	accounts     Accounts
	stepUps      registry.StepUp
	trust        Trust
	exchange     registry.Exchanger
	attestations Attestations
	upstream     registry.Upstream
	base         string // Config.PublicURL
	limits       Limits
	clock        clock.Clock
	log          *slog.Logger

	offers  *registry.Cache[*offer]
	stored  *registry.Facts[gemspec.Spec]
	loading singleflight.Group
	index   *index
	waiting *registry.Shelf[confirmation] // by the secret in a page's address
}

// New returns the registry.
func New(core *registry.Core, cfg Config) *Registry {
	r := &Registry{
		core: core, accounts: cfg.Accounts, stepUps: cfg.StepUp, trust: cfg.Trust, exchange: cfg.Exchange,
		attestations: cfg.Attestations, upstream: cfg.Upstream, base: cfg.PublicURL, limits: cmp.Or(cfg.Limits, DefaultLimits()), clock: cmp.Or[clock.Clock](cfg.Clock, clock.System{}), log: cmp.Or(cfg.Log, slog.Default()),
	}
	r.stored = registry.NewFacts[gemspec.Spec](core, r.limits.Cache)
	r.offers = registry.NewCache[*offer](r.limits.Cache)
	r.index = newIndex(r)
	r.waiting = registry.NewShelf[confirmation](maxAsked, r.clock.Now)
	return r
}

// Handler serves the routes. The caller has stripped the path that PublicURL ends in.
func (r *Registry) Handler() http.Handler {
	g := r.guard()
	return g.Mux(r.Routes(), func(req *http.Request) error {
		if strings.HasPrefix(req.URL.Path, "/api/v1/dependencies") {
			return errNoDependencies()
		}
		return g.UnknownRoute(req)
	})
}
