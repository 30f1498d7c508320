// Package publish holds what the publish gate wants a person to look at, and takes that person's
// approval or rejection. A version waits because it was staged, or because one of the rules found
// something in it: it runs something on install that its predecessor did not, it depends on a release
// that came out an hour ago, its publisher has published ten names in as many minutes.
//
// It compares contents and people, in words that fit every ecosystem: an inventory of files by SHA-256,
// the install hooks among them, and what a reader noticed in their bytes. What a hook is, what depends on
// what and how versions are ordered, the protocol adapters know.
//
// What it refuses: that the account which published a version also approves it, that a pipeline approves
// anything, an approval by who may not publish the name or without the second factor that the name asks
// for, an approval of what was recalled, and a publication by token of a name that has come to be
// published by a trusted publisher. It does not claim that two accounts are two people, and it does not
// look into dependencies: a new one is a release of its own.
package publish

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Revision names the rules about holds and approvals. It changes with them.
const Revision = "holds/2"

// maxReason bounds a reason in bytes.
const maxReason = 500

// Access says who may do what. The account service implements it.
type Access interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	// RequireAdmin fails unless the actor is a site administrator.
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
	// HasRole reports whether the account, whatever its credentials, holds perm on the name.
	HasRole(ctx context.Context, account string, perm evidence.Permission, ecosystem, name string) (bool, error)
	// Govern fails unless the actor may change the settings of a namespace.
	Govern(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) error
}

// People says what the gate wants to know of accounts besides their rights.
type People interface {
	// NamespaceOf returns the namespace that a name falls into; "" when nobody owns it.
	NamespaceOf(ctx context.Context, ecosystem, name string) (string, error)
	// LastCredentialChange returns when the account last changed its password, e-mail address or second
	// factors; the zero time when it never did since it was made.
	LastCredentialChange(ctx context.Context, account string) (time.Time, error)
	// HasPasskey reports whether the account can prove itself by WebAuthn.
	HasPasskey(ctx context.Context, account string) (bool, error)
	// MissingFactor is the refusal of an account that has not proven a factor, "webauthn" or "any": with what
	// it can do about it.
	MissingFactor(ctx context.Context, account, factor string) error
	// Bypasses reports whether the actor's credential is one that no second factor is asked of.
	Bypasses(ctx context.Context, actor evidence.Actor) (bool, error)
}

// Service holds releases and lets them go. It is safe for concurrent use.
type Service struct {
	record *evidence.Record
	access Access
	people People    // nil: nothing is known of them
	random io.Reader // for the ids of holds
	parsed settingsCache
}

// New returns a service on record.
func New(record *evidence.Record, access Access) *Service {
	return &Service{record: record, access: access, random: rand.Reader}
}

// WithPeople makes the service ask about accounts, and take the ids of holds from random. It is called
// before the service is used.
func (s *Service) WithPeople(people People, random io.Reader) *Service {
	s.people, s.random = people, random
	return s
}

func checkReason(reason, what string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxReason {
		return "", fault.New(fault.Invalid, "reason-invalid", "a reason of 1 to %d bytes is needed; say %s", maxReason, what)
	}
	return reason, nil
}
