package registry

import (
	"context"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Prover proves second factors. The account package implements it.
type Prover interface {
	// Prove returns the actor with the factor that otp proves: a one-time code, a recovery code or
	// the proof of a finished challenge. remoteAddr is the caller's "ip:port".
	Prove(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error)
}

// StepUp asks a person for the second factor that a client could not send.
type StepUp interface {
	// Ask opens a challenge for the client that was refused: a person confirms at authURL, and the
	// client fetches at doneURL what it then sends as its one-time code. what names what is about to be
	// done, for the page: "npm publish @acme/ui".
	Ask(ctx context.Context, actor evidence.Actor, refusal error, what, remoteAddr string) (authURL, doneURL string, err error)
}

// Admit is Access.Authorize for a client that may have sent a one-time code. The code is used only
// when a rule asks for it: clients send theirs with reads, too, and a code works once. The actor that
// comes back carries the factor, and is who acts on this name.
func Admit(ctx context.Context, access Access, actor evidence.Actor, perm evidence.Permission, ecosystem, name, otp, remoteAddr string) (evidence.Actor, error) {
	actor = actingOn(ctx, access, actor, ecosystem, name)
	return WithFactor(ctx, access, actor, otp, remoteAddr, func(actor evidence.Actor) error {
		return access.Authorize(ctx, actor, perm, ecosystem, name)
	})
}

// WithFactor runs do and, when only a factor was missing and otp proves it, once more. do must change
// nothing before it asks for the factor.
func WithFactor(ctx context.Context, p Prover, actor evidence.Actor, otp, remoteAddr string, do func(evidence.Actor) error) (evidence.Actor, error) {
	err := do(actor)
	if otp == "" || !evidence.NeedsFactor(err) || actor.Factor != "" {
		return actor, err
	}
	proven, perr := p.Prove(ctx, actor, otp, remoteAddr)
	if perr != nil {
		return actor, perr
	}
	return proven, do(proven)
}

// MayPublish reports whether the actor is one of those who publish to the name, whether or not they
// have given a second factor: it is for what they may see, and lets nothing in.
func (c *Core) MayPublish(ctx context.Context, actor evidence.Actor, ecosystem, name string) bool {
	err := c.access.Authorize(ctx, actor, evidence.Publish, ecosystem, name)
	return err == nil || evidence.NeedsFactor(err)
}
