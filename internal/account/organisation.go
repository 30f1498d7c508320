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

// Organisation owns namespaces; its members have roles.
type Organisation struct {
	Name      string
	Created   time.Time
	CreatedBy string
	Role      Role // the asking account's; empty when it is no member
}

// Member is a user with a role.
type Member struct {
	Account string
	Role    Role
}

// CreateOrganisation creates an organisation and makes the actor its owner. Codes: login-required,
// token-scope, name-invalid, name-taken.
func (s *Service) CreateOrganisation(ctx context.Context, actor evidence.Actor, name string) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	if err := checkAccountName(name); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		const insert = `INSERT INTO organisation (name, created, created_by) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`
		if err := insertNew(ctx, tx, name, insert, name, s.clk.Now().UnixMilli(), c.account); err != nil {
			return err
		}
		return putMember(ctx, tx, name, c.account, Owner)
	})
}

// Organisations returns, by name, those that the actor is a member of; to a site administrator,
// all of them.
func (s *Service) Organisations(ctx context.Context, actor evidence.Actor) ([]Organisation, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	const query = `SELECT o.name, o.created, o.created_by, COALESCE(m.role, '') FROM organisation o
		LEFT JOIN organisation_member m ON m.organisation = o.name AND m.account = $1
		WHERE m.role IS NOT NULL OR $2 = 1 ORDER BY o.name`
	rows, err := s.db.Query().QueryContext(ctx, query, c.account, bit(c.admin))
	return collect(rows, err, func(rows *sql.Rows) (Organisation, error) {
		var o Organisation
		var created int64
		err := rows.Scan(&o.Name, &created, &o.CreatedBy, &o.Role)
		o.Created = fromMillis(created)
		return o, err
	})
}

// Members returns an organisation's members by name, to its members and site administrators.
func (s *Service) Members(ctx context.Context, actor evidence.Actor, organisation string) ([]Member, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	if err := requireRole(ctx, s.db.Query(), c, organisation, Reader); err != nil {
		return nil, err
	}
	const query = `SELECT account, role FROM organisation_member WHERE organisation = $1 ORDER BY account`
	rows, err := s.db.Query().QueryContext(ctx, query, organisation)
	return collect(rows, err, scanMember)
}

func scanMember(rows *sql.Rows) (Member, error) {
	var m Member
	err := rows.Scan(&m.Account, &m.Role)
	return m, err
}

// SetMember gives user a role in an organisation; its owners and site administrators may. Codes:
// organisation-unknown, organisation-not-yours, user-unknown, role-invalid, member-last-owner.
func (s *Service) SetMember(ctx context.Context, actor evidence.Actor, organisation, user string, role Role) error {
	if err := role.check(); err != nil {
		return err
	}
	return s.manage(ctx, actor, organisation, func(tx *sql.Tx, _ *credential) error {
		if err := requireUser(ctx, tx, user); err != nil {
			return err
		}
		if err := putMember(ctx, tx, organisation, user, role); err != nil {
			return err
		}
		return requireOwnerLeft(ctx, tx, organisation)
	})
}

// RemoveMember takes user's role in an organisation away. The last owner stays. Codes as SetMember.
func (s *Service) RemoveMember(ctx context.Context, actor evidence.Actor, organisation, user string) error {
	return s.manage(ctx, actor, organisation, func(tx *sql.Tx, _ *credential) error {
		const remove = `DELETE FROM organisation_member WHERE organisation = $1 AND account = $2`
		n, err := affected(tx.ExecContext(ctx, remove, organisation, user))
		if err != nil {
			return fmt.Errorf("remove member: %w", err)
		}
		if n == 0 {
			return fault.New(fault.NotFound, "user-unknown", "%q is not a member of %s; list its members to see who is", clip(user), organisation)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM team_member WHERE organisation = $1 AND account = $2`, organisation, user); err != nil {
			return fmt.Errorf("remove from teams: %w", err)
		}
		return requireOwnerLeft(ctx, tx, organisation)
	})
}

// manage runs fn in a transaction in which the actor was found to be an owner of the organisation
// or a site administrator, with the second factor that this takes.
func (s *Service) manage(ctx context.Context, actor evidence.Actor, organisation string, fn func(*sql.Tx, *credential) error) error {
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := requireRole(ctx, tx, c, organisation, Owner); err != nil {
			return err
		}
		level, err := managing(ctx, tx, organisation)
		if err != nil {
			return err
		}
		if err := s.govern(ctx, c, actor, level); err != nil {
			return err
		}
		return fn(tx, c)
	})
}

// requireRole fails unless the credential's account has at least that role. To outsiders, an
// organisation that they cannot see does not exist.
func requireRole(ctx context.Context, q querier, c *credential, organisation string, least Role) error {
	const query = `SELECT COALESCE(m.role, '') FROM organisation o
		LEFT JOIN organisation_member m ON m.organisation = o.name AND m.account = $2 WHERE o.name = $1`
	var role Role
	err := q.QueryRowContext(ctx, query, organisation, c.account).Scan(&role)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read role: %w", err)
	}
	switch {
	case err == nil && (c.admin || role.Allows(permissions[least])):
		return nil
	case role == "":
		return fault.New(fault.NotFound, "organisation-unknown",
			"there is no organisation %q, or you are not a member; create it with: hullmark org create %s", clip(organisation), clip(organisation))
	}
	return fault.New(fault.Denied, "organisation-not-yours", "you are %s of %s and this needs %s; ask one of its owners", role, organisation, least)
}

func putMember(ctx context.Context, tx *sql.Tx, organisation, account string, role Role) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO organisation_member (organisation, account, role) VALUES ($1, $2, $3)
		ON CONFLICT (organisation, account) DO UPDATE SET role = excluded.role`, organisation, account, string(role))
	if err != nil {
		return fmt.Errorf("set member: %w", err)
	}
	return nil
}

// requireOwnerLeft keeps an organisation from becoming one that nobody can manage.
func requireOwnerLeft(ctx context.Context, tx *sql.Tx, organisation string) error {
	var owners int
	const query = `SELECT count(*) FROM organisation_member WHERE organisation = $1 AND role = 'owner'`
	if err := tx.QueryRowContext(ctx, query, organisation).Scan(&owners); err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if owners == 0 {
		return fault.New(fault.Conflict, "member-last-owner", "%s would have no owner left; make someone else an owner first", organisation)
	}
	return nil
}

// bit is a bool as the tables keep it.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
