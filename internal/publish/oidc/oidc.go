// Package oidc lets a pipeline publish without a stored secret: it exchanges the identity token that its CI
// provider signed for a token of ours, which is good for some minutes and for one name or, where the client's
// protocol does not say which, for every name that trusts the pipeline.
//
// A name has trusted publishers: which provider's tokens are taken for it, from which issuer, and what they
// must say (repository, workflow, environment, event, branch). Numbers that the provider gives to owner and
// repository are learnt from the first token and hold from then on, so that whoever registers a name that
// was given up does not inherit the trust. A pending publisher waits for a name that nobody owns yet.
//
// What it refuses: an issuer that no administrator and no line of this package names, before anything is
// fetched; a token of one issuer for a publisher of another, whatever it claims; any algorithm but RS256
// and ES256; a token without key id, with an audience that is not ours alone, outside its time, or used
// before; runs that a stranger can cause; a redirect, an address inside the network, or a large answer when
// keys are fetched.
//
// What it does not do: find out whether the run itself was uncompromised. Its claims are genuine then, too;
// only a person who approves (package publish) stands in the way of that.
package oidc

import (
	"context"
	"database/sql"
	_ "embed"
	"io"
	"log/slog"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/store"
)

const (
	// leeway is how far a provider's clock may be from ours.
	leeway = 30 * time.Second
	// kept is how long a used token's identifier stays beyond the time to which the token is accepted. It is
	// derived from leeway where it is used, so that the two cannot drift apart.
	kept = 5 * time.Minute
	// tokenLife is how long the token that a pipeline gets is valid: a publication takes seconds.
	tokenLife = 15 * time.Minute
)

//go:embed schema.sql
var schemaSQL string

//go:embed whose.sql
var whoseSQL string

// Schema returns the package's tables.
func Schema() store.Schema {
	return store.Schema{Owner: "publish-oidc", Steps: []string{schemaSQL, whoseSQL}}
}

// Accounts is who owns names and hands out tokens; the account service implements it but for Mint.
type Accounts interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
	// RequireFactor fails unless the actor has proven the second factor that their account has.
	RequireFactor(ctx context.Context, actor evidence.Actor) error
	// RequireOwner fails unless the actor is an owner of the organisation.
	RequireOwner(ctx context.Context, actor evidence.Actor, organisation string) error
	// MayOwn reports whether an account still may own a name.
	MayOwn(ctx context.Context, account, ecosystem, name string) (bool, error)
	// HolderOf returns the organisation that owns a name; empty for none. tx may be nil.
	HolderOf(ctx context.Context, tx *sql.Tx, ecosystem, name string) (string, error)
	// Outermost returns the namespace that a name needs, and fails for a name that cannot be.
	Outermost(ecosystem, name string) (string, error)
	// ClaimFor gives the organisation the namespace of a name, if account still may ask for that.
	ClaimFor(ctx context.Context, tx *sql.Tx, organisation, account, ecosystem, name string) error
	// Mint makes a token, which exists once insert has run in a transaction that commits. actors are who
	// holds it, for each right.
	Mint(g Grant) (secret string, actors []evidence.Actor, insert func(context.Context, *sql.Tx) error, err error)
	// EndWorkloads revokes the tokens of a publisher.
	EndWorkloads(ctx context.Context, tx *sql.Tx, publisher string) error
	// Forget makes what a transaction changed visible; it is called after the commit.
	Forget()
	// AddressHash returns the keyed hash under which the record knows an address ("ip:port").
	AddressHash(ctx context.Context, remoteAddr string) (string, error)
}

// Grant is what a token of ours is good for.
type Grant struct {
	Ecosystem string
	Rights    []evidence.WorkloadRight // one for each name
	Digests   []digest.Digest
	Single    bool
	Expires   time.Time
}

// Config is what the service is made of. All fields are needed.
type Config struct {
	Record   *evidence.Record
	Accounts Accounts
	Clock    clock.Clock
	Random   io.Reader
	Log      *slog.Logger
}

// Service keeps trusted publishers and exchanges tokens. It is safe for concurrent use.
type Service struct {
	Config
	db       *store.DB
	keys     *keyring
	issuers  issuerCache
	refusals *budget
}

// New returns a service; [Schema] must be migrated in the record's database.
func New(c Config) *Service {
	s := &Service{Config: c, db: c.Record.DB(), refusals: newBudget()}
	s.keys = newKeyring(c.Clock, c.Log, fetch)
	return s
}
