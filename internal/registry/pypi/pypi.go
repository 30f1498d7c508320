// Package pypi speaks the protocols of the Python package index on top of the registry core: what twine
// uploads is translated, what the core knows is rendered for pip as simple index (HTML and JSON), as JSON
// API and as integrity API.
//
// A release is its files: each wheel and source distribution is a file of the core with its own statement.
// What is said of a file is read out of the file and nowhere else: the form that comes with an upload is
// only compared, because clients resolve by the index and install what is inside (a name, a requirement that
// the form leaves out would be run by nobody's decision).
//
// What it refuses: a file whose name, folder or metadata are not of one release, a wheel whose RECORD is not
// of its files, a zip archive with two readings, a second source distribution, the name of a file that was
// ever used, files for a release that was published long since, attestations that no trusted publisher's
// own run has signed. It serves neither egg nor exe, and no PGP signature.
//
// Sources: the PyPA specifications and the PEPs that the comments name; twine, upload.py; pip, index/.
package pypi

import (
	"cmp"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Config is what the registry needs besides the core.
type Config struct {
	// PublicURL is the absolute URL, with a final slash, under which clients reach the registry.
	PublicURL string
	// OpenFor is how long files may be added to a release after its first one; zero means DefaultOpenFor,
	// and less than that that releases stay open.
	OpenFor time.Duration
	// Upstream is where names come from that are not this registry's own; nil: nowhere.
	Upstream registry.Upstream
	// Attestations checks what comes with an upload; nil refuses all.
	Attestations Attestations
	// Exchanger makes tokens for pipelines; nil turns that off.
	Exchanger registry.Exchanger
	// Namespaces knows whose prefixes are; nil: nobody's.
	Namespaces Namespaces
	// Limits bound what one request may cost; the zero value means DefaultLimits.
	Limits Limits
	// Clock tells the time, Random gives sessions their names; nil means the machine's.
	Clock  clock.Clock
	Random io.Reader
	// Log receives the errors that callers are not shown; nil means the default logger.
	Log *slog.Logger
}

// DefaultOpenFor is how long files may be added to a release, as on the public index since 2026.
const DefaultOpenFor = 14 * 24 * time.Hour

// Limits bound what one request may cost.
type Limits struct {
	Form int64 // bytes of an upload's fields besides the file
	// Archive bounds a wheel or source distribution; its Packed bytes also bound the upload.
	Archive safearchive.Limits
	Cache   int64 // bytes of rendered pages that are kept
	Index   int64 // bytes of an upstream's index
}

// DefaultLimits returns the limits of a server that nobody configured: 8 MiB of fields, a file of 256 MiB
// that unpacks to 2 GiB in 100,000 entries, 48 MiB of pages, an upstream's index of 64 MiB.
func DefaultLimits() Limits {
	return Limits{Form: 8 << 20, Archive: safearchive.PackageLimits(), Cache: 48 << 20, Index: 64 << 20}
}

// Registry is the PyPI protocols over a core. It is safe for concurrent use.
type Registry struct {
	core   *registry.Core
	config Config
	pages  *registry.Pages
	stored *registry.Facts[facts]
	// listings are the upstream's indexes, parsed.
	listings *registry.Cache[*listing]
	limits   Limits
	// announcing is held while what a session says about files to come is read and written.
	announcing sync.Mutex
	clock      clock.Clock
	log        *slog.Logger
}

// New returns the registry.
func New(core *registry.Core, cfg Config) *Registry {
	r := &Registry{core: core, config: cfg, limits: cmp.Or(cfg.Limits, DefaultLimits()), clock: cmp.Or[clock.Clock](cfg.Clock, clock.System{}), log: cmp.Or(cfg.Log, slog.Default())}
	r.config.OpenFor = cmp.Or(cfg.OpenFor, DefaultOpenFor)
	r.config.Random = cmp.Or(cfg.Random, rand.Reader)
	r.stored = registry.NewFacts[facts](core, r.limits.Cache)
	r.listings = registry.NewCache[*listing](r.limits.Cache)
	r.pages = registry.NewPages(core, r.limits.Cache, r.clock.Now)
	return r
}

// Handler serves the routes. The caller has stripped the path that PublicURL ends in.
func (r *Registry) Handler() http.Handler {
	g := r.guard()
	return g.Mux(r.Routes(), g.UnknownRoute)
}

// guard makes the routes.
func (r *Registry) guard() registry.Guard {
	return registry.Guard{Core: r.core, Ecosystem: purl.PyPI, Fail: r.fail, Log: r.log}
}

// pathName is the name in a path as the core keeps it.
func pathName(req *http.Request) string { return dist.Normal(req.PathValue("name")) }

// fail answers with the sentence in the status line, which twine and pip print, and in the body.
func (r *Registry) fail(w http.ResponseWriter, req *http.Request, err error) {
	f := fault.As(err)
	status := fault.HTTPStatus(err)
	if status == http.StatusUnauthorized {
		w.Header().Set("Www-Authenticate", `Basic realm="Hullmark"`)
	}
	w.Header().Set("Hullmark-Code", f.Code)
	if status == http.StatusNotFound {
		// pip asks for many names that are not here, and would have to connect anew for each.
		registry.Answer(w, status, "text/plain; charset=utf-8", []byte(f.Text+"\n"))
		return
	}
	registry.WriteReason(w, req, status, f.Text, "text/plain; charset=utf-8", f.Text+"\n")
}
