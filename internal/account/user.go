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

// User is somebody, or something, that can hold a role.
type User struct {
	Name    string
	Admin   bool // site administrator
	Created time.Time
}

// CreateUser creates a user; only site administrators may. With an empty password the user logs
// in by tokens alone. Codes: admin-required, name-invalid, name-taken, password-unfit.
func (s *Service) CreateUser(ctx context.Context, actor evidence.Actor, name, password string) error {
	if err := s.administer(ctx, actor); err != nil {
		return err
	}
	if err := checkAccountName(name); err != nil {
		return err
	}
	stored, err := s.optionalPassword(ctx, name, password)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		const insert = `INSERT INTO account_user (name, admin, password, created) VALUES ($1, 0, $2, $3)
			ON CONFLICT (name) DO NOTHING`
		return insertNew(ctx, tx, name, insert, name, stored, s.clk.Now().UnixMilli())
	})
}

func (s *Service) optionalPassword(ctx context.Context, account, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	return s.hashPassword(ctx, account, password)
}

// ListUsers returns every user by name; only site administrators may ask.
func (s *Service) ListUsers(ctx context.Context, actor evidence.Actor) ([]User, error) {
	if err := s.requireAdmin(ctx, actor); err != nil {
		return nil, err
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT name, admin, created FROM account_user ORDER BY name`)
	return collect(rows, err, func(rows *sql.Rows) (User, error) {
		var u User
		var created int64
		err := rows.Scan(&u.Name, &u.Admin, &created)
		u.Created = fromMillis(created)
		return u, err
	})
}

// requireAdmin fails unless the actor is a site administrator with an unrestricted credential.
func (s *Service) requireAdmin(ctx context.Context, actor evidence.Actor) error {
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	if !c.admin {
		return fault.New(fault.Denied, "admin-required", "only a site administrator may do this; ask one")
	}
	return nil
}

// administer is requireAdmin for what changes something: it takes the administrator's second factor.
func (s *Service) administer(ctx context.Context, actor evidence.Actor) error {
	if err := s.requireAdmin(ctx, actor); err != nil {
		return err
	}
	return s.RequireFactor(ctx, actor, AnyFactor)
}

// unrestricted returns the actor's credential, which must not be a narrowed token: a token for one
// package manages neither users nor organisations.
func (s *Service) unrestricted(ctx context.Context, actor evidence.Actor) (*credential, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	if !c.scope.everything() {
		return nil, fault.New(fault.Denied, "token-scope",
			"a token that is limited to an ecosystem, names or a permission cannot manage accounts; use an unrestricted one")
	}
	return c, nil
}

// person returns the actor's credential if it may change how the account proves itself: it is not
// narrowed, gets around no factor, and a factor that the account has was proven.
func (s *Service) person(ctx context.Context, actor evidence.Actor) (*credential, error) {
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return nil, err
	}
	return c, s.govern(ctx, c, actor, AnyFactor)
}

// requireUser fails with code user-unknown.
func requireUser(ctx context.Context, q querier, name string) error {
	err := q.QueryRowContext(ctx, `SELECT name FROM account_user WHERE name = $1`, name).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "user-unknown", "there is no user %q; check the spelling or have an administrator create it", clip(name))
	}
	return err
}

// insertNew runs an INSERT … ON CONFLICT DO NOTHING and fails with code name-taken when the row
// was there.
func insertNew(ctx context.Context, tx *sql.Tx, name, insert string, args ...any) error {
	n, err := affected(tx.ExecContext(ctx, insert, args...))
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	if n == 0 {
		return fault.New(fault.Conflict, "name-taken", "the name %q is taken; choose another", name)
	}
	return nil
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
