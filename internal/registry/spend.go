package registry

import (
	"context"
	"database/sql"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Spender knows credentials that are good for one artifact, or for some. An Access that implements it is
// asked inside the transaction that writes a publication, so that of two uploads with one such credential
// one is refused.
type Spender interface {
	// Spend marks that the actor publishes the artifact, or changes something about it. A fault refuses it.
	Spend(ctx context.Context, tx *sql.Tx, actor evidence.Actor, artifact digest.Digest) error
}

// Spend is [Spender.Spend] of the core's Access. Whoever appends a publication on their own calls it in
// their guard.
func (c *Core) Spend(ctx context.Context, tx *sql.Tx, actor evidence.Actor, artifact digest.Digest) error {
	if s, ok := c.access.(Spender); ok {
		return s.Spend(ctx, tx, actor, artifact)
	}
	return nil
}

// misspent reports whether an append was refused because the credential was not good for the artifact.
func misspent(err error) bool {
	code := fault.As(err).Code
	return code == "workload-spent" || code == "workload-digest"
}

// Actors knows credentials that cover several names, each by another publisher. An Access that implements it
// is asked who acts, once the name is known.
type Actors interface {
	ActingOn(ctx context.Context, actor evidence.Actor, ecosystem, name string) evidence.Actor
}

// actingOn is [Actors.ActingOn] of an Access that has it.
func actingOn(ctx context.Context, access Access, actor evidence.Actor, ecosystem, name string) evidence.Actor {
	if a, ok := access.(Actors); ok {
		return a.ActingOn(ctx, actor, ecosystem, name)
	}
	return actor
}
