package account

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

var errStub = errors.New("not there yet")

// Device is where a person signs in from.
type Device struct {
	RemoteAddr string // "ip:port" or "ip"
	Agent      string // User-Agent; shown in lists, proves nothing
}

// Session is a sign-in in a browser.
type Session struct {
	ID       string // "ses_…"
	Method   string // "password", "webauthn", "sso"
	Factor   evidence.Factor
	Agent    string
	Created  time.Time
	LastUsed time.Time // to the minute
	Current  bool      // the actor's own
}

// SignInPassword opens a session for who knows the password. When the account has a second factor the
// session is good for nothing until ProveSession or FinishPasskeyProof. The secret goes into a cookie;
// it is kept as SHA-256 only. Codes: credential-invalid, too-many-attempts.
func (s *Service) SignInPassword(ctx context.Context, user, password string, from Device) (secret string, err error) {
	return "", errStub
}

// SignInSSO opens a session for an account that an identity provider vouched for: the caller has
// verified that. Codes: user-unknown.
func (s *Service) SignInSSO(ctx context.Context, account string, from Device) (secret string, err error) {
	return "", errStub
}

// SessionActor returns who holds the session; Factor is set while its proof is fresh (10 minutes).
// Codes: credential-invalid when it has ended.
func (s *Service) SessionActor(ctx context.Context, secret, remoteAddr string) (evidence.Actor, error) {
	return evidence.Actor{}, errStub
}

// ProveSession proves a factor for the session of the actor, by a TOTP or recovery code, and keeps it
// fresh for 10 minutes. Codes: otp-invalid, too-many-attempts.
func (s *Service) ProveSession(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error) {
	return evidence.Actor{}, errStub
}

// Sessions returns the actor's open sessions, newest first.
func (s *Service) Sessions(ctx context.Context, actor evidence.Actor) ([]Session, error) {
	return nil, errStub
}

// EndSession ends one of the actor's sessions at once; "" is the actor's own. Code: session-unknown.
func (s *Service) EndSession(ctx context.Context, actor evidence.Actor, id string) error {
	return errStub
}

// Passkey is a WebAuthn credential of an account.
type Passkey struct {
	ID       string // "pky_…"
	Label    string
	Created  time.Time
	LastUsed time.Time // zero: never
}

// BeginPasskey starts the registration of a passkey: options are for navigator.credentials.create
// (parseCreationOptionsFromJSON takes options.publicKey), state goes back to FinishPasskey.
// Codes: otp-required when the account has a factor that was not proven for the actor.
func (s *Service) BeginPasskey(ctx context.Context, actor evidence.Actor) (options json.RawMessage, state string, err error) {
	return nil, "", errStub
}

// FinishPasskey registers the passkey that the browser made (PublicKeyCredential.toJSON()). recovery
// are the account's recovery codes when this is its first factor, shown once; else none.
// Codes: passkey-invalid.
func (s *Service) FinishPasskey(ctx context.Context, actor evidence.Actor, state, label string, response []byte) (made Passkey, recovery []string, err error) {
	return Passkey{}, nil, errStub
}

// Passkeys returns the actor's passkeys.
func (s *Service) Passkeys(ctx context.Context, actor evidence.Actor) ([]Passkey, error) {
	return nil, errStub
}

// RemovePasskey removes one. Codes: otp-required, passkey-unknown.
func (s *Service) RemovePasskey(ctx context.Context, actor evidence.Actor, id string) error {
	return errStub
}

// BeginPasskeySignIn starts a sign-in without user name or password: options are for
// navigator.credentials.get (options.publicKey), state goes back to FinishPasskeySignIn.
func (s *Service) BeginPasskeySignIn(ctx context.Context, remoteAddr string) (options json.RawMessage, state string, err error) {
	return nil, "", errStub
}

// FinishPasskeySignIn opens a session whose factor is fresh. Codes: passkey-invalid.
func (s *Service) FinishPasskeySignIn(ctx context.Context, state string, response []byte, from Device) (secret string, err error) {
	return "", errStub
}

// BeginPasskeyProof starts a step-up: options are for navigator.credentials.get.
// Codes: passkey-unknown when the account has none.
func (s *Service) BeginPasskeyProof(ctx context.Context, actor evidence.Actor) (options json.RawMessage, state string, err error) {
	return nil, "", errStub
}

// FinishPasskeyProof returns the actor with Factor webauthn; a session keeps it for 10 minutes.
// Codes: passkey-invalid.
func (s *Service) FinishPasskeyProof(ctx context.Context, actor evidence.Actor, state string, response []byte, remoteAddr string) (evidence.Actor, error) {
	return evidence.Actor{}, errStub
}

// NewTOTP is a shared secret that is not in force before ConfirmTOTP.
type NewTOTP struct {
	Secret string // base32, for typing
	URI    string // otpauth://, for a QR code
}

// BeginTOTP makes a secret for an authenticator app. Codes: otp-required, totp-exists.
func (s *Service) BeginTOTP(ctx context.Context, actor evidence.Actor) (NewTOTP, error) {
	return NewTOTP{}, errStub
}

// ConfirmTOTP puts the secret into force when code shows that the app has it. recovery are the
// account's recovery codes when this is its first factor, shown once; else none.
// Codes: otp-invalid, totp-unknown, too-many-attempts.
func (s *Service) ConfirmTOTP(ctx context.Context, actor evidence.Actor, code, remoteAddr string) (recovery []string, err error) {
	return nil, errStub
}

// RemoveTOTP removes it. Codes: otp-required, totp-unknown.
func (s *Service) RemoveTOTP(ctx context.Context, actor evidence.Actor) error { return errStub }

// Factors is what an account can prove itself by beside its password and tokens.
type Factors struct {
	TOTP          bool
	TOTPSince     time.Time
	Passkeys      []Passkey
	RecoveryCodes int // that are not used yet
}

// Factors returns the actor's.
func (s *Service) Factors(ctx context.Context, actor evidence.Actor) (Factors, error) {
	return Factors{}, errStub
}

// RenewRecoveryCodes replaces the recovery codes and returns the new ones, once. Codes: otp-required.
func (s *Service) RenewRecoveryCodes(ctx context.Context, actor evidence.Actor) ([]string, error) {
	return nil, errStub
}

// Level is how strong a second factor must be.
type Level string

// The levels.
const (
	NoFactor          Level = "none"
	AnyFactor         Level = "any"
	PhishingResistant Level = "phishing-resistant" // WebAuthn only
)

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
	return "", "", errStub
}

// Challenge returns what waits behind code. Codes: challenge-unknown (also after 10 minutes).
func (s *Service) Challenge(ctx context.Context, code string) (Challenge, error) {
	return Challenge{}, errStub
}

// CompleteChallenge lets the waiting client go on: the session must be of the same account and its
// Factor be fresh and strong enough. Codes: challenge-unknown, challenge-not-yours, otp-required,
// webauthn-required.
func (s *Service) CompleteChallenge(ctx context.Context, code string, session evidence.Actor) error {
	return errStub
}

// PollChallenge returns the proof "hmp_…" once a person has completed the challenge, for Prove. It is
// good for 5 minutes, for the credential that asked. Codes: challenge-unknown.
func (s *Service) PollChallenge(ctx context.Context, poll string) (proof string, done bool, err error) {
	return "", false, errStub
}

// Prove returns the actor with the factor that otp proves: a TOTP code, a recovery code or the proof
// of a finished challenge. Codes: otp-invalid, too-many-attempts.
func (s *Service) Prove(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error) {
	return evidence.Actor{}, errStub
}

// RequireFactor fails unless actor may do what needs a person, outside of any name: with otp-required
// or webauthn-required when the account has a factor that was not proven, with factor-missing when
// level is above AnyFactor and it has none, with token-bypass for a token that gets around factors.
func (s *Service) RequireFactor(ctx context.Context, actor evidence.Actor, level Level) error {
	return errStub
}

// MFARule asks for a second factor. Of the rules that reach a name the strongest holds.
type MFARule struct {
	// Organisation alone: everything that it owns. Ecosystem with Namespace or Package: what they name.
	Organisation string
	Ecosystem    string
	Namespace    string
	Package      string
	// Action is "stage", "publish" or "own", each with what includes it, or "manage": members and
	// settings of the organisation.
	Action string
	Level  Level // NoFactor removes the rule
	// Automation lets tokens with a bypass through.
	Automation bool
}

// SetMFA sets or removes a rule; owners of the organisation, or of the name, may.
// Codes: mfa-rule-invalid and those of SetMember and Authorize.
func (s *Service) SetMFA(ctx context.Context, actor evidence.Actor, r MFARule) error { return errStub }

// MFARules returns the rules of an organisation and of the names that it owns, to its members.
func (s *Service) MFARules(ctx context.Context, actor evidence.Actor, organisation string) ([]MFARule, error) {
	return nil, errStub
}

// Critical reports whether publishing to the name asks for phishing-resistant proof.
func (s *Service) Critical(ctx context.Context, ecosystem, name string) (bool, error) {
	return false, errStub
}

// ChangePassword sets a new password, and ends every session but the actor's. old is needed unless
// the account has none yet or the actor's factor is fresh. Publishing is frozen for a day.
// Codes: credential-invalid, password-unfit, password-breached, otp-required.
func (s *Service) ChangePassword(ctx context.Context, actor evidence.Actor, old, password, remoteAddr string) error {
	return errStub
}

// Email is an account's address.
type Email struct {
	Address string // verified; "" for none
	Pending string // waits for its code
}

// Email returns the actor's.
func (s *Service) Email(ctx context.Context, actor evidence.Actor) (Email, error) {
	return Email{}, errStub
}

// SetEmail writes a notice with a code to a new address, which counts once VerifyEmail has it.
// Codes: email-invalid, otp-required, too-many-attempts.
func (s *Service) SetEmail(ctx context.Context, actor evidence.Actor, address string) error {
	return errStub
}

// VerifyEmail makes the pending address the account's. The former address gets a notice; publishing
// is frozen for a day, unless it is the first. Codes: code-invalid, too-many-attempts.
func (s *Service) VerifyEmail(ctx context.Context, actor evidence.Actor, code string) error {
	return errStub
}

// StartRecovery writes a notice with a code to the account's verified address, if it has one. It
// answers the same for any user. factors asks to remove the second factors, too, which takes longer.
// Codes: too-many-attempts.
func (s *Service) StartRecovery(ctx context.Context, user string, factors bool, remoteAddr string) error {
	return errStub
}

// Recovery is a recovery under way.
type Recovery struct {
	Account string
	Factors bool      // the second factors go, too
	Opens   time.Time // from when FinishRecovery works: the cooling-off hold
}

// ConfirmRecovery begins the cooling-off hold for who has the code of the mail, and tells the account
// by mail and session list. Called again it returns the same. Codes: recovery-unknown.
func (s *Service) ConfirmRecovery(ctx context.Context, code string) (Recovery, error) {
	return Recovery{}, errStub
}

// FinishRecovery sets a new password after the hold, ends every session and token and freezes
// publishing for a day. Codes: recovery-unknown, recovery-held, password-unfit, password-breached.
func (s *Service) FinishRecovery(ctx context.Context, code, password, remoteAddr string) error {
	return errStub
}

// CancelRecovery ends the recovery under way: anyone who is signed in to the account may.
func (s *Service) CancelRecovery(ctx context.Context, actor evidence.Actor) error { return errStub }

// RecoveryUnderWay returns the actor's recovery whose hold has begun; ok is false for none.
func (s *Service) RecoveryUnderWay(ctx context.Context, actor evidence.Actor) (r Recovery, ok bool, err error) {
	return Recovery{}, false, errStub
}

// Notice is something that an account is told by mail. Kinds: "email-code" {code}, "email-changed"
// {address}, "recovery-code" {code}, "recovery-began" {opens}, "password-changed", "recovered",
// "factor-added" {factor, label}, "factor-removed" {factor, label}, "recovery-codes-renewed",
// "recovery-code-used" {left}, "new-device" {agent, method}, "token-revoked" {token, url, reason},
// "token-reaped" {tokens}.
type Notice struct {
	ID      int64
	Kind    string
	Account string
	Address string // where it goes
	Data    json.RawMessage
	Created time.Time
}

// Notices returns those that wait to be sent, oldest first.
func (s *Service) Notices(ctx context.Context, limit int) ([]Notice, error) { return nil, errStub }

// NoticeSent removes a notice: what it held may have been a secret.
func (s *Service) NoticeSent(ctx context.Context, id int64) error { return errStub }

// Frozen returns until when publishing is frozen for the actor's account; the zero time for not.
func (s *Service) Frozen(ctx context.Context, actor evidence.Actor) (time.Time, error) {
	return time.Time{}, errStub
}

// ServeAt tells under which address people reach the pages, "http://localhost:4873": passkeys are
// bound to its host. An address by a loopback IP is taken as localhost, which browsers ask for.
func (s *Service) ServeAt(publicURL string) error { return errStub }
