// Package maven speaks the protocol of Maven repositories on top of the registry core: what mvn, Gradle
// and sbt PUT below group/artifact/version becomes files of releases, and the indexes that they GET are
// rendered from the record. It keeps no state of its own beyond caches that can be thrown away.
//
// Each file is a release file of the core. Checksums are compared with what is stored and never kept; all
// four are made from the bytes. maven-metadata.xml is taken and forgotten: whoever could write it could
// tell every build which version is the newest, so it is rendered here, at artifact, group and snapshot
// level. Every timestamped build of a SNAPSHOT is a version of its own in the record, so that one bad
// build can be recalled.
//
// What it refuses: a file of a release that exists with other bytes, a pom or Gradle module whose
// coordinates are not those of its address, a jar that says it is another one, a checksum or a signature that does
// not hold, a signature that nobody could check (keeping one would look like proof), and snapshots without a timestamp.
//
// The protocol has no specification; where the source of maven-resolver decides, the comment names it.
package maven

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Config is what the registry needs besides the core.
type Config struct {
	// Signatures checks what comes beside files; nil refuses all of it.
	Signatures Signatures
	// Upstream is where names come from that nobody here owns; nil: nowhere.
	Upstream registry.Upstream
	// Trust makes tokens for pipelines; nil turns that off.
	Trust registry.Exchanger
	// Limits bound what one request may cost; the zero value means DefaultLimits.
	Limits Limits
	// Clock and Random are inputs for tests; nil Clock means the machine's. Random is needed.
	Clock  clock.Clock
	Random io.Reader
	// Log receives the errors that callers are not shown; nil means the default logger.
	Log *slog.Logger
}

// Signatures checks the proofs that come beside files. Errors are faults that refuse them.
type Signatures interface {
	// OpenPGP checks a detached signature over content against the keys that are pinned for the name's namespace.
	OpenPGP(ctx context.Context, name string, signature []byte, content io.Reader) (evidence.Verification, error)
	// Sigstore checks a bundle that signs the artifact whose SHA-256 is given.
	Sigstore(bundle []byte, sha256 string, workload *evidence.WorkloadIdentity) (evidence.Verification, error)
}

// Limits bound what one request may cost.
type Limits struct {
	File      int64 // bytes of one file
	POM       int64 // bytes of a pom or Gradle module
	Signature int64 // bytes of a signature or bundle
	// Archive bounds what is looked into: a jar, and a deployment's bundle.
	Archive safearchive.Limits
	Cache   int64 // bytes of rendered pages, and of lists of files, that are kept
}

// DefaultLimits returns the limits of a server that nobody configured: files of 1 GiB, poms of 4 MiB,
// signatures of 1 MiB and 32 MiB for each cache.
func DefaultLimits() Limits {
	return Limits{File: 1 << 30, POM: 4 << 20, Signature: 1 << 20, Archive: safearchive.PackageLimits(), Cache: 32 << 20}
}

// Registry is the Maven protocol over a core. It is safe for concurrent use.
type Registry struct {
	core       *registry.Core
	signatures Signatures
	upstream   registry.Upstream
	trust      registry.Exchanger
	limits     Limits
	clock      clock.Clock
	random     io.Reader
	log        *slog.Logger

	pages  *registry.Pages
	stored *registry.Facts[facts]
	offers *registry.Cache[*offer]
	routes map[string]registry.Route // by method and shape
}

// New returns the registry.
func New(core *registry.Core, cfg Config) *Registry {
	r := &Registry{
		core: core, signatures: cfg.Signatures, upstream: cfg.Upstream, trust: cfg.Trust,
		limits: cmp.Or(cfg.Limits, DefaultLimits()), clock: cmp.Or[clock.Clock](cfg.Clock, clock.System{}), random: cfg.Random, log: cmp.Or(cfg.Log, slog.Default()),
	}
	r.pages = registry.NewPages(core, r.limits.Cache, func() time.Time { return r.clock.Now() })
	r.stored = registry.NewFacts[facts](core, r.limits.Cache)
	r.offers = registry.NewCache[*offer](r.limits.Cache)
	r.routes = map[string]registry.Route{}
	for _, route := range r.layoutRoutes() {
		r.routes[route.Method+" "+route.Pattern] = route
	}
	return r
}

func (r *Registry) guard() registry.Guard {
	return registry.Guard{Core: r.core, Ecosystem: purl.Maven, Fail: r.fail, Log: r.log, Credential: credential}
}

// Routes returns every route; Handler serves nothing else.
func (r *Registry) Routes() []registry.Route {
	return append(r.layoutRoutes(), r.portalRoutes()...)
}

// layoutRoutes are those below the repository's address. Their patterns are shapes of paths and not of
// http.ServeMux, whose wildcards cannot stand for several elements in the middle.
func (r *Registry) layoutRoutes() []registry.Route {
	g := r.guard()
	const read, stage = evidence.Read, evidence.Stage
	metadata := g.Visitor("GET", string(layout.ShapeMetadata), r.serveMetadata) // which asks for what it shows
	metadata.Access, metadata.Permission = registry.AccessNamespace, read
	return []registry.Route{
		g.Named("GET", string(layout.ShapeFile), read, nil, r.serveFile),
		g.Named("PUT", string(layout.ShapeFile), stage, nil, r.put),
		g.Named("GET", string(layout.ShapeSnapshot), read, nil, r.serveSnapshot),
		g.Account("PUT", string(layout.ShapeSnapshot), r.forget),
		metadata,
		g.Account("PUT", string(layout.ShapeMetadata), r.forget),
		g.Visitor("GET", string(layout.ShapeCatalog), r.serveCatalog),
	}
}

// Handler serves the routes. The caller has stripped the path below which they are mounted.
func (r *Registry) Handler() http.Handler {
	portal := r.guard().Mux(r.portalRoutes(), func(*http.Request) error { return layout.PathUnknown() })
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isPortal(req.URL.Path) {
			portal.ServeHTTP(w, req)
			return
		}
		r.dispatch(w, req)
	})
}

// dispatch answers a request for a path of the repository's layout.
func (r *Registry) dispatch(w http.ResponseWriter, req *http.Request) {
	t, err := layout.ParsePath(req.URL.Path)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	method := req.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route, ok := r.routes[method+" "+string(t.Shape)]
	if !ok {
		r.fail(w, req, methodNotAllowed(req.Method))
		return
	}
	req.SetPathValue("name", t.Name())
	route.Handler(w, req.WithContext(context.WithValue(req.Context(), targetKey{}, t)))
}

type targetKey struct{}

// targetOf returns what dispatch made of the request's path.
func targetOf(req *http.Request) layout.Target {
	t, _ := req.Context().Value(targetKey{}).(layout.Target)
	return t
}
