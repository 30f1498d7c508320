package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const identityIDRandom = 12

// Assertion is what an identity provider vouches for. Whoever makes one has verified it.
type Assertion struct {
	Issuer, Subject string
	Provider        string // what people call it
	// Name is what the account is called that [Service.SignInIdentity] makes when the identity is
	// nobody's yet; empty: none is made.
	Name string
	// Factor is the second factor that the provider asked for, where the operator trusts it to; else empty.
	Factor evidence.Factor
	// Roles are what the person's groups come to in the organisations that Maps lists. In those, and
	// in no other, a role that came from the provider and is not among Roles is taken away.
	Roles map[string]Role
	Maps  []string
}

// Identity is who may sign in to an account by a provider.
type Identity struct {
	ID       string // "idn_…"
	Issuer   string
	Provider string
	Created  time.Time
}

// LinkIdentity lets who the assertion is about sign in to the actor's account. Codes: identity-taken and
// those of a change of factors.
func (s *Service) LinkIdentity(ctx context.Context, actor evidence.Actor, a Assertion) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := s.link(ctx, tx, c.account, a); err != nil {
			return err
		}
		if err := s.assume(ctx, tx, c.account, a); err != nil {
			return err
		}
		return s.notify(ctx, tx, c.account, "identity-linked", map[string]any{"label": a.Provider})
	})
}

func (s *Service) link(ctx context.Context, tx *sql.Tx, account string, a Assertion) error {
	id, err := s.randomText(identityIDRandom)
	if err != nil {
		return err
	}
	const insert = `INSERT INTO account_identity (id, issuer, subject, account, label, created) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (issuer, subject) DO NOTHING`
	n, err := affected(tx.ExecContext(ctx, insert, "idn_"+id, a.Issuer, a.Subject, account, a.Provider, s.clk.Now().UnixMilli()))
	if err != nil {
		return fmt.Errorf("link identity: %w", err)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "identity-taken", "that identity of %s opens an account already; remove it there first", a.Provider)
	}
	return nil
}

// Identities returns the actor's, by age.
func (s *Service) Identities(ctx context.Context, actor evidence.Actor) ([]Identity, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT id, issuer, label, created FROM account_identity WHERE account = $1 ORDER BY created, id`, c.account)
	return collect(rows, err, func(rows *sql.Rows) (Identity, error) {
		var i Identity
		var created int64
		err := rows.Scan(&i.ID, &i.Issuer, &i.Provider, &created)
		i.Created = fromMillis(created)
		return i, err
	})
}

// RemoveIdentity unlinks one of the actor's; roles that came from it go, too. Codes: identity-unknown and
// those of a change of factors.
func (s *Service) RemoveIdentity(ctx context.Context, actor evidence.Actor, id string) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		var issuer, label string
		const remove = `DELETE FROM account_identity WHERE id = $1 AND account = $2 RETURNING issuer, label`
		err := tx.QueryRowContext(ctx, remove, id, c.account).Scan(&issuer, &label)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "identity-unknown", "your account has no such identity; open the account page again")
		}
		if err != nil {
			return fmt.Errorf("remove identity: %w", err)
		}
		lent, err := lentRoles(ctx, tx, c.account, issuer)
		if err != nil {
			return err
		}
		for organisation := range lent {
			if err := takeBack(ctx, tx, c.account, organisation, lent[organisation]); err != nil {
				return err
			}
		}
		return s.notify(ctx, tx, c.account, "identity-removed", map[string]any{"label": label})
	})
}

// SignInIdentity opens a session for whoever the assertion is about: the account that the identity is
// linked to, or a new one. An account of the same name or address is never taken for theirs.
// Codes: identity-unlinked, name-invalid.
func (s *Service) SignInIdentity(ctx context.Context, a Assertion, from Device) (secret string, err error) {
	var account string
	err = s.change(ctx, func(tx *sql.Tx) error {
		const query = `SELECT account FROM account_identity WHERE issuer = $1 AND subject = $2`
		err := tx.QueryRowContext(ctx, query, a.Issuer, a.Subject).Scan(&account)
		if errors.Is(err, sql.ErrNoRows) {
			account = a.Name
			err = s.welcome(ctx, tx, a)
		}
		if err != nil {
			return fmt.Errorf("sign in by %s: %w", a.Provider, err)
		}
		return s.assume(ctx, tx, account, a)
	})
	if err != nil {
		return "", err
	}
	return s.openSession(ctx, account, "sso", a.Factor, from)
}

// welcome makes the account of who comes for the first time.
func (s *Service) welcome(ctx context.Context, tx *sql.Tx, a Assertion) error {
	unlinked := fault.New(fault.Denied, "identity-unlinked",
		"no account is linked to this identity of %s; sign in with your password or passkey and link it on your account page, or ask an administrator for an account", a.Provider)
	if a.Name == "" {
		return unlinked
	}
	if err := checkAccountName(a.Name); err != nil {
		return err
	}
	const insert = `INSERT INTO account_user (name, admin, password, created) VALUES ($1, 0, '', $2) ON CONFLICT (name) DO NOTHING`
	n, err := affected(tx.ExecContext(ctx, insert, a.Name, s.clk.Now().UnixMilli()))
	if err != nil {
		return fmt.Errorf("make account: %w", err)
	}
	if n == 0 {
		return unlinked
	}
	return s.link(ctx, tx, a.Name, a)
}

// assume brings the roles that come from the provider in line with the assertion. A role that somebody
// gave by hand is never touched.
func (s *Service) assume(ctx context.Context, tx *sql.Tx, account string, a Assertion) error {
	lent, err := lentRoles(ctx, tx, account, a.Issuer)
	if err != nil {
		return err
	}
	for _, organisation := range a.Maps {
		role, now := lent[organisation], a.Roles[organisation]
		switch {
		case role == now:
		case now == "":
			err = takeBack(ctx, tx, account, organisation, role)
		default:
			err = lend(ctx, tx, account, organisation, a.Issuer, role, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lentRoles are the roles by organisation that the account has from an issuer.
func lentRoles(ctx context.Context, q querier, account, issuer string) (map[string]Role, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation, role FROM account_identity_role WHERE account = $1 AND issuer = $2`, account, issuer)
	type lent struct {
		organisation string
		role         Role
	}
	all, err := collect(rows, err, func(rows *sql.Rows) (l lent, err error) {
		return l, rows.Scan(&l.organisation, &l.role)
	})
	roles := map[string]Role{}
	for _, l := range all {
		roles[l.organisation] = l.role
	}
	return roles, err
}

// lend gives the role, unless there is no such organisation or the account has a role there that did not
// come from the issuer.
func lend(ctx context.Context, tx *sql.Tx, account, organisation, issuer string, before, role Role) error {
	const query = `SELECT COALESCE(m.role, '') FROM organisation o
		LEFT JOIN organisation_member m ON m.organisation = o.name AND m.account = $2 WHERE o.name = $1`
	var has Role
	err := tx.QueryRowContext(ctx, query, organisation, account).Scan(&has)
	if errors.Is(err, sql.ErrNoRows) || err == nil && has != before {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read role: %w", err)
	}
	if err := putMember(ctx, tx, organisation, account, role); err != nil {
		return err
	}
	const put = `INSERT INTO account_identity_role (account, organisation, issuer, role) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, organisation) DO UPDATE SET issuer = excluded.issuer, role = excluded.role`
	if _, err := tx.ExecContext(ctx, put, account, organisation, issuer, string(role)); err != nil {
		return fmt.Errorf("set role: %w", err)
	}
	return keepOwner(ctx, tx, organisation, account, before)
}

// takeBack removes a role that came from a provider, unless it was changed by hand since.
func takeBack(ctx context.Context, tx *sql.Tx, account, organisation string, role Role) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM account_identity_role WHERE account = $1 AND organisation = $2`, account, organisation); err != nil {
		return fmt.Errorf("take role: %w", err)
	}
	const remove = `DELETE FROM organisation_member WHERE account = $1 AND organisation = $2 AND role = $3`
	if _, err := tx.ExecContext(ctx, remove, account, organisation, string(role)); err != nil {
		return fmt.Errorf("take role: %w", err)
	}
	return keepOwner(ctx, tx, organisation, account, role)
}

// keepOwner gives the role back when it was the last owner's: nobody could manage the organisation.
func keepOwner(ctx context.Context, tx *sql.Tx, organisation, account string, before Role) error {
	err := requireOwnerLeft(ctx, tx, organisation)
	if fault.KindOf(err) == fault.Conflict && err != nil && before == Owner {
		return putMember(ctx, tx, organisation, account, Owner)
	}
	return err
}

// StrongestRole returns the one that allows most; "" when there is none among them.
func StrongestRole(roles ...Role) (strongest Role) {
	for _, r := range roles {
		strongest = higher(strongest, r)
	}
	return strongest
}
