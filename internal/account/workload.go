package account

import (
	"context"
	"crypto/subtle"
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

// WorkloadSchema returns the tables of the tokens that trusted publishers get.
func WorkloadSchema() store.Schema {
	return store.Schema{Owner: "account-workload", Steps: []string{workloadSQL}}
}

// WorkloadToken describes a short-lived token for one name.
type WorkloadToken struct {
	// Identity is who the pipeline run proved to be; Identity.Publisher becomes the actor's account.
	Identity evidence.WorkloadIdentity
	Label    string // what statements call it: "github acme/ui release.yml"
	// Ecosystem and Name are all that it reaches.
	Ecosystem, Name string
	Permission      evidence.Permission // Stage or Publish
	// Digests are the artifacts that it may publish; none means any.
	Digests []digest.Digest
	Single  bool // one artifact, and then nothing else
	Expires time.Time
}

// workload is what the cache keeps of a workload token beside its credential. It never changes.
type workload struct {
	identity        evidence.WorkloadIdentity
	organisation    string
	ecosystem, name string
	permission      evidence.Permission
}

// MintWorkload makes a token for a pipeline. The token exists once insert has run in a transaction that
// commits: whoever calls this writes down in the same one what the token was given for. insert fails with
// code namespace-unowned when nobody owns the name.
func (s *Service) MintWorkload(t WorkloadToken) (secret string, actor evidence.Actor, insert func(context.Context, *sql.Tx) error, err error) {
	now := s.clk.Now()
	switch {
	case t.Permission != evidence.Stage && t.Permission != evidence.Publish:
		return "", actor, nil, fault.New(fault.Invalid, "scope-invalid", "a trusted publisher may stage or publish, not %s", clip(string(t.Permission)))
	case len(t.Digests) > maxBoundDigests:
		return "", actor, nil, fault.New(fault.Invalid, "scope-invalid", "a token is bound to %d digests at most", maxBoundDigests)
	case t.Identity.Publisher == "" || !t.Expires.After(now) || t.Expires.After(now.Add(maxWorkloadLife)):
		return "", actor, nil, errors.New("mint workload token: no publisher, or a lifetime out of bounds")
	}
	if secret, err = s.newSecret(workloadPrefix); err != nil {
		return "", actor, nil, err
	}
	random, err := s.randomText(tokenIDRandom)
	if err != nil {
		return "", actor, nil, err
	}
	id := "wlt_" + random
	insert = func(ctx context.Context, tx *sql.Tx) error {
		return insertWorkload(ctx, tx, t, id, hashSecret(secret), now)
	}
	return secret, workloadActor(id, t.Label, &t.Identity), insert, nil
}

func workloadActor(id, label string, identity *evidence.WorkloadIdentity) evidence.Actor {
	return evidence.Actor{
		Account: identity.Publisher, Credential: workloadCredential + id, Label: label, Method: "oidc", Workload: identity,
	}
}

func insertWorkload(ctx context.Context, tx *sql.Tx, t WorkloadToken, id, hash string, now time.Time) error {
	g, err := readGrant(ctx, tx, grantKey{"", t.Ecosystem, t.Name})
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	if g.namespace == "" {
		return errUnowned(t.Ecosystem, t.Name)
	}
	identity, err := json.Marshal(t.Identity)
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM workload_token WHERE expires < $1`, now.Add(-workloadKept).UnixMilli()); err != nil {
		return fmt.Errorf("forget expired workload tokens: %w", err)
	}
	bound := make([]string, len(t.Digests))
	for i, d := range t.Digests {
		bound[i] = string(d)
	}
	const query = `INSERT INTO workload_token (id, hash, publisher, organisation, label, identity, ecosystem, name, permission,
		digests, single, spent, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', $12, $13, 0)`
	_, err = tx.ExecContext(ctx, query, id, hash, t.Identity.Publisher, g.owner, t.Label, string(identity), t.Ecosystem, t.Name,
		string(t.Permission), strings.Join(bound, " "), bit(t.Single), now.UnixMilli(), millis(t.Expires))
	if err != nil {
		return fmt.Errorf("mint workload token: %w", err)
	}
	return nil
}

// EndWorkloads revokes the tokens that a publisher has, in the caller's transaction. The caller calls
// [Service.Forget] when it has committed.
func (s *Service) EndWorkloads(ctx context.Context, tx *sql.Tx, publisher string) error {
	const query = `UPDATE workload_token SET revoked = $1 WHERE publisher = $2 AND revoked = 0`
	if _, err := tx.ExecContext(ctx, query, s.clk.Now().UnixMilli(), publisher); err != nil {
		return fmt.Errorf("end workload tokens: %w", err)
	}
	return nil
}

// Forget drops the cache. Who changed a right in a transaction of their own calls it after the commit.
func (s *Service) Forget() { s.cache.Store(newCache()) }

const selectWorkload = `SELECT id, hash, label, identity, organisation, ecosystem, name, permission, expires
	FROM workload_token WHERE revoked = 0 AND `

// authenticateWorkload is [Service.AuthenticateSecret] for a workload token.
func (s *Service) authenticateWorkload(ctx context.Context, user, secret, remoteAddr string) (evidence.Actor, error) {
	if !validSecret(workloadPrefix, secret) {
		return evidence.Actor{}, errCredential()
	}
	hash, cache := hashSecret(secret), s.cache.Load()
	c, ok := cache.byHash.get(hash)
	if !ok {
		var stored string
		var err error
		c, stored, err = scanWorkload(s.db.Query().QueryRowContext(ctx, selectWorkload+`hash = $1`, hash))
		if err != nil {
			return evidence.Actor{}, err
		}
		if subtle.ConstantTimeCompare([]byte(stored), []byte(hash)) != 1 {
			return evidence.Actor{}, errCredential()
		}
		cache.remember(c)
		cache.byHash.put(hash, c)
	}
	if user != c.account && !tokenUsers[user] {
		return evidence.Actor{}, errCredential()
	}
	return s.admit(ctx, c, remoteAddr)
}

// loadWorkload returns a workload token by its id, as [Service.loadCredential] does for others.
func (s *Service) loadWorkload(ctx context.Context, id string) (*credential, error) {
	c, _, err := scanWorkload(s.db.Query().QueryRowContext(ctx, selectWorkload+`id = $1`, id))
	return c, err
}

// scanWorkload leaves the credential's hash empty: last use is not written down for what lives minutes.
func scanWorkload(row *sql.Row) (c *credential, hash string, err error) {
	w := new(workload)
	c = &credential{method: "oidc", workload: w}
	var id, identity string
	var expires int64
	if err := row.Scan(&id, &hash, &c.label, &identity, &w.organisation, &w.ecosystem, &w.name, &w.permission, &expires); err != nil {
		return nil, "", credentialError(err)
	}
	if err := json.Unmarshal([]byte(identity), &w.identity); err != nil {
		return nil, "", fmt.Errorf("read workload token: %w", err)
	}
	c.name, c.account, c.expires = workloadCredential+id, w.identity.Publisher, fromMillis(expires)
	c.scope = Scope{Ecosystem: w.ecosystem, Names: []string{w.name}, Permission: w.permission}
	return c, hash, nil
}

// identity returns who the workload is that a credential belongs to; nil for an account's.
func (c *credential) identity() *evidence.WorkloadIdentity {
	if c.workload == nil {
		return nil
	}
	return &c.workload.identity
}

// authorizeWorkload decides about an actor that is a workload; done is false for everybody else. It asks
// for no role and no second factor: the publisher is the right, for one name, as long as who trusted it
// still owns that name.
func (s *Service) authorizeWorkload(ctx context.Context, actor evidence.Actor, g grant, perm evidence.Permission, ecosystem, name string) (done bool, err error) {
	if !strings.HasPrefix(actor.Credential, workloadCredential) {
		return false, nil
	}
	c, err := s.known(ctx, actor)
	if err != nil {
		return true, err
	}
	w := c.workload
	switch {
	case w.ecosystem != ecosystem || w.name != name:
		if perm == evidence.Read {
			return true, errNameUnknown(name)
		}
		return true, fault.New(fault.Denied, "token-scope", "the token is for %s %s alone; exchange another for %s", w.ecosystem, w.name, clip(name))
	case !includes(w.permission, perm):
		return true, fault.New(fault.Denied, "token-scope", "a trusted publisher may %s here; a person has to do this", w.permission)
	case g.unproven && perm != evidence.Read:
		return true, errUnproven(ecosystem, g.namespace)
	case g.owner == "" || g.owner != w.organisation:
		return true, fault.New(fault.Denied, "namespace-not-yours", "%q has another owner since the token was made; ask them to trust this publisher", name)
	}
	return true, nil
}

// errWorkload refuses what only an account may do.
func errWorkload() error {
	return fault.New(fault.Denied, "workload-denied",
		"a trusted publisher's token publishes one package and does nothing else; log in as a person for this")
}

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
