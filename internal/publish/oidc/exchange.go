package oidc

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Revision names the rules that exchanges are decided by. It changes with them.
const Revision = "trusted-publishing/1"

// Request is a token to be exchanged.
type Request struct {
	Ecosystem string
	// Name is what is to be published. Empty means every name with a publisher that the token matches: one
	// pipeline may publish many, and some clients do not say which.
	Name       string
	Token      string // the provider's
	Audience   string // that it must be for
	RemoteAddr string // "ip:port" of who sends it
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
	Credential string   // evidence.Actor.Credential
	Names      []string // that it is good for, in their order
	// Publisher and Permission are those of the first name.
	Publisher  string
	Permission evidence.Permission
	Created    time.Time
	Expires    time.Time
}

// errChanged says that a publisher changed between the look and the append.
var errChanged = errors.New("a publisher changed in between")

// maxTries bounds how often an exchange looks again: a publisher changed in between, or one of several names
// cannot be claimed and is left out.
const maxTries = 2 * maxPending

// Exchange verifies a token and makes one of ours for the publishers that it matches. That it was used, what
// the publishers learn, whom a pending name belongs to, the token and the statements about all of it are one
// transaction. Codes: identity-token-invalid, identity-token-used, issuer-unknown, issuer-unreachable,
// publisher-unknown, publisher-mismatch, publisher-limit, namespace-taken.
func (s *Service) Exchange(ctx context.Context, r Request) (Minted, error) {
	if err := s.checkName(r); err != nil {
		return Minted{}, err
	}
	address, err := s.Accounts.AddressHash(ctx, r.RemoteAddr)
	if err != nil {
		return Minted{}, err
	}
	id, err := s.verify(ctx, r.Token, r.Audience)
	if err != nil {
		return Minted{}, s.refuse(ctx, r.Ecosystem, r.Name, evidence.Actor{Method: "oidc", AddressHash: address}, err)
	}
	e := exchange{Service: s, Request: r, id: id, address: address, about: r.Name}
	for range maxTries {
		m, err := e.try(ctx)
		var one *unclaimable
		switch {
		case err == nil:
			return m, nil
		case errors.Is(err, errChanged):
			continue
		case r.Name == "" && errors.As(err, &one):
			e.without = append(e.without, *one)
			continue
		}
		actor := id.actor(e.as)
		actor.AddressHash = address
		return Minted{}, s.refuse(ctx, r.Ecosystem, e.about, actor, err)
	}
	return Minted{}, fault.New(fault.Unavailable, "publisher-busy", "the publishers of %s change at the moment; try again", r.what())
}

func (s *Service) checkName(r Request) error {
	if r.Name == "" {
		return nil
	}
	_, err := s.Accounts.Outermost(r.Ecosystem, r.Name)
	return err
}

// what names in a sentence what is to be published.
func (r Request) what() string {
	if r.Name == "" {
		return "the " + r.Ecosystem + " packages here"
	}
	return r.Name
}

// Check verifies a token as Exchange does and uses nothing up: for clients that log in before they say what
// they want.
func (s *Service) Check(ctx context.Context, token, audience string) error {
	_, err := s.verify(ctx, token, audience)
	return err
}

// exchange is one that is under way, with a token that was verified.
type exchange struct {
	*Service
	Request
	id      *identity
	address string
	// without are pending publishers whose names cannot be claimed: the others get their token all the same.
	without []unclaimable
	// as is the first publisher that matches, and about the name that a refusal is about: empty for none.
	as    *Publisher
	about string
}

// unclaimable says that the name which a publisher waits for cannot become its organisation's.
type unclaimable struct {
	publisher string
	error
}

func (u *unclaimable) Unwrap() error { return u.error }

// try makes the exchange, if nothing changes in between.
func (e *exchange) try(ctx context.Context) (Minted, error) {
	if m, done, err := e.before(ctx); done {
		return m, err
	}
	found, err := e.choose(ctx)
	if err != nil {
		return Minted{}, err
	}
	e.as, e.about = found[0].Publisher, found[0].Name
	now := e.Clock.Now()
	m := Minted{Publisher: found[0].ID, Permission: found[0].Permission, Created: now, Expires: now.Add(tokenLife)}
	g := Grant{Ecosystem: e.Ecosystem, Digests: e.Digests, Single: e.Single, Expires: m.Expires}
	for _, c := range found {
		m.Names = append(m.Names, c.Name)
		g.Rights = append(g.Rights, evidence.WorkloadRight{
			Name: c.Name, Permission: c.Permission, Identity: *e.id.workload(c.Publisher), Label: c.label(),
		})
	}
	secret, actors, mint, err := e.Accounts.Mint(g)
	if err != nil {
		return Minted{}, err
	}
	m.Secret, m.Credential = secret, actors[0].Credential
	drafts := make([]evidence.Draft, len(found))
	for i, c := range found {
		actors[i].AddressHash = e.address
		drafts[i] = e.exchanged(ctx, actors[i], c)
	}
	guard := func(tx *sql.Tx) error {
		if err := e.use(ctx, tx, m.Credential); err != nil {
			return err
		}
		for _, c := range found {
			if err := e.settle(ctx, tx, c); err != nil {
				return err
			}
		}
		return mint(ctx, tx)
	}
	if slices.ContainsFunc(found, func(c chosen) bool { return c.Pending }) {
		defer e.Accounts.Forget()
	}
	if _, err := e.Record.Append(ctx, guard, drafts...); err != nil {
		return Minted{}, err
	}
	return m, nil
}

// before answers a token that was exchanged already; done is false when it was not.
func (e *exchange) before(ctx context.Context) (m Minted, done bool, err error) {
	const query = `SELECT ecosystem, name, credential, address FROM exchanged_token WHERE issuer = $1 AND id = $2`
	var ecosystem, name, from string
	err = e.db.Query().QueryRowContext(ctx, query, e.id.issuer, e.id.id).Scan(&ecosystem, &name, &m.Credential, &from)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m, false, nil
	case err != nil:
		return m, true, fmt.Errorf("look for a used token: %w", err)
	case e.Again && ecosystem == e.Ecosystem && name == e.Name && from == e.address:
		return m, true, nil
	}
	return Minted{}, true, errUsed()
}

func errUsed() error {
	return fault.New(fault.Unauthenticated, "identity-token-used",
		"the identity token was exchanged before; every exchange needs a token of its own")
}

// settle makes the exchange's mark on the publisher, if it still is what was looked at.
func (e *exchange) settle(ctx context.Context, tx *sql.Tx, c chosen) error {
	p := c.Publisher
	if p.Pending {
		if err := e.reify(ctx, tx, p); err != nil {
			return err
		}
	} else if holder, err := e.Accounts.HolderOf(ctx, tx, p.Ecosystem, p.Name); err != nil || holder != p.Organisation {
		return errors.Join(err, errChanged)
	}
	was, err := json.Marshal(orEmpty(p.Learnt))
	if err != nil {
		return err
	}
	all := maps.Clone(orEmpty(p.Learnt))
	maps.Copy(all, c.learnt)
	now, err := json.Marshal(all)
	if err != nil {
		return err
	}
	const update = `UPDATE trusted_publisher SET learnt = $1, last_used = $2, pending = 0 WHERE id = $3 AND removed = 0 AND learnt = $4`
	r, err := tx.ExecContext(ctx, update, string(now), e.Clock.Now().UnixMilli(), p.ID, string(was))
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
		if kind := fault.KindOf(err); kind == fault.Internal || kind == fault.Unavailable {
			return err
		}
		return &unclaimable{p.ID, err}
	}
	const rivals = `UPDATE trusted_publisher SET removed = $1 WHERE ecosystem = $2 AND name = $3 AND removed = 0 AND organisation <> $4`
	if _, err := tx.ExecContext(ctx, rivals, s.Clock.Now().UnixMilli(), p.Ecosystem, p.Name, p.Organisation); err != nil {
		return fmt.Errorf("end rival publishers: %w", err)
	}
	return nil
}

// workload is who a run proved to be, in the words of the record.
func (id *identity) workload(p *Publisher) *evidence.WorkloadIdentity {
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
func (id *identity) actor(p *Publisher) evidence.Actor {
	w := id.workload(p)
	return evidence.Actor{Account: w.Publisher, Method: "oidc", Workload: w}
}
