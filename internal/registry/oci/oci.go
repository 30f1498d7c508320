// Package oci is the registry that container clients speak to: the OCI distribution API under
// /v2 and the token service that goes with it, on top of the registry core.
//
// It translates and nothing more. A repository is a name of the core, a manifest is a release
// whose version is its digest, a tag is a tag. Blobs belong to a repository by a link; the bytes
// are shared. What is pushed as a layer is read for its contents while it is being hashed
// (layer.go), and an image manifest ties those contents together (image.go).
//
// It refuses: manifests of unknown media types, manifests that two parsers could read in two
// ways, manifests that name blobs which the repository does not have, and names outside the
// specification's grammar. A layer that cannot be read is never a reason to refuse a push; it
// makes the record say "incomplete", with the reason.
//
// Source: opencontainers/distribution-spec 1.1; the calls are named by its end-N identifiers.
package oci

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// Layers knows what is inside images; the image package implements it.
type Layers interface {
	// ReadLayer reads one layer (gzip, zstd or plain tar) to its end. What cannot be read makes
	// the inventory incomplete; an error is one of r's.
	ReadLayer(r io.Reader) (*evidence.Inventory, error)
	// Hidden returns which components of the layers, lowest first, the finished image lacks.
	Hidden(layers []*evidence.Inventory) []evidence.HiddenComponent
	// ReadConfig reads an image configuration of at most 8 MiB.
	ReadConfig(raw []byte) (ImageConfig, error)
}

// ImageConfig is the part of an image configuration that the record needs.
type ImageConfig struct {
	DiffIDs      []digest.Digest // lowest first
	Instructions []string        // what made each of them; empty where the history does not tell
	Platform     string          // "os/architecture[/variant]", or empty
	// Settings are how it runs: "entrypoint", "user" and the like.
	Settings map[string]string
}

// Accounts revalidates a credential that a bearer token was issued for; the account package
// implements it.
type Accounts interface {
	// ActorSince returns the actor of a credential (evidence.Actor.Credential) if it is valid now and
	// from remoteAddr ("ip:port"), and was not replaced since derived.
	ActorSince(ctx context.Context, credential string, derived time.Time, remoteAddr string) (evidence.Actor, error)
}

// Upstream is [registry.Upstream] as images need it: the upstream package implements it.
type Upstream interface {
	registry.Upstream
	// Fetch makes sure that a file is kept, and returns its digest.
	Fetch(ctx context.Context, name string, wanted registry.Wanted) (digest.Digest, error)
	// At names the ecosystem's upstream.
	At(ecosystem string) string
}

// Limits bound what a client may make the registry hold. Zero fields take the default.
type Limits struct {
	Manifest int64 // bytes of a manifest; default 4 MiB, the least that the specification asks for
	Blob     int64 // bytes of a blob; default 64 GiB
	// Readers is how many layers are read at once; each needs up to 64 MiB. Default 8. When all
	// are busy a layer is read when its manifest arrives instead of during its upload.
	Readers int
	// Settle is how long the push of a manifest waits for layers that are still being read; what
	// is not read by then gets on the record when it is (see Registry.Settled). Default 0: the push
	// does not wait, and readers stand back while somebody uploads. Waiting costs a client the time
	// of unpacking what it pushed, about 1.5 s per 100 MB of gzip.
	Settle time.Duration
	// ReaderIdle is how long a half-uploaded layer keeps its reader. Default one minute; after
	// that the layer is read when its manifest arrives.
	ReaderIdle time.Duration
}

// Config is what the registry needs besides the core.
type Config struct {
	// Key is the secret that signs bearer tokens and upload locations; 32 bytes or more. Keep it
	// over restarts, or uploads under way are lost.
	Key []byte
	// Service is the name that clients see in the challenge; default "hullmark".
	Service string
	// PublicURL is the scheme and host under which clients reach us ("https://registry.example.com").
	// Empty means: as the request's Host says, which behind a TLS-ending proxy is wrong.
	PublicURL string
	// Layers reads pushed layers; nil means that images are recorded as incomplete.
	Layers   Layers
	Accounts Accounts
	// Trust lets pipelines push without a stored password; nil turns that off.
	Trust  Trust
	Limits Limits
	// Sparse lets manifests name contents that their repository does not have, as mirrors of one
	// platform want it. A pull of what is missing then fails half-way. Default false.
	Sparse bool
	// Upstream is where repositories come from that nobody here has; nil: only what was pushed is served.
	Upstream Upstream
	Clock    clock.Clock  // default the system's
	Log      *slog.Logger // default discards
}

// Registry serves the OCI API. It is safe for concurrent use.
type Registry struct {
	core     *registry.Core
	config   Config
	tokenKey []byte
	sessions *sessions
	layers   *layerBook
	merging  chan struct{}       // held while the layers of an image are merged
	serve    map[string]endpoint // by method and pattern; never changes
}

// minKey is the least length of Config.Key in bytes.
const minKey = 32

// New returns a registry on core. It fails when the configuration cannot work.
func New(core *registry.Core, config Config) (*Registry, error) {
	if len(config.Key) < minKey {
		return nil, errors.New("oci: the signing key is shorter than 32 bytes")
	}
	if config.Accounts == nil {
		return nil, errors.New("oci: no accounts to revalidate credentials with")
	}
	config.setDefaults()
	book := newLayerBook(core, config)
	g := &Registry{
		core: core, config: config, layers: book, merging: make(chan struct{}, 1),
		tokenKey: derive(config.Key, "bearer token"),
		sessions: newSessions(derive(config.Key, "upload location"), book, config.Limits.ReaderIdle),
	}
	g.serve = map[string]endpoint{}
	for _, e := range g.endpoints() {
		g.serve[e.method+" "+e.pattern] = e
	}
	return g, nil
}

func (c *Config) setDefaults() {
	orDefault(&c.Limits.Manifest, 4<<20)
	orDefault(&c.Limits.Blob, 64<<30)
	orDefault(&c.Limits.Readers, 8)
	orDefault(&c.Limits.ReaderIdle, time.Minute)
	orDefault(&c.Service, "hullmark")
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// derive makes a key for one purpose, so that a token can never pass for an upload location.
func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("hullmark oci " + purpose))
	return mac.Sum(nil)
}

// Close ends the layer readers: those of half-finished uploads are dropped, those of finished
// uploads may write down what they found.
func (g *Registry) Close() error {
	g.sessions.close()
	g.layers.close()
	return nil
}

// Handler returns the HTTP handler for /v2/ and /token.
func (g *Registry) Handler() http.Handler { return http.HandlerFunc(g.dispatch) }
