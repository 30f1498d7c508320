package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet"
	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem"
	"github.com/hullmark/hullmark/internal/registry/upstream"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
	"github.com/hullmark/hullmark/internal/tlog"
	"github.com/hullmark/hullmark/internal/vuln"
)

// database is the file below the data folder that holds every table.
const database = "hullmark.db"

// App is a server with its stores open: every stage, ready to be served or used in process.
type App struct {
	Config     Config
	DB         *store.DB
	Blobs      *dir.Store
	Record     *evidence.Record
	Log        *tlog.Log
	LogKey     string // the log's public key, as a signed-note verifier key
	Accounts   *account.Service
	Core       *registry.Core
	Upstream   *upstream.Client
	Advisories *vuln.Source
	Policies   *policy.Service
	Publish    *publish.Service
	Trust      *oidc.Service

	// AdminToken is the first administrator's token, set at the first start only.
	AdminToken string

	lock *os.File
}

// Open opens the data folder, creating what is missing, and brings its tables up to date. It fails
// with code data-in-use while another process works on the folder. Close must be called.
func Open(ctx context.Context, c Config) (_ *App, err error) {
	c.applyDefaults()
	if err := c.checkContact(); err != nil {
		return nil, err
	}
	a := &App{Config: c}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.lock, err = lock(c.Data); err != nil {
		return nil, err
	}
	if err := a.openStores(ctx); err != nil {
		return nil, err
	}
	if err := a.openRecord(ctx); err != nil {
		return nil, err
	}
	resolver, err := c.resolver()
	if err != nil {
		return nil, err
	}
	a.Accounts = account.New(a.DB, c.Clock, c.Random).WithResolver(resolver)
	if err := a.configureAccounts(); err != nil {
		return nil, err
	}
	if a.AdminToken, _, err = a.Accounts.Bootstrap(ctx); err != nil {
		return nil, err
	}
	a.Publish = publish.New(a.Record, a.Accounts).WithPeople(people{a.Accounts}, c.Random)
	a.Trust = oidc.New(oidc.Config{Record: a.Record, Accounts: trustAccounts{a.Accounts}, Clock: c.Clock, Random: c.Random, Log: c.Logger})
	a.Core = registry.New(a.Record, a.Blobs, a.Accounts).WithReviewer(reviewer{a.Publish}).WithCooldowns(a.Accounts, c.Clock).WithOwners(a.Accounts).
		WithUpstreamCooldown(c.UpstreamCooldown)
	if a.Advisories, err = vuln.Open(c.Advisories, vuln.DefaultLimits(), c.Logger); err != nil {
		return nil, err
	}
	a.Core.WithVulnerabilities(a.Advisories)
	if a.Upstream, err = upstream.New(a.Core, c.Upstreams, c.Clock, c.Logger); err != nil {
		return nil, err
	}
	a.Policies = policy.NewService(a.Record, a.Blobs, a.Accounts, c.Clock)
	if err := a.Policies.Ship(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenExisting is Open for maintenance: it never makes a new server out of a mistyped path, but
// fails with code data-missing.
func OpenExisting(ctx context.Context, c Config) (*App, error) {
	if _, err := os.Stat(c.file(database)); err != nil {
		return nil, fault.New(fault.NotFound, "data-missing",
			"there is no server's data in %s; name the folder that 'hullmark dev' printed with --data", c.Data).Because(err)
	}
	return Open(ctx, c)
}

func (c *Config) applyDefaults() {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Origin == "" {
		c.Origin = "hullmark.local/log"
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = time.Second
	}
	if c.PullsEvery == 0 {
		c.PullsEvery = time.Minute
	}
	if c.UpstreamCooldown == 0 {
		c.UpstreamCooldown = registry.DefaultCooldown
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
}

func (a *App) openStores(ctx context.Context) (err error) {
	if a.DB, err = sqlite.Open(a.Config.file(database)); err != nil {
		return err
	}
	if err := a.DB.Migrate(ctx, evidence.Schema(), registry.Schema(), account.Schema(), account.WorkloadSchema(), account.PagesSchema(),
		oidc.Schema(), mail.Schema(), fleet.Schema(), upstream.Schema(), gem.Schema(), report.Schema()); err != nil {
		return err
	}
	a.Blobs, err = dir.Open(a.Config.file("blobs"))
	return err
}

func (a *App) openRecord(ctx context.Context) (err error) {
	if a.Record, err = evidence.Open(ctx, a.DB, a.Blobs, a.Config.Clock); err != nil {
		return err
	}
	signer, vkey, err := tlog.LoadOrCreateSigner(a.Config.file("log.key"), a.Config.Origin, a.Config.Random)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	a.LogKey = vkey
	a.Log, err = tlog.Open(ctx, tlog.Config{
		Origin: a.Config.Origin, Leaves: a.Record, Objects: a.Blobs, Signer: signer, Verifier: verifier,
		Clock: a.Config.Clock, Logger: a.Config.Logger,
	})
	return err
}

// Close closes the stores and frees the data folder.
func (a *App) Close() error {
	var errs []error
	if a.Upstream != nil {
		errs = append(errs, a.Upstream.Close())
	}
	if a.DB != nil {
		errs = append(errs, a.DB.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
