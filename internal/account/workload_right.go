package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// workload is what the cache keeps of a workload token beside its credential. It never changes.
type workload struct {
	ecosystem string
	rights    map[string]*right // by name; at least one
	first     *right            // in the order of names
}

// right is what a token may do with one name.
type right struct {
	evidence.WorkloadRight
	organisation string // that owned the name then: the right ends with that
}

const selectWorkload = `SELECT id, hash, ecosystem, expires FROM workload_token WHERE revoked = 0 AND `

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
		c, stored, err = readWorkload(ctx, s.db.Query(), `hash = $1`, hash)
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
	c, _, err := readWorkload(ctx, s.db.Query(), `id = $1`, id)
	return c, err
}

// readWorkload leaves the credential's hash empty: last use is not written down for what lives minutes.
func readWorkload(ctx context.Context, q querier, where, arg string) (c *credential, hash string, err error) {
	w := &workload{rights: map[string]*right{}}
	c = &credential{method: "oidc", workload: w}
	var id string
	var expires int64
	if err := q.QueryRowContext(ctx, selectWorkload+where, arg).Scan(&id, &hash, &w.ecosystem, &expires); err != nil {
		return nil, "", credentialError(err)
	}
	const query = `SELECT name, organisation, label, identity, permission FROM workload_right WHERE token = $1 AND revoked = 0 ORDER BY name`
	rows, err := q.QueryContext(ctx, query, id)
	rights, err := collect(rows, err, scanRight)
	if err != nil {
		return nil, "", fmt.Errorf("read workload token: %w", err)
	}
	if len(rights) == 0 {
		return nil, "", errCredential()
	}
	c.name, c.expires = workloadCredential+id, fromMillis(expires)
	c.account, c.label, w.first = rights[0].Identity.Publisher, rights[0].Label, rights[0]
	for _, r := range rights {
		w.rights[r.Name] = r
	}
	return c, hash, nil
}

func scanRight(rows *sql.Rows) (*right, error) {
	r := new(right)
	var identity string
	if err := rows.Scan(&r.Name, &r.organisation, &r.Label, &identity, &r.Permission); err != nil {
		return nil, err
	}
	return r, json.Unmarshal([]byte(identity), &r.Identity)
}

// identity returns who the workload is that a credential belongs to; nil for an account's. Of a token for
// several names it is the first one's until a name is known: see [Service.ActingOn].
func (c *credential) identity() *evidence.WorkloadIdentity {
	if c.workload == nil {
		return nil
	}
	return &c.workload.first.Identity
}

// heldBy reports whether the credential authenticates an account, or a publisher.
func (c *credential) heldBy(account string) bool {
	if c.workload == nil {
		return c.account == account
	}
	for _, r := range c.workload.rights {
		if r.Identity.Publisher == account {
			return true
		}
	}
	return false
}

// ActingOn returns the actor as it acts on one name: a pipeline's token may cover several names, each by a
// publisher of its own, which is who publishes then. Every other actor stays as it is.
func (s *Service) ActingOn(ctx context.Context, actor evidence.Actor, ecosystem, name string) evidence.Actor {
	if !strings.HasPrefix(actor.Credential, workloadCredential) {
		return actor
	}
	c, err := s.known(ctx, actor)
	if err != nil || c.workload.ecosystem != ecosystem {
		return actor // it may do nothing here, and hears that where it is authorised
	}
	if r := c.workload.rights[name]; r != nil {
		actor.Account, actor.Label, actor.Workload = r.Identity.Publisher, r.Label, &r.Identity
	}
	return actor
}

// authorizeWorkload decides about an actor that is a workload; done is false for everybody else. It asks
// for no role and no second factor: the publisher is the right, for its name, as long as who trusted it
// still owns that name.
func (s *Service) authorizeWorkload(ctx context.Context, actor evidence.Actor, g grant, perm evidence.Permission, ecosystem, name string) (done bool, err error) {
	if !strings.HasPrefix(actor.Credential, workloadCredential) {
		return false, nil
	}
	c, err := s.known(ctx, actor)
	if err != nil {
		return true, err
	}
	r := c.workload.rights[name]
	switch {
	case r == nil || c.workload.ecosystem != ecosystem:
		if perm == evidence.Read {
			return true, errNameUnknown(name)
		}
		return true, c.workload.outside(name)
	case !includes(r.Permission, perm):
		return true, fault.New(fault.Denied, "token-scope", "a trusted publisher may %s here; a person has to do this", r.Permission)
	case g.unproven && perm != evidence.Read:
		return true, errUnproven(ecosystem, g.namespace)
	case g.owner == "" || g.owner != r.organisation:
		return true, fault.New(fault.Denied, "namespace-not-yours", "%q has another owner since the token was made; ask them to trust this publisher", name)
	}
	return true, nil
}

// outside refuses a name that the token does not cover.
func (w *workload) outside(name string) error {
	if len(w.rights) == 1 {
		return fault.New(fault.Denied, "token-scope", "the token is for %s %s alone; exchange another for %s", w.ecosystem, w.first.Name, clip(name))
	}
	return fault.New(fault.Denied, "token-scope",
		"the token is for the %d names of %s that trust this run, and %s is not one of them; its owner adds a publisher with: hullmark trust add",
		len(w.rights), w.ecosystem, clip(name))
}

// errWorkload refuses what only an account may do.
func errWorkload() error {
	return fault.New(fault.Denied, "workload-denied",
		"a trusted publisher's token publishes one package and does nothing else; log in as a person for this")
}
