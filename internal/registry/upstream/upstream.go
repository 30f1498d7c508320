// Package upstream asks other registries for what is not hosted here, and keeps what it got: the pull-through
// of all ecosystems behind [registry.Upstream].
//
// An index document is stored, fresh for a while, then revalidated; when the upstream cannot be reached the stored
// one goes on with its age. A file is fetched once, sent on while it arrives, and goes on the record with where it
// came from and what was claimed of it; from then on the stored bytes are what is served.
//
// What it refuses: to ask for a name that is hosted or owned here (dependency confusion); to follow an address or a
// redirect to a host that nobody configured; to send an upstream's credential anywhere but to that upstream; to let
// the last byte of a file out before its digests were checked and its statement is durable; to serve a file whose
// listing changed since it was kept.
package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/store"
)

// Settings are what an operator chooses.
type Settings struct {
	// Sources are the upstreams. Of several of one ecosystem the first that knows a name answers for it; one that
	// cannot be reached ends the search, so that an outage never moves a name to another upstream.
	Sources []Source `json:"upstreams"`
	// Fresh is how long a document is served without asking again. Longer hides new versions, and shorter
	// costs round trips. Default 5 min.
	Fresh Duration `json:"fresh"`
	// Missing is how long an upstream's "no such name" holds. Default 1 min.
	Missing Duration `json:"missing"`
	// Patience is how long a client waits for an upstream that is slow when there is an older document to
	// answer with. Default 5 s.
	Patience Duration `json:"patience"`
	// Retry is how long an upstream that failed is left alone. Default 10 s.
	Retry Duration `json:"retry"`
	// Idle is how long a transfer may stand still, and Total how long a document may take. Defaults 30 s, 2 min.
	Idle  Duration `json:"idle"`
	Total Duration `json:"total"`
	// MaxFile is the largest file that is fetched, in bytes. Default 8 GiB.
	MaxFile int64 `json:"maxFile"`
	// Cache is how many bytes of documents are kept in memory. Default 48 MiB.
	Cache int64 `json:"cache"`
}

func (s *Settings) applyDefaults() {
	for _, d := range []struct {
		at       *Duration
		standard time.Duration
	}{
		{&s.Fresh, 5 * time.Minute}, {&s.Missing, time.Minute}, {&s.Patience, 5 * time.Second}, {&s.Retry, 10 * time.Second},
		{&s.Idle, 30 * time.Second}, {&s.Total, 2 * time.Minute},
	} {
		if *d.at <= 0 {
			*d.at = Duration(d.standard)
		}
	}
	if s.MaxFile <= 0 {
		s.MaxFile = 8 << 30
	}
	if s.Cache <= 0 {
		s.Cache = 48 << 20
	}
}

// Client is the upstreams of a server. It is safe for concurrent use.
type Client struct {
	core     *registry.Core
	settings Settings
	sources  map[string][]*source // by ecosystem, in the order in which they are asked
	clock    clock.Clock
	log      *slog.Logger

	facts  *registry.Cache[*fact]
	bodies *registry.Cache[*body]
	order  atomic.Int64 // of cached values
	asking singleflight.Group

	// mu guards failed, since when each upstream document cannot be had, and flights, the files under way.
	mu      sync.Mutex
	failed  map[string]failure
	flights map[string]*flight

	checked checkedClaims

	// owned is every goroutine that outlives the request that began it; quit ends them.
	owned sync.WaitGroup
	ctx   context.Context
	quit  context.CancelFunc
}

var _ registry.Upstream = (*Client)(nil)

// New returns the client of the configured upstreams. It fails with code upstream-invalid.
func New(core *registry.Core, s Settings, clk clock.Clock, log *slog.Logger) (*Client, error) {
	s.applyDefaults()
	c := &Client{
		core: core, settings: s, sources: map[string][]*source{}, clock: clk, log: log,
		facts: registry.NewCache[*fact](maxFacts), bodies: registry.NewCache[*body](s.Cache),
		failed: map[string]failure{}, flights: map[string]*flight{},
	}
	transport := newTransport(s)
	for _, one := range s.Sources {
		src, err := one.open(transport, clk)
		if err != nil {
			return nil, err
		}
		c.sources[one.Ecosystem] = append(c.sources[one.Ecosystem], src)
	}
	c.ctx, c.quit = context.WithCancel(context.Background())
	return c, nil
}

// Close ends what is under way. The stores may be closed after it.
func (c *Client) Close() error {
	c.quit()
	c.owned.Wait()
	return nil
}

// For returns the client as an adapter of the ecosystem takes it: nil when no upstream is configured for it.
func (c *Client) For(ecosystem string) registry.Upstream {
	if c == nil || len(c.sources[ecosystem]) == 0 {
		return nil
	}
	return c
}

// At names the first upstream of an ecosystem.
func (c *Client) At(ecosystem string) string { return c.sources[ecosystem][0].base.String() }

// Schema returns the tables of stored documents. They can be dropped: everything is asked for again.
func Schema() store.Schema {
	return store.Schema{Owner: "upstream", Steps: []string{`
		CREATE TABLE upstream_document (
			ecosystem     TEXT NOT NULL,
			path          TEXT NOT NULL,
			accept        TEXT NOT NULL,
			upstreams     TEXT NOT NULL,
			source        TEXT NOT NULL,
			base          TEXT NOT NULL,
			digest        TEXT NOT NULL,
			content_type  TEXT NOT NULL,
			etag          TEXT NOT NULL,
			last_modified TEXT NOT NULL,
			asked         BIGINT NOT NULL,
			PRIMARY KEY (ecosystem, path, accept)
		)`}}
}

// unknown is the answer for a name that no upstream may be asked for, or that none has.
func unknown(ecosystem, name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no %s package %q here or at an upstream", ecosystem, fault.Clip(name))
}

// unavailable is the answer when an upstream fails and nothing older can be served.
func unavailable(src string, cause error) error {
	return fault.New(fault.Unavailable, "upstream-unavailable",
		"the upstream %s does not answer as it should, and nothing older is kept here; try again later", src).Because(cause)
}

// Duration is a time.Duration that configuration files write as "5m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func newTransport(s Settings) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = time.Duration(s.Idle)
	return t
}

// names is the ecosystem's upstreams in one word: what was stored under others does not count.
func (c *Client) names(ecosystem string) string {
	var b strings.Builder
	for _, s := range c.sources[ecosystem] {
		fmt.Fprintf(&b, "%s ", s.base)
	}
	return b.String()
}
