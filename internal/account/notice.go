package account

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Notice is something that an account is told by mail. Kinds and the members of Data:
//
//	email-code             code         to an address that waits to be verified
//	email-changed          address      to the former address
//	password-changed       logins: how many clients must log in again
//	factor-added           factor, label
//	factor-removed         factor, label
//	recovery-codes-renewed
//	recovery-code-used     left
//	recovery-code          code, factors
//	recovery-began         opens, factors
//	recovered              factors
//	new-device             agent, method
//	token-revoked          token, description, url, reason
//	token-reaped           tokens
type Notice struct {
	ID      int64
	Kind    string
	Account string
	Address string // where it goes
	Data    json.RawMessage
	Created time.Time
}

// maxNotices bounds what waits for one account: a mailer that is away must not fill the disk.
const maxNotices = 200

// notify writes a notice to the account's verified address, in the transaction of what it tells.
// An account without one is told on its page alone.
func (s *Service) notify(ctx context.Context, tx *sql.Tx, account, kind string, data map[string]any) error {
	var address string
	err := tx.QueryRowContext(ctx, `SELECT address FROM account_email WHERE account = $1`, account).Scan(&address)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read address: %w", err)
	}
	return s.notifyAt(ctx, tx, account, address, kind, data)
}

func (s *Service) notifyAt(ctx context.Context, tx *sql.Tx, account, address, kind string, data map[string]any) error {
	if data == nil {
		data = map[string]any{}
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	const insert = `INSERT INTO account_notice (kind, account, address, data, created)
		SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM account_notice WHERE account = $2) < $6`
	if _, err := tx.ExecContext(ctx, insert, kind, account, address, string(raw), s.clk.Now().UnixMilli(), maxNotices); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	return nil
}

// Notices returns those that wait to be sent, oldest first. It asks for no right: it is the mailer's.
func (s *Service) Notices(ctx context.Context, limit int) ([]Notice, error) {
	const query = `SELECT id, kind, account, address, data, created FROM account_notice ORDER BY id LIMIT $1`
	rows, err := s.db.Query().QueryContext(ctx, query, limit)
	return collect(rows, err, func(rows *sql.Rows) (Notice, error) {
		var n Notice
		var data string
		var created int64
		err := rows.Scan(&n.ID, &n.Kind, &n.Account, &n.Address, &data, &created)
		n.Data, n.Created = json.RawMessage(data), fromMillis(created)
		return n, err
	})
}

// NoticeSent removes a notice: what it held may have been a secret.
func (s *Service) NoticeSent(ctx context.Context, id int64) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM account_notice WHERE id = $1`, id)
		return err
	})
}

// credentialsChanged writes down when an account's credentials did, and keeps it from publishing for a
// while. It never shortens a freeze.
func (s *Service) credentialsChanged(ctx context.Context, tx *sql.Tx, account, reason string) error {
	now := s.clk.Now()
	if _, err := tx.ExecContext(ctx, `UPDATE account_user SET credentials_changed = $1 WHERE name = $2`, now.UnixMilli(), account); err != nil {
		return fmt.Errorf("note a change of credentials: %w", err)
	}
	if s.settings.Freeze < 0 {
		return nil
	}
	const put = `INSERT INTO account_freeze (account, until, reason) VALUES ($1, $2, $3)
		ON CONFLICT (account) DO UPDATE SET until = excluded.until, reason = excluded.reason WHERE account_freeze.until < excluded.until`
	if _, err := tx.ExecContext(ctx, put, account, now.Add(s.settings.Freeze).UnixMilli(), reason); err != nil {
		return fmt.Errorf("freeze publishing: %w", err)
	}
	return nil
}

// newcomer reports whether an account is so young that its first password, address and factor are no change:
// nobody had it before.
func (s *Service) newcomer(created time.Time) bool {
	young := s.settings.Freeze
	if young < 0 {
		young = day
	}
	return s.clk.Now().Sub(created) < young
}

// Frozen returns until when publishing is frozen for the actor's account; the zero time for not.
func (s *Service) Frozen(ctx context.Context, actor evidence.Actor) (time.Time, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return time.Time{}, err
	}
	st, err := s.standing(ctx, c.account)
	if err != nil || !s.clk.Now().Before(st.frozen) {
		return time.Time{}, err
	}
	return st.frozen, nil
}

// thawed fails with code publishing-frozen. A pipeline's own identity is no account's and has none.
func (s *Service) thawed(ctx context.Context, c *credential) error {
	st, err := s.standing(ctx, c.account)
	if err != nil || !s.clk.Now().Before(st.frozen) {
		return err
	}
	return fault.New(fault.Denied, "publishing-frozen",
		"%s changed its password, address or second factors a short while ago and publishes again from %s; if that was not you, recover the account",
		c.account, st.frozen.Format(time.RFC3339))
}

// factorAdded is what follows from a new factor, in its transaction: the first brings recovery codes.
func (s *Service) factorAdded(ctx context.Context, tx *sql.Tx, account string, f evidence.Factor, label string) (recovery []string, err error) {
	s.proofs.forget()
	if err := s.notify(ctx, tx, account, "factor-added", map[string]any{"factor": f, "label": label}); err != nil {
		return nil, err
	}
	var factors, codes int
	var created int64
	const query = `SELECT (SELECT count(*) FROM account_totp WHERE account = $1 AND confirmed > 0) +
		(SELECT count(*) FROM account_passkey WHERE account = $1),
		(SELECT count(*) FROM account_recovery_code WHERE account = $1 AND used = 0),
		(SELECT created FROM account_user WHERE name = $1)`
	if err := tx.QueryRowContext(ctx, query, account).Scan(&factors, &codes, &created); err != nil {
		return nil, fmt.Errorf("count factors: %w", err)
	}
	// A thief of a token could add the factor that a rule asks for. Only who has just come is spared.
	if factors > 1 || !s.newcomer(fromMillis(created)) {
		if err := s.credentialsChanged(ctx, tx, account, "a second factor was added"); err != nil {
			return nil, err
		}
	}
	if codes > 0 {
		return nil, nil
	}
	return s.newRecoveryCodes(ctx, tx, account)
}

// factorRemoved is what follows from a removed factor; with the last one go the recovery codes.
func (s *Service) factorRemoved(ctx context.Context, tx *sql.Tx, account string, f evidence.Factor, label string) error {
	s.proofs.forget()
	st, err := readStanding(ctx, tx, account)
	if err != nil {
		return err
	}
	if !st.hasFactor() {
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_recovery_code WHERE account = $1`, account); err != nil {
			return fmt.Errorf("remove recovery codes: %w", err)
		}
	}
	if err := s.credentialsChanged(ctx, tx, account, "a second factor was removed"); err != nil {
		return err
	}
	return s.notify(ctx, tx, account, "factor-removed", map[string]any{"factor": f, "label": label})
}
