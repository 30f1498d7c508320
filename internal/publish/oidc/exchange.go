package oidc

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Revision names the rules that exchanges are decided by. It changes with them.
const Revision = "trusted-publishing/1"

// Request is a token to be exchanged.
type Request struct {
	Ecosystem, Name string
	Token           string // the provider's
	Audience        string // that it must be for
	RemoteAddr      string // "ip:port" of who sends it
	// Digests bind the token that is made to these artifacts; none means any.
	Digests []digest.Digest
	// Single makes it good for one artifact.
	Single bool
	// Again lets the same token come again, from the same address and for the same name: it gets what it got
	// the first time and nothing more. Clients that can only repeat a password need it.
	Again bool
}

// Minted is the answer to an exchange.
type Minted struct {
	// Secret is the token of ours; empty when the exchange was made before.
	Secret     string
	Credential string // evidence.Actor.Credential
	Publisher  string
	Permission evidence.Permission
	Created    time.Time
	Expires    time.Time
}

// errChanged says that a publisher changed between the look and the append.
var errChanged = errors.New("a publisher changed in between")

// Exchange verifies a token and makes one of ours for the publisher that it matches. That it was used, what
// the publisher learns, whom a pending name belongs to, the token and the statement about all of it are one
// transaction. Codes: identity-token-invalid, identity-token-used, issuer-unknown, issuer-unreachable,
// publisher-unknown, publisher-mismatch, namespace-taken.
func (s *Service) Exchange(ctx context.Context, r Request) (Minted, error) {
	if _, err := s.Accounts.Outermost(r.Ecosystem, r.Name); err != nil {
		return Minted{}, err
	}
	address, err := s.Accounts.AddressHash(ctx, r.RemoteAddr)
	if err != nil {
		return Minted{}, err
	}
	id, err := s.verify(ctx, r.Token, r.Audience)
	if err != nil {
		return Minted{}, s.refuse(ctx, r, evidence.Actor{Method: "oidc", AddressHash: address}, err)
	}
	for range 3 {
		m, actor, err := s.exchange(ctx, r, id, address)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			actor.AddressHash = address
			return Minted{}, s.refuse(ctx, r, actor, err)
		}
		return m, nil
	}
	return Minted{}, fault.New(fault.Unavailable, "publisher-busy", "the publishers of %s change at the moment; try again", r.Name)
}

// Check verifies a token as Exchange does and uses nothing up: for clients that log in before they say what
// they want.
func (s *Service) Check(ctx context.Context, token, audience string) error {
	_, err := s.verify(ctx, token, audience)
	return err
}

// exchange does it for a verified token. Besides an error it returns who was refused.
func (s *Service) exchange(ctx context.Context, r Request, id *identity, address string) (Minted, evidence.Actor, error) {
	if m, done, err := s.before(ctx, r, id, address); done {
		return m, id.actor(nil, r), err
	}
	p, learnt, err := s.choose(ctx, r, id)
	if err != nil {
		return Minted{}, id.actor(nil, r), err
	}
	now := s.Clock.Now()
	expires := now.Add(tokenLife)
	secret, actor, mint, err := s.Accounts.Mint(Grant{
		Identity: *id.workload(p, r), Label: p.label(), Ecosystem: r.Ecosystem, Name: r.Name, Permission: p.Permission,
		Digests: r.Digests, Single: r.Single, Expires: expires,
	})
	if err != nil {
		return Minted{}, id.actor(p, r), err
	}
	actor.AddressHash = address
	guard := func(tx *sql.Tx) error {
		if err := s.use(ctx, tx, r, id, actor.Credential, address); err != nil {
			return err
		}
		if err := s.settle(ctx, tx, p, learnt); err != nil {
			return err
		}
		return mint(ctx, tx)
	}
	if p.Pending {
		defer s.Accounts.Forget()
	}
	if _, err := s.Record.Append(ctx, guard, s.exchanged(ctx, actor, r, p, learnt)); err != nil {
		return Minted{}, id.actor(p, r), err
	}
	return Minted{
		Secret: secret, Credential: actor.Credential, Publisher: p.ID, Permission: p.Permission, Created: now, Expires: expires,
	}, actor, nil
}

// before answers a token that was exchanged already; done is false when it was not.
func (s *Service) before(ctx context.Context, r Request, id *identity, address string) (m Minted, done bool, err error) {
	const query = `SELECT ecosystem, name, credential, address FROM exchanged_token WHERE issuer = $1 AND id = $2`
	var ecosystem, name, from string
	err = s.db.Query().QueryRowContext(ctx, query, id.issuer, id.id).Scan(&ecosystem, &name, &m.Credential, &from)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m, false, nil
	case err != nil:
		return m, true, fmt.Errorf("look for a used token: %w", err)
	case r.Again && ecosystem == r.Ecosystem && name == r.Name && from == address:
		return m, true, nil
	}
	return Minted{}, true, errUsed()
}

func errUsed() error {
	return fault.New(fault.Unauthenticated, "identity-token-used",
		"the identity token was exchanged before; every exchange needs a token of its own")
}

// choose finds the publisher that a token is of. Of several it is the one that demands most.
func (s *Service) choose(ctx context.Context, r Request, id *identity) (*Publisher, map[string]string, error) {
	// By issuer: what a token of one issuer claims is never compared with a publisher of another.
	found, err := s.publishers(ctx, `ecosystem = $1 AND name = $2 AND issuer = $3`, r.Ecosystem, r.Name, id.issuer)
	if err != nil {
		return nil, nil, err
	}
	holder, err := s.Accounts.HolderOf(ctx, nil, r.Ecosystem, r.Name)
	if err != nil {
		return nil, nil, err
	}
	var best *Publisher
	var learns map[string]string
	var closest []string
	for i := range found {
		p := &found[i]
		if p.Provider != id.provider.name || !p.Pending && p.Organisation != holder || p.Pending && holder != "" && holder != p.Organisation {
			continue // of another owner: whoever has the name now did not trust it
		}
		learnt, mismatches, ours := p.match(id.provider, id.claims)
		switch {
		case len(mismatches) > 0:
			if ours && (closest == nil || len(mismatches) < len(closest)) {
				closest = mismatches
			}
		case best == nil || best.Pending && !p.Pending || best.Pending == p.Pending && p.narrowness() > best.narrowness():
			best, learns = p, learnt
		}
	}
	switch {
	case best != nil:
		return best, learns, nil
	case closest != nil:
		return nil, nil, fault.New(fault.Denied, "publisher-mismatch", "no trusted publisher of %s matches this run: %s", r.Name, strings.Join(closest, "; "))
	}
	return nil, nil, errNoPublisher(r, id)
}

// errNoPublisher says the same when there is none and when all are of others: a stranger with a token does
// not learn which names exist.
func errNoPublisher(r Request, id *identity) error {
	whose := id.claims.Text("sub")
	what := "subject"
	if len(id.provider.fields) > 0 && id.provider.fields[0].claim != "" {
		what = id.provider.fields[0].name
		whose = id.claims.Text(id.provider.fields[0].claim)
	}
	return fault.New(fault.Denied, "publisher-unknown", "%s has no trusted publisher of %s whose %s is %q; its owner adds one with: hullmark trust add",
		r.Name, id.issuer, what, clip(whose))
}

// settle makes the exchange's mark on the publisher, if it still is what was looked at.
func (s *Service) settle(ctx context.Context, tx *sql.Tx, p *Publisher, learnt map[string]string) error {
	if p.Pending {
		if err := s.reify(ctx, tx, p); err != nil {
			return err
		}
	} else if holder, err := s.Accounts.HolderOf(ctx, tx, p.Ecosystem, p.Name); err != nil || holder != p.Organisation {
		return errors.Join(err, errChanged)
	}
	was, err := json.Marshal(orEmpty(p.Learnt))
	if err != nil {
		return err
	}
	all := maps.Clone(orEmpty(p.Learnt))
	maps.Copy(all, learnt)
	now, err := json.Marshal(all)
	if err != nil {
		return err
	}
	const update = `UPDATE trusted_publisher SET learnt = $1, last_used = $2, pending = 0 WHERE id = $3 AND removed = 0 AND learnt = $4`
	r, err := tx.ExecContext(ctx, update, string(now), s.Clock.Now().UnixMilli(), p.ID, string(was))
	if err != nil {
		return fmt.Errorf("note the use of a publisher: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errChanged)
	}
	return nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// reify gives the name that a pending publisher waits for to its organisation, and ends what others
// registered for it.
func (s *Service) reify(ctx context.Context, tx *sql.Tx, p *Publisher) error {
	if err := s.Accounts.ClaimFor(ctx, tx, p.Organisation, p.CreatedBy, p.Ecosystem, p.Name); err != nil {
		return err
	}
	const rivals = `UPDATE trusted_publisher SET removed = $1 WHERE ecosystem = $2 AND name = $3 AND removed = 0 AND organisation <> $4`
	if _, err := tx.ExecContext(ctx, rivals, s.Clock.Now().UnixMilli(), p.Ecosystem, p.Name, p.Organisation); err != nil {
		return fmt.Errorf("end rival publishers: %w", err)
	}
	return nil
}

// workload is who a run proved to be, in the words of the record.
func (id *identity) workload(p *Publisher, _ Request) *evidence.WorkloadIdentity {
	w := &evidence.WorkloadIdentity{
		Provider: id.provider.name, Issuer: id.issuer, Subject: clip(id.claims.Text("sub")), Claims: map[string]string{},
	}
	if p != nil {
		w.Publisher = p.ID
	}
	names := slices.Clone(id.provider.told)
	for _, f := range id.provider.fields {
		names = append(names, f.claim)
	}
	if id.provider.open && p != nil {
		names = slices.AppendSeq(names, maps.Keys(p.Claims))
	}
	for _, name := range names {
		if v := id.claims.Text(name); v != "" {
			w.Claims[name] = clip(v)
		}
	}
	return w
}

// actor is who a run is before it has a token.
func (id *identity) actor(p *Publisher, r Request) evidence.Actor {
	w := id.workload(p, r)
	return evidence.Actor{Account: w.Publisher, Method: "oidc", Workload: w}
}
