package account

import (
	"bytes"
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	ceremonyLifetime = 5 * time.Minute
	maxCeremonies    = 10_000 // that are open at a time
	maxSignIns       = 60     // started from one network in a minute
	maxPasskeys      = 20     // of one account
	maxResponse      = 64 << 10
	handleBytes      = 32
)

// Passkey is a WebAuthn credential of an account.
type Passkey struct {
	ID       string // "pky_…"
	Label    string
	Created  time.Time
	LastUsed time.Time // zero: never
}

// relyingUser is an account in the words of the WebAuthn library.
type relyingUser struct {
	account string
	handle  []byte
	keys    []webauthn.Credential
}

func (u relyingUser) WebAuthnID() []byte                         { return u.handle }
func (u relyingUser) WebAuthnName() string                       { return u.account }
func (u relyingUser) WebAuthnDisplayName() string                { return u.account }
func (u relyingUser) WebAuthnCredentials() []webauthn.Credential { return u.keys }

// BeginPasskey starts the registration of a passkey: options are for navigator.credentials.create
// (parseCreationOptionsFromJSON takes options.publicKey), state goes back to FinishPasskey.
// Codes: otp-required when the account has a factor that was not proven for the actor.
func (s *Service) BeginPasskey(ctx context.Context, actor evidence.Actor) (options json.RawMessage, state string, err error) {
	c, err := s.person(ctx, actor)
	if err != nil {
		return nil, "", err
	}
	relying, err := s.relyingParty()
	if err != nil {
		return nil, "", err
	}
	user, err := s.relyingUser(ctx, c.account, true)
	if err != nil {
		return nil, "", err
	}
	if len(user.keys) >= maxPasskeys {
		return nil, "", fault.New(fault.Conflict, "passkey-invalid", "an account takes %d passkeys; remove one first", maxPasskeys)
	}
	creation, session, err := relying.BeginRegistration(user, webauthn.WithExclusions(webauthn.Credentials(user.keys).CredentialDescriptors()))
	if err != nil {
		return nil, "", fmt.Errorf("begin passkey: %w", err)
	}
	return s.beginCeremony(ceremony{kind: registering, account: c.account, credential: c.name, data: *session}, creation)
}

// FinishPasskey registers the passkey that the browser made (PublicKeyCredential.toJSON()). recovery
// are the account's recovery codes when this is its first factor, shown once; else none.
// Codes: passkey-invalid, otp-required.
func (s *Service) FinishPasskey(ctx context.Context, actor evidence.Actor, state, label string, response []byte) (made Passkey, recovery []string, err error) {
	c, err := s.person(ctx, actor)
	if err != nil {
		return made, nil, err
	}
	relying, err := s.relyingParty()
	if err != nil {
		return made, nil, err
	}
	begun, ok := s.ceremonies.take(state, s.clk.Now())
	if !ok || begun.kind != registering || begun.account != c.account || len(response) > maxResponse {
		return made, nil, errPasskey(nil)
	}
	user, err := s.relyingUser(ctx, c.account, false)
	if err != nil {
		return made, nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return made, nil, errPasskey(err)
	}
	key, err := relying.CreateCredential(user, begun.data, parsed)
	if err != nil {
		return made, nil, errPasskey(err)
	}
	made.Label = cleanLabel(label)
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := s.addPasskey(ctx, tx, c.account, &made, key); err != nil {
			return err
		}
		recovery, err = s.factorAdded(ctx, tx, c.account, evidence.WebAuthn, made.Label)
		return err
	})
	if err == nil { // whoever has just shown the key need not show it again
		_, err = s.strengthen(ctx, actor, evidence.WebAuthn)
	}
	return made, recovery, err
}

func (s *Service) addPasskey(ctx context.Context, tx *sql.Tx, account string, made *Passkey, key *webauthn.Credential) error {
	id, err := s.randomText(tokenIDRandom)
	if err != nil {
		return err
	}
	data, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("encode passkey: %w", err)
	}
	made.ID, made.Created = "pky_"+id, fromMillis(s.clk.Now().UnixMilli())
	const insert = `INSERT INTO account_passkey (id, account, label, credential, data, created, last_used)
		VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (credential) DO NOTHING`
	n, err := affected(tx.ExecContext(ctx, insert, made.ID, account, made.Label, base64.RawURLEncoding.EncodeToString(key.ID), string(data), millis(made.Created)))
	if err != nil {
		return fmt.Errorf("write passkey: %w", err)
	}
	if n == 0 {
		return errPasskey(errors.New("the credential id is known"))
	}
	return nil
}

func cleanLabel(label string) string {
	label = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(label[:min(len(label), maxDescription)], ""))
	if label = strings.TrimSpace(label); label == "" {
		return "passkey"
	}
	return label
}

func errPasskey(cause error) error {
	return fault.New(fault.Invalid, "passkey-invalid",
		"the passkey was not accepted: the request ran out, or is for another site or account; try again").Because(cause)
}

// Passkeys returns the actor's passkeys, oldest first.
func (s *Service) Passkeys(ctx context.Context, actor evidence.Actor) ([]Passkey, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	return readPasskeys(ctx, s.db.Query(), c.account)
}

func readPasskeys(ctx context.Context, q querier, account string) ([]Passkey, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, label, created, last_used FROM account_passkey WHERE account = $1 ORDER BY created, id`, account)
	return collect(rows, err, func(rows *sql.Rows) (Passkey, error) {
		var p Passkey
		var created, lastUsed int64
		err := rows.Scan(&p.ID, &p.Label, &created, &lastUsed)
		p.Created, p.LastUsed = fromMillis(created), fromMillis(lastUsed)
		return p, err
	})
}

// RemovePasskey removes one. Codes: otp-required, passkey-unknown.
func (s *Service) RemovePasskey(ctx context.Context, actor evidence.Actor, id string) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		var label string
		err := tx.QueryRowContext(ctx, `SELECT label FROM account_passkey WHERE id = $1 AND account = $2`, id, c.account).Scan(&label)
		if errors.Is(err, sql.ErrNoRows) {
			return errPasskeyUnknown()
		}
		if err != nil {
			return fmt.Errorf("read passkey: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_passkey WHERE id = $1`, id); err != nil {
			return fmt.Errorf("remove passkey: %w", err)
		}
		return s.factorRemoved(ctx, tx, c.account, evidence.WebAuthn, label)
	})
}

func errPasskeyUnknown() error {
	return fault.New(fault.NotFound, "passkey-unknown", "your account has no such passkey; list them to see which it has")
}

// BeginPasskeySignIn starts a sign-in without user name or password: options are for
// navigator.credentials.get (options.publicKey), state goes back to FinishPasskeySignIn.
func (s *Service) BeginPasskeySignIn(ctx context.Context, remoteAddr string) (options json.RawMessage, state string, err error) {
	relying, err := s.relyingParty()
	if err != nil {
		return nil, "", err
	}
	if !s.attempts.take(s.clk.Now(), []attempt{{"passkey\x00" + networkOf(parseAddress(remoteAddr)), maxSignIns, attemptWindow}}) {
		return nil, "", errTooMany()
	}
	assertion, session, err := relying.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, "", fmt.Errorf("begin sign-in: %w", err)
	}
	return s.beginCeremony(ceremony{kind: signingIn, data: *session}, assertion)
}

// FinishPasskeySignIn opens a session whose factor is fresh. Codes: passkey-invalid.
func (s *Service) FinishPasskeySignIn(ctx context.Context, state string, response []byte, from Device) (secret string, err error) {
	account, err := s.verifyPasskey(ctx, signingIn, state, response, func(begun ceremony, account string) bool { return true })
	if err != nil {
		return "", err
	}
	return s.openSession(ctx, account, "webauthn", evidence.WebAuthn, from)
}

// BeginPasskeyProof starts a step-up: options are for navigator.credentials.get.
// Codes: passkey-unknown when the account has none.
func (s *Service) BeginPasskeyProof(ctx context.Context, actor evidence.Actor) (options json.RawMessage, state string, err error) {
	c, err := s.known(ctx, actor)
	if err != nil {
		return nil, "", err
	}
	relying, err := s.relyingParty()
	if err != nil {
		return nil, "", err
	}
	user, err := s.relyingUser(ctx, c.account, false)
	if err != nil {
		return nil, "", err
	}
	if len(user.keys) == 0 {
		return nil, "", errPasskeyUnknown()
	}
	assertion, session, err := relying.BeginLogin(user, webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, "", fmt.Errorf("begin step-up: %w", err)
	}
	return s.beginCeremony(ceremony{kind: proving, account: c.account, credential: c.name, data: *session}, assertion)
}

// FinishPasskeyProof returns the actor with Factor webauthn; a session keeps it for 10 minutes.
// Codes: passkey-invalid.
func (s *Service) FinishPasskeyProof(ctx context.Context, actor evidence.Actor, state string, response []byte, remoteAddr string) (evidence.Actor, error) {
	c, err := s.known(ctx, actor)
	if err != nil {
		return evidence.Actor{}, err
	}
	_, err = s.verifyPasskey(ctx, proving, state, response, func(begun ceremony, account string) bool {
		return account == c.account && begun.account == c.account && begun.credential == c.name
	})
	if err != nil {
		return evidence.Actor{}, err
	}
	return s.strengthen(ctx, actor, evidence.WebAuthn)
}

// verifyPasskey checks an assertion and returns whose passkey it was. mayBe says whether the ceremony
// is the caller's.
func (s *Service) verifyPasskey(ctx context.Context, kind ceremonyKind, state string, response []byte, mayBe func(ceremony, string) bool) (account string, err error) {
	relying, err := s.relyingParty()
	if err != nil {
		return "", err
	}
	begun, ok := s.ceremonies.take(state, s.clk.Now())
	if !ok || begun.kind != kind || len(response) > maxResponse {
		return "", errPasskey(nil)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return "", errPasskey(err)
	}
	var user relyingUser
	find := func(_, handle []byte) (webauthn.User, error) {
		user, err = s.userByHandle(ctx, handle)
		return user, err
	}
	var key *webauthn.Credential
	if kind == signingIn {
		_, key, err = relying.ValidatePasskeyLogin(find, begun.data, parsed)
	} else if user, err = s.relyingUser(ctx, begun.account, false); err == nil {
		key, err = relying.ValidateLogin(user, begun.data, parsed)
	}
	if err != nil {
		return "", errPasskey(err)
	}
	if key.Authenticator.CloneWarning || !mayBe(begun, user.account) {
		return "", errPasskey(errors.New("the counter went back, or the ceremony is somebody else's"))
	}
	return user.account, s.notePasskey(ctx, key)
}

// notePasskey keeps the counter, by which a copied authenticator is noticed.
func (s *Service) notePasskey(ctx context.Context, key *webauthn.Credential) error {
	data, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("encode passkey: %w", err)
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		const update = `UPDATE account_passkey SET data = $1, last_used = $2 WHERE credential = $3`
		n, err := affected(tx.ExecContext(ctx, update, string(data), s.clk.Now().UnixMilli(), base64.RawURLEncoding.EncodeToString(key.ID)))
		if err == nil && n == 0 { // removed in between
			return errPasskey(nil)
		}
		return err
	})
}

func (s *Service) relyingParty() (*webauthn.WebAuthn, error) {
	if r := s.relying.Load(); r != nil {
		return r, nil
	}
	return nil, fault.New(fault.Unavailable, "passkeys-unavailable", "this server does not know its public address, which passkeys are bound to; ask the operator")
}

// relyingUser reads an account with its passkeys; fresh makes the handle that it is known to
// authenticators by, where there is none yet.
func (s *Service) relyingUser(ctx context.Context, account string, fresh bool) (u relyingUser, err error) {
	u.account = account
	if fresh {
		raw := make([]byte, handleBytes)
		if err := s.random(raw); err != nil {
			return u, err
		}
		err := s.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO account_handle (account, handle) VALUES ($1, $2) ON CONFLICT (account) DO NOTHING`,
				account, base64.RawURLEncoding.EncodeToString(raw))
			return err
		})
		if err != nil {
			return u, fmt.Errorf("write user handle: %w", err)
		}
	}
	var handle string
	err = s.db.Query().QueryRowContext(ctx, `SELECT handle FROM account_handle WHERE account = $1`, account).Scan(&handle)
	if errors.Is(err, sql.ErrNoRows) {
		return u, nil // no passkey was ever begun
	}
	if err != nil {
		return u, fmt.Errorf("read user handle: %w", err)
	}
	if u.handle, err = base64.RawURLEncoding.DecodeString(handle); err != nil {
		return u, fmt.Errorf("read user handle: %w", err)
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT data FROM account_passkey WHERE account = $1 ORDER BY created, id`, account)
	u.keys, err = collect(rows, err, func(rows *sql.Rows) (key webauthn.Credential, err error) {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return key, err
		}
		return key, json.Unmarshal(data, &key)
	})
	return u, err
}

func (s *Service) userByHandle(ctx context.Context, handle []byte) (relyingUser, error) {
	var account string
	err := s.db.Query().QueryRowContext(ctx, `SELECT account FROM account_handle WHERE handle = $1`, base64.RawURLEncoding.EncodeToString(handle)).Scan(&account)
	if err != nil {
		return relyingUser{}, fmt.Errorf("find user by handle: %w", err)
	}
	u, err := s.relyingUser(ctx, account, false)
	if err == nil && subtle.ConstantTimeCompare(u.handle, handle) != 1 {
		return relyingUser{}, errors.New("another user's handle")
	}
	return u, err
}

// ceremonyKind is what a WebAuthn exchange is for: the answer to one is none to another.
type ceremonyKind int

const (
	registering ceremonyKind = iota + 1
	signingIn
	proving
)

// ceremony is an exchange that waits for the browser.
type ceremony struct {
	kind       ceremonyKind
	account    string // "" while nobody knows who signs in
	credential string
	data       webauthn.SessionData
	until      time.Time
}

// ceremonies are kept in memory: anybody may begin one, and nobody should be able to fill a disk.
// The zero value is ready.
type ceremonies struct {
	mu sync.Mutex
	m  map[string]ceremony
}

func (s *Service) beginCeremony(c ceremony, options any) (json.RawMessage, string, error) {
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(options); err != nil {
		return nil, "", fmt.Errorf("encode options: %w", err)
	}
	state, err := s.randomText(tokenRandom)
	if err != nil {
		return nil, "", err
	}
	c.until = s.clk.Now().Add(ceremonyLifetime)
	if !s.ceremonies.put(state, c, s.clk.Now()) {
		return nil, "", fault.New(fault.Unavailable, "challenge-busy", "too many confirmations are open; try again in a few minutes")
	}
	return bytes.TrimSpace(out.Bytes()), state, nil
}

func (cs *ceremonies) put(state string, c ceremony, now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.m == nil {
		cs.m = map[string]ceremony{}
	}
	if len(cs.m) >= maxCeremonies {
		for k, old := range cs.m {
			if !now.Before(old.until) {
				delete(cs.m, k)
			}
		}
	}
	if len(cs.m) >= maxCeremonies {
		return false
	}
	cs.m[state] = c
	return true
}

// take ends a ceremony: an answer counts once.
func (cs *ceremonies) take(state string, now time.Time) (ceremony, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c, ok := cs.m[state]
	delete(cs.m, state)
	return c, ok && now.Before(c.until)
}
