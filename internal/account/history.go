package account

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/store"
)

const (
	// historyAge is how long an account's page tells what it was told.
	historyAge   = 90 * 24 * time.Hour
	maxRemembers = 500 // events of one account
)

//go:embed history.sql
var historySQL string

//go:embed identity.sql
var identitySQL string

// PagesSchema returns the tables that the account's pages and single sign-on need. They refer to those of
// [Schema], which comes first.
func PagesSchema() store.Schema {
	return store.Schema{Owner: "account-pages", Steps: []string{historySQL, identitySQL}}
}

// Remember keeps a notice for [Service.History] and removes it from those that wait, once whoever mails
// it has taken it over. One that holds a code is only removed.
func (s *Service) Remember(ctx context.Context, n Notice) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_notice WHERE id = $1`, n.ID); err != nil {
			return fmt.Errorf("remember notice: %w", err)
		}
		if strings.HasSuffix(n.Kind, "-code") {
			return nil
		}
		const insert = `INSERT INTO account_history (account, kind, data, created) VALUES ($1, $2, $3, $4)`
		if _, err := tx.ExecContext(ctx, insert, n.Account, n.Kind, string(n.Data), n.Created.UnixMilli()); err != nil {
			return fmt.Errorf("remember notice: %w", err)
		}
		const prune = `DELETE FROM account_history WHERE account = $1 AND (created < $2 OR id NOT IN
			(SELECT id FROM account_history WHERE account = $1 ORDER BY id DESC LIMIT $3))`
		if _, err := tx.ExecContext(ctx, prune, n.Account, s.clk.Now().Add(-historyAge).UnixMilli(), maxRemembers); err != nil {
			return fmt.Errorf("remember notice: %w", err)
		}
		return nil
	})
}

// History returns what the actor's account was told lately, newest first.
func (s *Service) History(ctx context.Context, actor evidence.Actor, limit int) ([]Notice, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	const query = `SELECT id, kind, account, data, created FROM account_history WHERE account = $1 ORDER BY id DESC LIMIT $2`
	rows, err := s.db.Query().QueryContext(ctx, query, c.account, limit)
	return collect(rows, err, func(rows *sql.Rows) (Notice, error) {
		var n Notice
		var data string
		var created int64
		err := rows.Scan(&n.ID, &n.Kind, &n.Account, &data, &created)
		n.Data, n.Created = json.RawMessage(data), fromMillis(created)
		return n, err
	})
}
