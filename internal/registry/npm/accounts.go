package npm

import (
	"context"
	"net/netip"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Accounts is what the protocol asks of the accounts behind it. Errors are faults and are shown
// to the caller.
type Accounts interface {
	Organisations
	Profiles

	// Login returns a new token for a user who proves who they are with a password or a token, and with
	// otp where the account has a second factor. remoteAddr is the caller's "ip:port". The actor is who
	// lacked the factor, when that is what failed.
	Login(ctx context.Context, user, secret, otp, remoteAddr string) (token string, actor evidence.Actor, err error)

	// StartLogin opens a web login: code goes into the address that a person opens, poll stays
	// with the client that waits.
	StartLogin(ctx context.Context, remoteAddr string) (code, poll string, err error)
	// PollLogin returns the token, once, when the login was completed.
	PollLogin(ctx context.Context, poll string) (token string, done bool, err error)

	// CreateToken makes a token of the actor's. password is what the user typed, which need not
	// be checked where the request itself was authenticated.
	CreateToken(ctx context.Context, actor evidence.Actor, want Token) (secret string, made Token, err error)
	ListTokens(ctx context.Context, actor evidence.Actor) ([]Token, error)
	// RevokeToken revokes a token of the actor's, by its ID or by the secret itself.
	RevokeToken(ctx context.Context, actor evidence.Actor, idOrSecret string) error

	// Collaborators returns who may do what with a name, in byte order of users.
	Collaborators(ctx context.Context, name string) ([]Collaborator, error)
	// SetOwner makes the user an owner of the name, or takes every role that they have on this
	// one name away.
	SetOwner(ctx context.Context, actor evidence.Actor, name, user string, owner bool) error
	// Public reports whether anyone may read the name.
	Public(ctx context.Context, name string) (bool, error)
}

// Token describes an access token.
type Token struct {
	ID          string
	Description string
	// Names are glob patterns of package names; none means all.
	Names      []string
	Permission evidence.Permission
	Networks   []netip.Prefix
	Created    time.Time
	Expires    time.Time // zero: never
	// Bypass lets it through without a second factor where a rule permits automation.
	Bypass bool
}

// Collaborator is somebody who holds a role on a name.
type Collaborator struct {
	User       string
	Permission evidence.Permission
}
