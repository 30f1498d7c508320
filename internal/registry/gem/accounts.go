package gem

import (
	"context"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Accounts is what the protocols ask of the accounts behind them. Errors are faults and are shown to the
// caller.
type Accounts interface {
	// Seen returns which names the actor may see, as far as that is plain, and a word that changes with it:
	// everybody sees a name for which everyone is true. What it is not true for, the core is asked about.
	Seen(ctx context.Context, actor evidence.Actor) (everyone func(name string) bool, state any, err error)

	// CreateKey makes a key of the actor's; RaiseKey lets a key of the actor's do more.
	CreateKey(ctx context.Context, actor evidence.Actor, want Key) (secret string, err error)
	RaiseKey(ctx context.Context, actor evidence.Actor, secret string, to evidence.Permission) error
	// HasFactor reports whether the actor's account has a second factor.
	HasFactor(ctx context.Context, actor evidence.Actor) (bool, error)
	// PollChallenge returns what to send as one-time code once a person has confirmed.
	PollChallenge(ctx context.Context, poll string) (proof string, done bool, err error)

	// Owners returns who may change who publishes a name, in byte order. SetOwner makes a user one, by
	// user name or address, or takes every role that they have on this one name away.
	Owners(ctx context.Context, name string) ([]string, error)
	SetOwner(ctx context.Context, actor evidence.Actor, name, user string, owner bool) error
}

// Key describes a key that gem signin asks for.
type Key struct {
	Description string
	Names       []string // none: all
	Permission  evidence.Permission
	Expires     time.Time // zero: as the server has it
}
