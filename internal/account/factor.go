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

// Level is how strong a second factor must be.
type Level string

// The levels.
const (
	NoFactor          Level = "none"
	AnyFactor         Level = "any"
	PhishingResistant Level = "phishing-resistant" // WebAuthn only
)

// strengths orders the levels; a level that does not exist is above all others.
var strengths = map[Level]int{"": 0, NoFactor: 0, AnyFactor: 1, PhishingResistant: 2}

// proves says which level each factor reaches. Codes can be relayed by a page that looks like ours.
var proves = map[evidence.Factor]Level{
	"": NoFactor, evidence.TOTP: AnyFactor, evidence.RecoveryCode: AnyFactor, evidence.WebAuthn: PhishingResistant,
}

func (l Level) known() bool { _, ok := strengths[l]; return ok }

// met reports whether the factor reaches the level.
func (l Level) met(f evidence.Factor) bool {
	p, known := proves[f]
	return known && l.known() && strengths[p] >= strengths[l]
}

func stronger(a, b Level) Level {
	if strengths[b] > strengths[a] {
		return b
	}
	return a
}

// standing is what an account has beside its credentials.
type standing struct {
	totp, passkey bool
	frozen        time.Time // until when it publishes nothing
	changed       time.Time // when its credentials were, last
}

func (st standing) hasFactor() bool { return st.totp || st.passkey }

// standing returns an account's, from the cache or the tables.
func (s *Service) standing(ctx context.Context, account string) (standing, error) {
	cache := s.cache.Load()
	if st, ok := cache.standings.get(account); ok {
		return st, nil
	}
	st, err := readStanding(ctx, s.db.Query(), account)
	if err != nil {
		return st, err
	}
	cache.standings.put(account, st)
	return st, nil
}

func readStanding(ctx context.Context, q querier, account string) (st standing, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM account_totp WHERE account = $1 AND confirmed > 0),
		EXISTS (SELECT 1 FROM account_passkey WHERE account = $1),
		COALESCE((SELECT until FROM account_freeze WHERE account = $1), 0),
		COALESCE((SELECT credentials_changed FROM account_user WHERE name = $1), 0)`
	var until, changed int64
	if err := q.QueryRowContext(ctx, query, account).Scan(&st.totp, &st.passkey, &until, &changed); err != nil {
		return st, fmt.Errorf("read the factors of an account: %w", err)
	}
	st.frozen, st.changed = fromMillis(until), fromMillis(changed)
	return st, nil
}

// requirement is what the rules that reach something ask for together.
type requirement struct {
	level      Level
	automation bool // tokens with a bypass pass
}

// add takes the stronger level; a bypass passes when no rule forbids it.
func (r requirement) add(other requirement) requirement {
	if strengths[r.level] == 0 {
		return other
	}
	return requirement{stronger(r.level, other.level), r.automation && other.automation}
}

// require compares the factor of an actor with what is asked. Pipelines that act by a trusted
// publisher have no person who could be asked; what they may do is narrow by other means.
func (s *Service) require(ctx context.Context, c *credential, actor evidence.Actor, r requirement) error {
	switch {
	case actor.Workload != nil, strengths[r.level] == 0, c.bypass && r.automation, r.level.met(actor.Factor):
		return nil
	}
	st, err := s.standing(ctx, c.account)
	if err != nil {
		return err
	}
	return st.missing(r.level)
}

// missing says what somebody who lacks a factor of that level has to do.
func (st standing) missing(level Level) error {
	switch {
	case level == AnyFactor && st.hasFactor():
		return errFactor()
	case level == PhishingResistant && st.passkey:
		return fault.New(fault.Unauthenticated, "webauthn-required",
			"this needs your passkey: open the address that came with this answer and confirm there; a code is not enough")
	case level == PhishingResistant:
		return fault.New(fault.Denied, "factor-missing",
			"this needs a passkey, and your account has none; sign in on the web, add one under Security, then try again")
	}
	return fault.New(fault.Denied, "factor-missing",
		"this needs a second factor, and your account has none; add one with: hullmark mfa totp add, then try again")
}

func errFactor() error {
	return fault.New(fault.Unauthenticated, "otp-required",
		"this needs your second factor: send a code of your authenticator app with the request, or open the address that came with this answer")
}

// RequireFactor fails unless actor may do what needs a person, outside of any name: with otp-required
// or webauthn-required when the account has a factor that was not proven, with factor-missing when
// level is PhishingResistant and it has no passkey, with token-bypass for a token that gets around
// factors. An account without any factor does what asks for AnyFactor: it has nothing to prove.
func (s *Service) RequireFactor(ctx context.Context, actor evidence.Actor, level Level) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	return s.govern(ctx, c, actor, level)
}

// govern is RequireFactor for a credential that was looked up.
func (s *Service) govern(ctx context.Context, c *credential, actor evidence.Actor, level Level) error {
	if c.bypass {
		return fault.New(fault.Denied, "token-bypass",
			"a token that gets around second factors manages no accounts, tokens or members; sign in, or use a token without the bypass")
	}
	level = stronger(level, AnyFactor)
	if level == AnyFactor {
		st, err := s.standing(ctx, c.account)
		if err != nil || !st.hasFactor() {
			return err
		}
	}
	return s.require(ctx, c, actor, requirement{level: level})
}

// Factors is what an account can prove itself by beside its password and tokens.
type Factors struct {
	TOTP          bool
	TOTPSince     time.Time
	Passkeys      []Passkey
	RecoveryCodes int // that are not used yet
}

// Factors returns the actor's. Who has given only a password yet may ask: the page that asks for the
// factor has to know which.
func (s *Service) Factors(ctx context.Context, actor evidence.Actor) (f Factors, err error) {
	c, err := s.known(ctx, actor)
	if err != nil {
		return f, err
	}
	var since int64
	err = s.db.Query().QueryRowContext(ctx, `SELECT confirmed FROM account_totp WHERE account = $1 AND confirmed > 0`, c.account).Scan(&since)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("read factors: %w", err)
	}
	f.TOTP, f.TOTPSince = err == nil, fromMillis(since)
	if f.Passkeys, err = readPasskeys(ctx, s.db.Query(), c.account); err != nil {
		return f, err
	}
	const left = `SELECT count(*) FROM account_recovery_code WHERE account = $1 AND used = 0`
	if err := s.db.Query().QueryRowContext(ctx, left, c.account).Scan(&f.RecoveryCodes); err != nil {
		return f, fmt.Errorf("count recovery codes: %w", err)
	}
	return f, nil
}
