package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/console"
	"github.com/hullmark/hullmark/internal/console/sso"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet"
	"github.com/hullmark/hullmark/internal/image"
	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry/gem"
	"github.com/hullmark/hullmark/internal/registry/maven"
	"github.com/hullmark/hullmark/internal/registry/npm"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/registry/oci"
	"github.com/hullmark/hullmark/internal/registry/pypi"
	"github.com/hullmark/hullmark/internal/trace"
)

const (
	headerTimeout   = 10 * time.Second // a client that dribbles its header is cut off
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second // for requests under way when the server is told to stop
	maxHeader       = 64 << 10         // bytes
	pruneEvery      = time.Hour
	// advisoriesEvery is how often it is looked whether there are new advisories.
	advisoriesEvery = time.Minute
	verifyEvery     = time.Hour
	draftsKept      = 7 * 24 * time.Hour // after they have ended
	abandoned       = 24 * time.Hour     // since the last byte of an upload
	maxStreams      = 1000               // that one HTTP/2 connection may hold open
	pingAfter       = 30 * time.Second
	pingTimeout     = 15 * time.Second // a fleet member's machine that is gone is noticed within both
)

// Server is an App that listens. Requests are answered once Run is called.
type Server struct {
	// URL is how clients reach the server, without trailing slash.
	URL string
	// The registries. Their route tables are public.
	NPM   *npm.Registry
	PyPI  *pypi.Registry
	Maven *maven.Registry
	NuGet *nuget.Registry
	Gem   *gem.Registry
	OCI   *oci.Registry
	// API is the REST interface; its route table is public, too.
	API *api.API
	// Console serves the pages that people open; its route table is public, too.
	Console *console.Console
	// Fleet serves agents and admission controllers.
	Fleet *fleet.Service
	// Reports takes reports of malicious packages.
	Reports *report.Service

	app      *App
	outbox   *mail.Outbox // nil: no mail server is configured
	listener net.Listener
	handler  http.Handler
}

// Listen binds the configured address and builds the gates on it.
func (a *App) Listen() (*Server, error) {
	listener, err := net.Listen("tcp", a.Config.Listen)
	if err != nil {
		return nil, fault.New(fault.Conflict, "address-unusable",
			"%s cannot be listened on (%v); choose another with --listen, 127.0.0.1:0 for any free port", a.Config.Listen, err).Because(err)
	}
	s := &Server{app: a, listener: listener, URL: strings.TrimSuffix(a.Config.PublicURL, "/")}
	if s.URL == "" {
		s.URL = "http://" + listener.Addr().String()
	}
	if err := s.build(); err != nil {
		listener.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build() error {
	c := s.app.Config
	recalls := recall.New(s.app.Record, s.app.Accounts, s.app.fleetMembers)
	s.Reports = report.New(report.Config{
		DB: s.app.DB, Accounts: s.app.Accounts, Recalls: recalls, Settings: c.Reports, Clock: c.Clock, Random: c.Random,
	})
	if err := s.buildConsole(); err != nil {
		return err
	}
	ask := stepUp{s.app.Accounts, s.URL}
	signer, err := c.signer("npm.key")
	if err != nil {
		return err
	}
	registry := npm.Config{
		PublicURL: s.URL + "/npm/", Signer: signer, Accounts: npmAccounts{s.app.Accounts}, StepUp: ask, Clock: c.Clock, Log: c.Logger,
		LoginURL: s.app.Accounts.Pages() + "/login/", Stages: stages{s.app.Publish, purl.NPM}, Trust: npmTrust{s.app.Trust, exchanger{s}},
		Advertise: c.AdvertiseAttestations, Upstream: s.app.Upstream.For(purl.NPM),
	}
	if v, err := c.verifier(); err != nil {
		return err
	} else if v != nil {
		registry.Attestations = npmAttestations{v}
	}
	if s.NPM, err = npm.New(s.app.Core, registry); err != nil {
		return err
	}
	key, err := c.secret("oci.key")
	if err != nil {
		return err
	}
	var images oci.Upstream // an interface that holds nothing is not nil
	if s.app.Upstream.For(purl.OCI) != nil {
		images = s.app.Upstream
	}
	s.OCI, err = oci.New(s.app.Core, oci.Config{
		Upstream: images,
		Key:      key, PublicURL: c.PublicURL, Layers: layers{}, Accounts: s.app.Accounts,
		Trust: ociTrust{s.app.Trust, s.audience(purl.OCI)}, Clock: c.Clock, Log: c.Logger,
	})
	if err != nil {
		return err
	}
	if err := s.buildPackages(); err != nil {
		return err
	}
	s.Fleet = fleet.New(fleet.Config{
		Record: s.app.Record, Members: s.app.Accounts, Recalls: recalls,
		Policies: s.app.Policies, Records: s.app.Policies.Reader(), Blobs: s.app.Blobs, Clock: c.Clock, Logger: c.Logger,
	})
	s.API = api.New(api.Config{
		Core: s.app.Core, Accounts: s.app.Accounts, Tracer: trace.New(s.app.DB, s.app.Accounts).WithHosts(s.host()),
		Recalls: recalls, Reports: s.Reports, Upstreams: s.app.Upstream.States, URL: s.URL, Policies: s.app.Policies.WithHosts(s.host()), Publish: s.app.Publish,
		Trust: s.app.Trust, Audience: s.audience, Log: s.app.Log, Settled: s.OCI.Settled, StepUp: ask,
		Version: c.Version, Logger: c.Logger,
	})
	s.handler = s.routes()
	return nil
}

// buildPackages builds the registries whose wiring has a file of its own.
func (s *Server) buildPackages() error {
	for _, build := range []func() error{s.buildPyPI, s.buildMaven, s.buildNuGet, s.buildGem} {
		if err := build(); err != nil {
			return err
		}
	}
	return nil
}

// buildConsole builds the pages, single sign-on and the mail that goes with them.
func (s *Server) buildConsole() error {
	c := s.app.Config
	if err := s.app.Accounts.ServeAt(s.URL); err != nil {
		return err
	}
	if c.Mail != nil {
		sender, err := mail.New(*c.Mail)
		if err != nil {
			return err
		}
		s.outbox = mail.NewOutbox(s.app.DB, sender, c.Clock, c.Logger)
	}
	pages := s.app.Accounts.Pages()
	providers, err := sso.New(c.SignOn, pages, c.Clock, c.Random)
	if err != nil {
		return err
	}
	s.Console, err = console.New(console.Config{
		Accounts: s.app.Accounts, Publish: s.app.Publish, Reports: s.Reports, URL: pages, Registry: s.URL + "/npm/",
		SignOn: providers, Mail: s.outbox != nil, Clock: c.Clock, Log: c.Logger,
	})
	return err
}

// host is where clients reach the server, as image references name it.
func (s *Server) host() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// npmExchange is where npm exchanges tokens: it drops the path of the registry's address
// (npm, lib/utils/oidc.js).
const npmExchange = "/-/npm/v1/oidc/"

// mounts is everything that the server serves, by pattern. The routes below the first four are in
// tables of their own; the authorisation matrix knows the others by name.
func (s *Server) mounts() map[string]http.Handler {
	all := map[string]http.Handler{
		"/npm/":            http.StripPrefix("/npm", s.NPM.Handler()),
		npmExchange:        s.NPM.Handler(),
		"/v2/":             s.OCI.Handler(),
		"/token":           s.OCI.Handler(),
		"/pypi/":           http.StripPrefix("/pypi", s.PyPI.Handler()),
		"/_/oidc/":         s.PyPI.RootHandler(),
		pypi.DiscoveryPath: s.PyPI.RootHandler(),
		mavenMount:         http.StripPrefix("/maven", s.Maven.Handler()),
		nugetMount:         http.StripPrefix(strings.TrimSuffix(nugetMount, "/"), s.NuGet.Handler()),
		"/gems/":           http.StripPrefix("/gems", s.Gem.Handler()),
		api.Prefix + "/":   http.StripPrefix(api.Prefix, s.API.Handler()),
		fleet.Mount:        s.Fleet.Handler(),
		"/log/":            http.StripPrefix("/log", s.logHandler()),
		"GET /log/key":     http.HandlerFunc(s.serveKey),
		"GET /{$}":         http.HandlerFunc(s.serveFront),
		api.SecretsMount:   s.API.Secrets(),
		gemRevoke:          s.API.Secrets(),
		securityMount:      http.HandlerFunc(s.serveSecurity),
	}
	pages := s.Console.Handler()
	for _, m := range console.Mounts() {
		all[m] = pages
	}
	return all
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.mounts() {
		mux.Handle(pattern, h)
	}
	return mux
}

// Loopback reports whether only this machine reaches the server.
func (s *Server) Loopback() bool {
	a, ok := s.listener.Addr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// Handler returns the handler that Run serves; tests call it directly.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) serveFront(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Hullmark\n\nyou      %[2]s/account/\nnpm      %[1]s/npm/\nPyPI     %[1]s/pypi/simple/\nMaven    %[1]s/maven/\nNuGet    %[1]s/nuget/v3/index.json\n"+
		"gems     %[1]s/gems/\nimages   %[1]s/v2/\nAPI      %[1]s/api/v1/\nlog      %[1]s/log/checkpoint\nkey      %[1]s/log/key\nmalware  %[2]s/report/\n", s.URL, s.app.Accounts.Pages())
}

// Run serves until ctx ends, then lets requests under way finish and signs a last checkpoint.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: impatient(s.handler, bodyTimeout), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		Protocols: protocols(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if err := s.OCI.Recover(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(err, s.listener.Close(), s.OCI.Close())
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := server.Serve(s.listener)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	g.Go(func() error {
		<-gctx.Done()
		return drain(context.WithoutCancel(ctx), server, shutdownTimeout)
	})
	g.Go(func() error {
		err := s.app.Log.Run(gctx, s.app.Config.CheckpointEvery)
		if gctx.Err() != nil {
			return nil
		}
		return err
	})
	g.Go(func() error { return s.Fleet.Run(gctx) })
	g.Go(func() error { return every(gctx, s.app.Config.PullsEvery, s.flushPulls) })
	g.Go(func() error { return every(gctx, noticesEvery, s.postNotices) })
	g.Go(func() error { return every(gctx, advisoriesEvery, s.app.Advisories.Refresh) })
	g.Go(func() error { return every(gctx, pruneEvery, s.pruneUploads) })
	g.Go(func() error { return every(gctx, verifyEvery, s.verifyDomains) })
	g.Go(func() error { return every(gctx, pruneEvery, s.expireStages) })
	g.Go(func() error { return every(gctx, pruneEvery, s.reap) })
	return errors.Join(g.Wait(), s.OCI.Close(), s.lastWords(context.WithoutCancel(ctx)))
}

// protocols are HTTP/1.1 and, for the fleet's streams, HTTP/2 without TLS: a proxy in front ends TLS.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// every calls do at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			do(ctx)
		}
	}
}

// drain lets requests under way finish, and cuts off those that have not after patience: nothing that
// was acknowledged depends on them, and an upload goes on where it was.
func drain(ctx context.Context, server *http.Server, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// flushPulls writes down pull decisions; what fails is tried again the next time.
func (s *Server) flushPulls(ctx context.Context) {
	if err := s.app.Core.FlushPulls(ctx); err != nil {
		s.app.Config.Logger.Error("pull decisions were not recorded", "error", err)
	}
}

// verifyDomains looks again for domains that were proved, and for those of people's addresses.
func (s *Server) verifyDomains(ctx context.Context) {
	if _, err := s.app.Accounts.VerifyNamespaces(ctx); err != nil && ctx.Err() == nil {
		s.app.Config.Logger.Error("proofs of domains were not looked for", "error", err)
	}
	if _, err := s.app.Accounts.VerifyMailDomains(ctx); err != nil && ctx.Err() == nil {
		s.app.Config.Logger.Error("domains of addresses were not looked for", "error", err)
	}
}

// pruneUploads removes uploads that nobody has written to for a day.
func (s *Server) pruneUploads(ctx context.Context) {
	n, err := s.app.Blobs.PruneUploads(ctx, abandoned, s.app.Config.Clock.Now())
	if err != nil {
		s.app.Config.Logger.Error("abandoned uploads were not removed", "error", err)
	} else if n > 0 {
		s.app.Config.Logger.Info("abandoned uploads removed", "count", n)
	}
}

// expireStages withdraws what was staged and nobody has approved for too long, and forgets drafts.
func (s *Server) expireStages(ctx context.Context) {
	if err := s.app.Core.PruneDrafts(ctx, draftsKept); err != nil {
		s.app.Config.Logger.Error("ended drafts were not forgotten", "error", err)
	}
	n, err := s.app.Publish.ExpireStages(ctx)
	if err != nil {
		s.app.Config.Logger.Error("staged releases were not looked through", "error", err)
	} else if n > 0 {
		s.app.Config.Logger.Info("staged releases expired", "count", n)
	}
}

// lastWords records what is still counted and signs a checkpoint over everything.
func (s *Server) lastWords(ctx context.Context) error {
	if err := s.app.Core.FlushPulls(ctx); err != nil {
		return err
	}
	_, err := s.app.Log.Sequence(ctx)
	return err
}

// layers is the image package in the words of the OCI registry.
type layers struct{}

// ReadLayer implements oci.Layers.
func (layers) ReadLayer(r io.Reader) (*evidence.Inventory, error) { return image.ReadLayer(r) }

// Hidden implements oci.Layers.
func (layers) Hidden(inventories []*evidence.Inventory) []evidence.HiddenComponent {
	stack := make([]image.Layer, len(inventories))
	for i, inv := range inventories {
		stack[i] = image.Layer{Inventory: inv}
	}
	return image.Squash(stack).Hidden
}

// ReadConfig implements oci.Layers.
func (layers) ReadConfig(raw []byte) (oci.ImageConfig, error) {
	c, err := image.ParseConfig(raw)
	if err != nil {
		return oci.ImageConfig{}, err
	}
	return oci.ImageConfig{DiffIDs: c.RootFS.DiffIDs, Instructions: c.Instructions(), Platform: c.Platform(), Settings: c.Settings()}, nil
}
