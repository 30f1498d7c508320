// Package npm speaks the npm registry protocol on top of the registry core: what npm, pnpm, yarn
// and bun send is translated, what the core knows is rendered. It keeps no state of its own beyond
// a cache that can be thrown away: a packument is a projection of releases and of their metadata.
//
// A publish request is read as a stream. The tarball is decoded from base64 straight into the blob
// store and read once, there; the manifest beside it must say what the tarball's own package.json
// says, because clients act on the one and run the other.
//
// What it refuses: a manifest that contradicts its tarball, a tarball with more than one top folder
// (clients cut the first path element off, so that two files could become one), a version that was
// ever used before, a provenance bundle that was not verified (keeping one would look like proof), and
// withdrawing a version that images already hold.
//
// The protocol has no specification; where the source of the npm client decides, the comment
// names its file. Version 11.19 is what was read.
package npm

import (
	"cmp"
	"crypto"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Config is what the registry needs besides the core.
type Config struct {
	// PublicURL is the absolute URL, with a final slash, under which clients reach the registry:
	// tarball addresses begin with it. Behind a proxy it is the proxy's.
	PublicURL string
	// LoginURL is the address that a login's code is put behind: the page on which a person lets a
	// waiting client in.
	LoginURL string
	// Signer is the ECDSA P-256 key that signs every published version; "npm audit signatures"
	// checks it. A new key leaves old signatures in place, so OldKeys must list the former ones.
	Signer  crypto.Signer
	OldKeys []OldKey
	// Attestations checks the provenance that comes with a version; nil refuses all provenance.
	Attestations Attestations
	// Advertise tells clients of attestations in packuments. A client that does not trust the Sigstore
	// that they were made with reports them as tampering: set it only where every client has the root.
	Advertise bool
	// Accounts knows users, logins and tokens.
	Accounts Accounts
	// StepUp asks people for second factors in their browser; nil: they send a code, or nothing.
	StepUp registry.StepUp
	// Stages keeps what waits for a person; nil means that nothing can be staged.
	Stages registry.Stages
	// Trust lets pipelines publish without a stored token; nil turns that off.
	Trust Trust
	// Upstream is where names come from that nobody here has; nil: only what is hosted is served.
	Upstream registry.Upstream
	// Limits bound what one request may cost; the zero value means DefaultLimits.
	Limits Limits
	// Clock tells the time; nil means the machine's.
	Clock clock.Clock
	// Log receives the errors that callers are not shown; nil means the default logger.
	Log *slog.Logger
}

// OldKey is a former signing key.
type OldKey struct {
	Public crypto.PublicKey
	// Expires is when it stopped signing.
	Expires time.Time
}

// Limits bound what one request may cost.
type Limits struct {
	Document int // bytes of JSON besides attachments
	Manifest int // bytes of one version's manifest, readme excluded
	// Archive bounds the tarball; its Packed bytes also bound the upload.
	Archive safearchive.Limits
	Cache   int64 // bytes of rendered packuments that are kept
	// Large is how many documents of more than a megabyte are read at a time; others wait.
	Large int
}

// DefaultLimits returns the limits of a server that nobody configured: 64 MiB of JSON besides the
// tarball, a manifest of 2 MiB, a tarball of 256 MiB that unpacks to 2 GiB in 100,000 entries, 48 MiB
// of cache and 4 large documents at a time.
func DefaultLimits() Limits {
	return Limits{
		Document: 64 << 20, Manifest: 2 << 20, Archive: safearchive.PackageLimits(), Cache: 48 << 20, Large: 4,
	}
}

// Registry is the npm protocol over a core. It is safe for concurrent use.
type Registry struct {
	core     *registry.Core
	accounts Accounts
	stepUps  registry.StepUp
	stages   registry.Stages
	trust    Trust
	base     string // Config.PublicURL
	login    string // Config.LoginURL
	keys     *keyring

	upstream     registry.Upstream // nil: there is none
	attestations Attestations      // nil: none are taken
	advertise    bool
	limits       Limits
	clock        clock.Clock
	log          *slog.Logger

	offers   *registry.Cache[*offer]
	loading  singleflight.Group
	recalls  recallCache
	large    chan struct{} // one slot per large document that is being read
	auditing chan struct{} // one slot per audit that is being read
}

// New returns the registry. It fails when cfg cannot work: a base URL that is not absolute, or a
// key that npm's client cannot check.
func New(core *registry.Core, cfg Config) (*Registry, error) {
	if err := checkBase(cfg.PublicURL); err != nil {
		return nil, err
	}
	keys, err := newKeyring(cfg.Signer, cfg.OldKeys)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		core: core, accounts: cfg.Accounts, stepUps: cfg.StepUp, stages: cfg.Stages, trust: cfg.Trust,
		base: cfg.PublicURL, login: cfg.LoginURL, keys: keys,
		upstream: cfg.Upstream, attestations: cfg.Attestations, advertise: cfg.Advertise,
		limits: cmp.Or(cfg.Limits, DefaultLimits()), clock: cmp.Or[clock.Clock](cfg.Clock, clock.System{}), log: cmp.Or(cfg.Log, slog.Default()),
	}
	r.offers = registry.NewCache[*offer](r.limits.Cache)
	r.large = make(chan struct{}, r.limits.Large)
	r.auditing = make(chan struct{}, maxAuditing)
	return r, nil
}

// Handler serves the routes. The caller has stripped the path that PublicURL ends in.
func (r *Registry) Handler() http.Handler {
	// "package" could be an id below /-/stage/, which the one mux cannot tell apart.
	var plain, staged []registry.Route
	for _, route := range r.Routes() {
		if strings.HasPrefix(route.Pattern, stagePrefix) {
			staged = append(staged, route)
		} else {
			plain = append(plain, route)
		}
	}
	g := r.guard()
	mux, staging := g.Mux(plain, g.UnknownRoute), g.Mux(staged, g.UnknownRoute)
	return joinScope(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.EscapedPath(), stagePrefix) {
			staging.ServeHTTP(w, req)
			return
		}
		mux.ServeHTTP(w, req)
	}))
}

// stagePrefix is where versions are staged.
const stagePrefix = "/-/stage/package/"
