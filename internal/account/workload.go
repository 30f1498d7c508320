package account

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/store"
)

const (
	workloadPrefix     = "hmw_"
	workloadCredential = "workload:"
	// maxWorkloadLife bounds a workload token: who stole one has little time, and a pipeline gets another.
	maxWorkloadLife = time.Hour
	maxBoundDigests = 100
	// workloadKept is how long an expired token's row stays: until then it is "expired" and not "not valid".
	workloadKept = 24 * time.Hour
)

//go:embed workload.sql
var workloadSQL string

//go:embed workload_right.sql
var workloadRightSQL string

// WorkloadSchema returns the tables of the tokens that trusted publishers get.
func WorkloadSchema() store.Schema {
	return store.Schema{Owner: "account-workload", Steps: []string{workloadSQL, workloadRightSQL}}
}

// WorkloadToken describes a short-lived token for one name, or for some of an ecosystem.
type WorkloadToken struct {
	Ecosystem string
	// Rights are all that it reaches: one for each name, which is another publisher's each time.
	Rights []evidence.WorkloadRight
	// Digests are the artifacts that it may publish; none means any.
	Digests []digest.Digest
	Single  bool // one artifact, and then nothing else
	Expires time.Time
}

// MintWorkload makes a token for a pipeline. The token exists once insert has run in a transaction that
// commits: whoever calls this writes down in the same one what the token was given for. actors are who
// holds it, for each right. insert fails with code namespace-unowned when nobody owns a name.
func (s *Service) MintWorkload(t WorkloadToken) (secret string, actors []evidence.Actor, insert func(context.Context, *sql.Tx) error, err error) {
	now := s.clk.Now()
	if len(t.Digests) > maxBoundDigests {
		return "", nil, nil, fault.New(fault.Invalid, "scope-invalid", "a token is bound to %d digests at most", maxBoundDigests)
	}
	if len(t.Rights) == 0 || !t.Expires.After(now) || t.Expires.After(now.Add(maxWorkloadLife)) {
		return "", nil, nil, errors.New("mint workload token: no name, or a lifetime out of bounds")
	}
	for _, r := range t.Rights {
		if r.Permission != evidence.Stage && r.Permission != evidence.Publish {
			return "", nil, nil, fault.New(fault.Invalid, "scope-invalid", "a trusted publisher may stage or publish, not %s", clip(string(r.Permission)))
		}
		if r.Identity.Publisher == "" {
			return "", nil, nil, errors.New("mint workload token: no publisher")
		}
	}
	if secret, err = s.newSecret(workloadPrefix); err != nil {
		return "", nil, nil, err
	}
	random, err := s.randomText(tokenIDRandom)
	if err != nil {
		return "", nil, nil, err
	}
	id := "wlt_" + random
	insert = func(ctx context.Context, tx *sql.Tx) error {
		return insertWorkload(ctx, tx, t, id, hashSecret(secret), now)
	}
	for _, r := range t.Rights {
		actors = append(actors, evidence.Actor{
			Account: r.Identity.Publisher, Credential: workloadCredential + id, Label: r.Label, Method: "oidc", Workload: &r.Identity,
		})
	}
	return secret, actors, insert, nil
}

func insertWorkload(ctx context.Context, tx *sql.Tx, t WorkloadToken, id, hash string, now time.Time) error {
	if err := forgetWorkloads(ctx, tx, now.Add(-workloadKept)); err != nil {
		return err
	}
	bound := make([]string, len(t.Digests))
	for i, d := range t.Digests {
		bound[i] = string(d)
	}
	// The columns that were there before workload_right name the first; nothing reads them any more.
	first := t.Rights[0]
	const query = `INSERT INTO workload_token (id, hash, publisher, organisation, label, identity, ecosystem, name, permission,
		digests, single, spent, created, expires, revoked) VALUES ($1, $2, $3, '', $4, '{}', $5, $6, $7, $8, $9, '', $10, $11, 0)`
	_, err := tx.ExecContext(ctx, query, id, hash, first.Identity.Publisher, first.Label, t.Ecosystem, first.Name,
		string(first.Permission), strings.Join(bound, " "), bit(t.Single), now.UnixMilli(), millis(t.Expires))
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	for _, r := range t.Rights {
		if err := insertRight(ctx, tx, t.Ecosystem, id, r); err != nil {
			return err
		}
	}
	return nil
}

func insertRight(ctx context.Context, tx *sql.Tx, ecosystem, id string, r evidence.WorkloadRight) error {
	g, err := readGrant(ctx, tx, grantKey{"", ecosystem, r.Name})
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	if g.namespace == "" {
		return errUnowned(ecosystem, r.Name)
	}
	identity, err := json.Marshal(r.Identity)
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	const query = `INSERT INTO workload_right (token, name, publisher, organisation, label, identity, permission, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`
	_, err = tx.ExecContext(ctx, query, id, r.Name, r.Identity.Publisher, g.owner, r.Label, string(identity), string(r.Permission))
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	return nil
}

func forgetWorkloads(ctx context.Context, tx *sql.Tx, before time.Time) error {
	const rights = `DELETE FROM workload_right WHERE token IN (SELECT id FROM workload_token WHERE expires < $1)`
	if _, err := tx.ExecContext(ctx, rights, before.UnixMilli()); err != nil {
		return fmt.Errorf("forget expired workload tokens: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM workload_token WHERE expires < $1`, before.UnixMilli()); err != nil {
		return fmt.Errorf("forget expired workload tokens: %w", err)
	}
	return nil
}

// EndWorkloads takes from the tokens that a publisher has what they have by it, in the caller's transaction.
// A token that was good for nothing else is no credential any more. The caller calls [Service.Forget] when it
// has committed.
func (s *Service) EndWorkloads(ctx context.Context, tx *sql.Tx, publisher string) error {
	const query = `UPDATE workload_right SET revoked = $1 WHERE publisher = $2 AND revoked = 0`
	if _, err := tx.ExecContext(ctx, query, s.clk.Now().UnixMilli(), publisher); err != nil {
		return fmt.Errorf("end workload tokens: %w", err)
	}
	return nil
}

// Forget drops the cache. Who changed a right in a transaction of their own calls it after the commit.
func (s *Service) Forget() { s.cache.Store(newCache()) }

// Spend marks that a workload publishes an artifact, inside the transaction that publishes it: a token for
// one artifact is good for one, and a token that is bound to digests for those. It does nothing for
// accounts. Codes: workload-spent, workload-digest, credential-invalid.
func (s *Service) Spend(ctx context.Context, tx *sql.Tx, actor evidence.Actor, artifact digest.Digest) error {
	id, ok := strings.CutPrefix(actor.Credential, workloadCredential)
	if !ok {
		return nil
	}
	var digests string
	var single bool
	const query = `SELECT digests, single FROM workload_token WHERE id = $1 AND revoked = 0 AND expires > $2`
	err := tx.QueryRowContext(ctx, query, id, s.clk.Now().UnixMilli()).Scan(&digests, &single)
	if err != nil {
		return credentialError(err)
	}
	if bound := strings.Fields(digests); len(bound) > 0 && !slices.Contains(bound, string(artifact)) {
		return fault.New(fault.Denied, "workload-digest", "the token was exchanged for other bytes than these (%s); exchange one for what is published", artifact)
	}
	if !single {
		return nil
	}
	const update = `UPDATE workload_token SET spent = $1 WHERE id = $2 AND (spent = '' OR spent = $1)`
	n, err := affected(tx.ExecContext(ctx, update, string(artifact), id))
	if err != nil {
		return fmt.Errorf("spend workload token: %w", err)
	}
	if n == 0 {
		return fault.New(fault.Denied, "workload-spent", "the token was good for one version and has published it; exchange another")
	}
	return nil
}
