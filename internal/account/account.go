// Package account knows who may do what: users, organisations and teams, the namespaces that they own in
// every ecosystem, roles, tokens of people and of pipelines, passwords, second factors, sessions, and the
// logins and challenges that a person completes in a browser.
//
// [Service.Authenticate] turns a request into an evidence.Actor and [Service.Authorize] decides
// whether that actor may read, publish to or own a name, and with which second factor. Both answer from memory when they can:
// the tables behind them are cached, and every change to a right or a token drops the cache before
// the change is acknowledged, so that a revoked token is refused by the very next request.
//
// What it refuses: publishing into a namespace that the caller's organisation does not hold, also
// to site administrators; publishing to a name that nobody claimed; a token that makes a token with
// more rights than its own; telling which part of a credential was wrong. It keeps no secret in
// clear: tokens and codes are stored as SHA-256, passwords as argon2id, and the secrets of authenticator
// apps, which must be read again, sealed with a key that lies beside the database.
//
// Its tables may be read and written by one process at a time; several replicas need the cache to
// be dropped across processes first.
package account

import (
	"context"
	"crypto/cipher"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/hullmark/hullmark/internal/account/similar"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/store"
)

// firstUser is the site administrator that the first start creates.
const firstUser = "admin"

//go:embed schema.sql
var schemaSQL string

//go:embed fleet.sql
var fleetSQL string

//go:embed names.sql
var namesSQL string

//go:embed factor.sql
var factorSQL string

// changedSQL keeps when an account's credentials changed, which a freeze would only tell while there is one.
const changedSQL = `ALTER TABLE account_user ADD COLUMN credentials_changed BIGINT NOT NULL DEFAULT 0`

// loginSQL marks the tokens that logins made; those that are older are known by what they are called.
const loginSQL = `ALTER TABLE access_token ADD COLUMN login INTEGER NOT NULL DEFAULT 0;
	UPDATE access_token SET login = 1 WHERE description = 'npm login' AND ecosystem = 'npm' AND names = ''`

// Schema returns the package's tables.
func Schema() store.Schema {
	return store.Schema{Owner: "account", Steps: []string{
		schemaSQL, cooldownSQL, fleetSQL, namesSQL,
		factorSQL, teamSQL, mailDomainSQL, changedSQL, loginSQL,
	}}
}

// Service answers who may do what. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	clk clock.Clock

	// randMu guards rand, which need not be safe for concurrent use.
	randMu sync.Mutex
	rand   io.Reader

	// cache holds what was read since the last change of a right. It is replaced as a whole, never
	// emptied: a reader that loaded a row before a change puts it into the old one, where nobody
	// finds it.
	cache atomic.Pointer[cache]
	// addressKey is the key of the address hash once it was read; it never changes.
	addressKey atomic.Pointer[[]byte]
	addresses  table[netip.Addr, string] // the hashes of recent addresses

	// left tells who holds a stream open for a fleet member that the member was revoked.
	left departures

	// similar compares the names of each ecosystem.
	similar map[string]*similar.Names
	// resolver proves domains, and onTransfer ends what others hold about names that change hands.
	resolver   Resolver
	onTransfer []func(ctx context.Context, tx *sql.Tx, ecosystem, pattern string) error

	attempts *limiter
	factors  *limiter // of second factors: only who has a credential gets at it, so that nobody can flood it
	hashing  *hashQueue

	settings   Settings
	sealer     cipher.AEAD // nil: nothing can be sealed
	proofs     proofs
	ceremonies ceremonies
	relying    atomic.Pointer[webauthn.WebAuthn] // nil until ServeAt
	pages      atomic.Pointer[string]            // where people reach the pages; nil until ServeAt
}

// New returns the service on a database that [Schema] was migrated into. rand is the source of
// every secret: crypto/rand.Reader outside tests.
func New(db *store.DB, clk clock.Clock, rand io.Reader) *Service {
	s := &Service{
		db: db, clk: clk, rand: rand,
		attempts: newLimiter(), factors: newLimiter(), hashing: newHashQueue(),
		similar: map[string]*similar.Names{}, resolver: net.DefaultResolver,
	}
	for ecosystem := range rules {
		s.similar[ecosystem] = similar.In(ecosystem)
	}
	s.settings = Settings{}.withDefaults()
	s.cache.Store(newCache())
	return s
}

// Bootstrap makes the first start: it creates the user "admin", a site administrator, and returns
// an unrestricted token of theirs, which is not shown again. On every later start created is false
// and the token empty.
func (s *Service) Bootstrap(ctx context.Context) (adminToken string, created bool, err error) {
	if _, err := s.addressSecret(ctx); err != nil {
		return "", false, err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		var users int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM account_user`).Scan(&users); err != nil || users > 0 {
			return err
		}
		const insert = `INSERT INTO account_user (name, admin, password, created) VALUES ($1, 1, '', $2)`
		if _, err := tx.ExecContext(ctx, insert, firstUser, s.clk.Now().UnixMilli()); err != nil {
			return err
		}
		created = true
		adminToken, _, err = s.mint(ctx, tx, Token{
			Account: firstUser, Description: "first start", Scope: Scope{Permission: evidence.Own},
		})
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("first start: %w", err)
	}
	return adminToken, created, nil
}

// Recover makes a new unrestricted token for the first administrator, for an operator who lost
// theirs. It asks for no credential: whoever can open the database needs none. The old tokens
// stay valid until they are revoked.
func (s *Service) Recover(ctx context.Context) (adminToken string, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		adminToken, _, err = s.mint(ctx, tx, Token{
			Account: firstUser, Description: "recovered on the server", Scope: Scope{Permission: evidence.Own},
		})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("recover: %w", err)
	}
	return adminToken, nil
}

// addressSecret returns the key of the address hash, made at the first start.
func (s *Service) addressSecret(ctx context.Context) ([]byte, error) {
	if key := s.addressKey.Load(); key != nil {
		return *key, nil
	}
	fresh := make([]byte, 32)
	if err := s.random(fresh); err != nil {
		return nil, err
	}
	var stored string
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		const insert = `INSERT INTO account_secret (name, value) VALUES ('address', $1) ON CONFLICT (name) DO NOTHING`
		if _, err := tx.ExecContext(ctx, insert, hex.EncodeToString(fresh)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT value FROM account_secret WHERE name = 'address'`).Scan(&stored)
	})
	if err != nil {
		return nil, fmt.Errorf("address key: %w", err)
	}
	key, err := hex.DecodeString(stored)
	if err != nil {
		return nil, fmt.Errorf("address key: %w", err)
	}
	s.addressKey.Store(&key)
	return key, nil
}

// change runs fn in a write transaction and drops the cache before it returns: whoever learns that
// the change was made finds it in force.
func (s *Service) change(ctx context.Context, fn func(*sql.Tx) error) error {
	defer s.cache.Store(newCache())
	return s.db.Write(ctx, fn)
}

// querier is what a single read needs: a transaction or the database.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect reads every row with scan and closes rows.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// millis stores a time; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis reads what millis stored.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
