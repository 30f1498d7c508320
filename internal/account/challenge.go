package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	challengeLifetime = 10 * time.Minute
	maxChallenges     = 1000 // that are open at a time
	maxAsked          = 20   // by one account in a minute
	maxWhat           = 300  // bytes
)

// A challenge joins a client that cannot ask for a second factor to a page that can. As with the web
// login, the two hold different secrets: who sees the page's address cannot fetch the proof.

// Challenge is a waiting client that needs a person's second factor.
type Challenge struct {
	Account string
	What    string // the sentence that says what is about to be done
	Level   Level  // AnyFactor or PhishingResistant
	Created time.Time
	Expires time.Time
	Done    bool
}

// StartChallenge opens a step-up for the actor's client: code is for the address that a person opens
// (/step-up/{code}), poll stays with the client. Codes: too-many-attempts, challenge-busy.
func (s *Service) StartChallenge(ctx context.Context, actor evidence.Actor, level Level, what, remoteAddr string) (code, poll string, err error) {
	c, err := s.known(ctx, actor)
	if err != nil {
		return "", "", err
	}
	now := s.clk.Now()
	if !s.factors.take(now, []attempt{{"challenge\x00" + c.account, maxAsked, attemptWindow}}) {
		return "", "", errTooMany()
	}
	address, err := s.hashAddress(ctx, parseAddress(remoteAddr))
	if err != nil {
		return "", "", err
	}
	if code, err = s.randomText(tokenRandom); err != nil {
		return "", "", err
	}
	if poll, err = s.randomText(tokenRandom); err != nil {
		return "", "", err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		if err := sweepChallenges(ctx, tx, now); err != nil {
			return err
		}
		const insert = `INSERT INTO step_up (code_hash, poll_hash, account, credential, address, level, what, created, factor, completed, proof_hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0, '')`
		_, err := tx.ExecContext(ctx, insert, hashSecret(code), hashSecret(poll), c.account, c.name, address,
			string(stronger(level, AnyFactor)), strings.ToValidUTF8(what[:min(len(what), maxWhat)], ""), now.UnixMilli())
		return err
	})
	if err != nil {
		return "", "", fmt.Errorf("start challenge: %w", err)
	}
	return code, poll, nil
}

// sweepChallenges forgets what has run out and fails when too many are open. Proofs outlive their
// challenge by their own lifetime.
func sweepChallenges(ctx context.Context, tx *sql.Tx, now time.Time) error {
	const sweep = `DELETE FROM step_up WHERE created <= $1`
	if _, err := tx.ExecContext(ctx, sweep, now.Add(-challengeLifetime-proofLifetime).UnixMilli()); err != nil {
		return err
	}
	var open int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM step_up`).Scan(&open); err != nil {
		return err
	}
	if open >= maxChallenges {
		return fault.New(fault.Unavailable, "challenge-busy", "too many confirmations are open; try again in a few minutes")
	}
	return nil
}

// challengeHorizon is the creation time up to which challenges have run out.
func (s *Service) challengeHorizon() int64 { return s.clk.Now().Add(-challengeLifetime).UnixMilli() }

// Challenge returns what waits behind code. Codes: challenge-unknown (also after 10 minutes).
func (s *Service) Challenge(ctx context.Context, code string) (ch Challenge, err error) {
	const query = `SELECT account, what, level, created, factor <> '' FROM step_up WHERE code_hash = $1 AND created > $2`
	var created int64
	err = s.db.Query().QueryRowContext(ctx, query, hashSecret(code), s.challengeHorizon()).Scan(&ch.Account, &ch.What, &ch.Level, &created, &ch.Done)
	if errors.Is(err, sql.ErrNoRows) {
		return ch, errChallengeUnknown()
	}
	if err != nil {
		return ch, fmt.Errorf("read challenge: %w", err)
	}
	ch.Created = fromMillis(created)
	ch.Expires = ch.Created.Add(challengeLifetime)
	return ch, nil
}

func errChallengeUnknown() error {
	return fault.New(fault.NotFound, "challenge-unknown", "this confirmation has run out or was used already; repeat the command")
}

// CompleteChallenge lets the waiting client go on: the session must be of the same account and its
// Factor be fresh and strong enough. Codes: challenge-unknown, challenge-not-yours, otp-required,
// webauthn-required, factor-missing.
func (s *Service) CompleteChallenge(ctx context.Context, code string, session evidence.Actor) error {
	c, err := s.live(ctx, session)
	if err != nil {
		return err
	}
	ch, err := s.Challenge(ctx, code)
	if err != nil {
		return err
	}
	if ch.Account != c.account {
		return fault.New(fault.Denied, "challenge-not-yours", "this confirmation is for %s, and you are signed in as %s; sign in as %s", ch.Account, c.account, ch.Account)
	}
	if !ch.Level.met(session.Factor) {
		st, err := s.standing(ctx, c.account)
		if err != nil {
			return err
		}
		return st.missing(ch.Level)
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		const complete = `UPDATE step_up SET factor = $1, completed = $2 WHERE code_hash = $3 AND factor = ''`
		n, err := affected(tx.ExecContext(ctx, complete, string(session.Factor), s.clk.Now().UnixMilli(), hashSecret(code)))
		if err != nil {
			return fmt.Errorf("complete challenge: %w", err)
		}
		if n == 0 {
			return errChallengeUnknown()
		}
		return nil
	})
}

// PollChallenge returns the proof "hmp_…" once a person has completed the challenge, for Prove. It is
// handed out once, and good for 5 minutes from the confirmation, for the credential that asked.
// Codes: challenge-unknown.
func (s *Service) PollChallenge(ctx context.Context, poll string) (proof string, done bool, err error) {
	const query = `SELECT factor <> '' FROM step_up WHERE poll_hash = $1 AND created > $2 AND proof_hash = ''`
	err = s.db.Query().QueryRowContext(ctx, query, hashSecret(poll), s.challengeHorizon()).Scan(&done)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, errChallengeUnknown()
	}
	if err != nil || !done {
		return "", false, err
	}
	if proof, err = s.newSecret(proofPrefix); err != nil {
		return "", false, err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		const hand = `UPDATE step_up SET proof_hash = $1 WHERE poll_hash = $2 AND proof_hash = '' AND factor <> ''`
		n, err := affected(tx.ExecContext(ctx, hand, hashSecret(proof), hashSecret(poll)))
		if err == nil && n == 0 {
			return errChallengeUnknown()
		}
		return err
	})
	if err != nil {
		return "", false, err
	}
	return proof, true, nil
}
