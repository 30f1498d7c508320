package registry

import (
	"context"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// prover checks a second factor. The account service implements it.
type prover interface {
	Prove(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error)
}

// WithProof calls do, and calls it again with a proven actor when it asks for a second factor and the
// request carries one: code otp-required or webauthn-required. The proof is used up only when it is needed.
func WithProof(ctx context.Context, access Access, actor evidence.Actor, otp, remoteAddr string, do func(evidence.Actor) error) error {
	err := do(actor)
	p, can := access.(prover)
	if err == nil || otp == "" || !can {
		return err
	}
	if code := fault.As(err).Code; code != "otp-required" && code != "webauthn-required" {
		return err
	}
	proven, perr := p.Prove(ctx, actor, otp, remoteAddr)
	if perr != nil {
		return perr
	}
	return do(proven)
}
