package account

import (
	"context"
	"errors"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

var errStub = errors.New("not there yet")

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
