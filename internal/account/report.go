package account

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
)

// settled is from which age on an account is no newcomer.
const settled = 30 * day

// Established reports whether the actor's account is older than a month and has a second factor: whoever
// makes accounts to be many has to wait, and to enrol each.
func (s *Service) Established(ctx context.Context, actor evidence.Actor) (bool, error) {
	st, err := s.standing(ctx, actor.Account)
	if err != nil || !st.hasFactor() {
		return false, err
	}
	var created int64
	if err := s.db.Query().QueryRowContext(ctx, `SELECT created FROM account_user WHERE name = $1`, actor.Account).Scan(&created); err != nil {
		return false, fmt.Errorf("age of account: %w", err)
	}
	return s.clk.Now().Sub(fromMillis(created)) > settled, nil
}

// Administer fails unless the actor is a site administrator who has proven the factor that changing
// something takes. Codes: those of RequireAdmin and RequireFactor.
func (s *Service) Administer(ctx context.Context, actor evidence.Actor) error {
	return s.administer(ctx, actor)
}

// TellAdmins leaves a notice for every site administrator.
func (s *Service) TellAdmins(ctx context.Context, kind string, data map[string]any) error {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT name FROM account_user WHERE admin = 1 ORDER BY name`)
	admins, err := collect(rows, err, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
	if err != nil {
		return fmt.Errorf("list administrators: %w", err)
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, name := range admins {
			if err := s.notify(ctx, tx, name, kind, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tell leaves a notice for one account.
func (s *Service) Tell(ctx context.Context, account, kind string, data map[string]any) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error { return s.notify(ctx, tx, account, kind, data) })
}
