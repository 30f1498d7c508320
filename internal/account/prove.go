package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	proofPrefix = "hmp_"
	// proofLifetime is how long the proof of a finished challenge works.
	proofLifetime = 5 * time.Minute
	// codeReuse is how long a recovery code goes on working for the command that used it up.
	codeReuse = time.Minute
	maxOTP    = 200 // bytes of what is offered as a proof
)

// Prove returns the actor with the factor that otp proves: a TOTP code, a recovery code or the proof
// of a finished challenge. Codes: otp-invalid, too-many-attempts.
//
// A code is used up by whom it lets through first. Clients send one code with several requests,
// though (npm repeats its --otp with each): the same credential from the same address may offer it
// again until it would have run out. Nobody else may, and no other spelling of it is another code.
func (s *Service) Prove(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error) {
	c, err := s.known(ctx, actor)
	if err != nil {
		return evidence.Actor{}, err
	}
	code := digitsOf(otp)
	if code == "" || len(code) > maxOTP {
		return evidence.Actor{}, errOTP()
	}
	from, now := parseAddress(remoteAddr), s.clk.Now()
	key := proofKey{c.name, from, hashSecret(code)}
	if factor, ok := s.proofs.again(key, now); ok {
		actor.Factor = factor
		return actor, nil
	}
	limits := factorAttempts(c.account)
	if !s.factors.take(now, limits) {
		return evidence.Actor{}, errTooMany()
	}
	factor, until, err := s.spend(ctx, c, code, now)
	if err != nil {
		return evidence.Actor{}, err
	}
	s.factors.giveBack(limits)
	s.proofs.put(key, proof{factor, until}, now)
	actor.Factor = factor
	return actor, nil
}

// factorAttempts: three of a million codes are right at a time, so that 60 guesses a day find one
// within a year with a chance of 6 %. Who guesses has a credential of the account already.
func factorAttempts(account string) []attempt {
	return []attempt{{"factor\x00" + account, 10, attemptWindow}, {"factors\x00" + account, 60, day}}
}

// spend uses a proof up and says until when the same caller may offer it again.
func (s *Service) spend(ctx context.Context, c *credential, code string, now time.Time) (f evidence.Factor, until time.Time, err error) {
	switch {
	case strings.HasPrefix(code, proofPrefix):
		return s.challengeProof(ctx, c, code, now)
	case looksTOTP(code):
		step, err := s.spendTOTP(ctx, c.account, code, now)
		return evidence.TOTP, time.Unix((step+1+totpSkew)*totpPeriod, 0), err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		ok, err := s.useRecoveryCode(ctx, tx, c.account, code)
		if err == nil && !ok {
			return errOTP()
		}
		return err
	})
	return evidence.RecoveryCode, now.Add(codeReuse), err
}

// spendTOTP lets each step through once: the update names the step that it goes beyond, so that of
// two requests at the same moment one is refused.
func (s *Service) spendTOTP(ctx context.Context, account, code string, now time.Time) (step int64, err error) {
	t, err := s.readTOTP(ctx, s.db.Query(), account)
	if err != nil && fault.As(err).Code == "totp-unknown" {
		return 0, errOTP()
	}
	if err != nil {
		return 0, err
	}
	step, ok := t.match(code, now)
	if !ok || !t.confirmed {
		return 0, errOTP()
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		const use = `UPDATE account_totp SET last_step = $1 WHERE account = $2 AND last_step < $1 AND confirmed > 0`
		n, err := affected(tx.ExecContext(ctx, use, step, account))
		if err != nil {
			return fmt.Errorf("use a code: %w", err)
		}
		if n == 0 {
			return errOTP()
		}
		return nil
	})
	return step, err
}

// challengeProof checks the proof of a finished challenge: it is good for the credential that asked,
// from where it asked.
func (s *Service) challengeProof(ctx context.Context, c *credential, code string, now time.Time) (f evidence.Factor, until time.Time, err error) {
	if !validSecret(proofPrefix, code) {
		return "", until, errOTP()
	}
	const query = `SELECT account, credential, factor, completed, proof_hash FROM step_up WHERE proof_hash = $1 AND factor <> ''`
	var account, asked, hash string
	var completed int64
	err = s.db.Query().QueryRowContext(ctx, query, hashSecret(code)).Scan(&account, &asked, &f, &completed, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", until, errOTP()
	}
	if err != nil {
		return "", until, fmt.Errorf("read challenge: %w", err)
	}
	until = fromMillis(completed).Add(proofLifetime)
	same := subtle.ConstantTimeCompare([]byte(hash), []byte(hashSecret(code))) == 1
	if !same || account != c.account || asked != c.name || !now.Before(until) {
		return "", until, errOTP()
	}
	return f, until, nil
}

// proofKey is who offered which code from where.
type proofKey struct {
	credential string
	from       netip.Addr
	hash       string
}

type proof struct {
	factor evidence.Factor
	until  time.Time
}

// proofs remembers the codes that were let through, in memory: after a restart a code that was used
// is refused to everybody, which is the safe side. The zero value is ready.
type proofs struct {
	mu sync.Mutex
	m  map[proofKey]proof
}

func (p *proofs) again(k proofKey, now time.Time) (evidence.Factor, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.m[k]
	return known.factor, ok && now.Before(known.until)
}

func (p *proofs) put(k proofKey, v proof, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = map[proofKey]proof{}
	}
	if len(p.m) >= maxCached {
		for key, old := range p.m {
			if !now.Before(old.until) {
				delete(p.m, key)
			}
		}
	}
	if len(p.m) < maxCached {
		p.m[k] = v
	}
}

// forget drops what an account's factors proved: they changed.
func (p *proofs) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.m)
}
