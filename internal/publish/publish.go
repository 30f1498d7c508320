// Package publish holds what the publish gate wants a person to look at, and takes that person's
// approval or rejection. Its first rule: a version that runs something on the machine of whoever
// installs it, and whose predecessor did not, waits.
//
// It compares contents, in words that fit every ecosystem: an inventory of files by SHA-256 and the
// install hooks among them. What a hook is and how versions are ordered, the protocol adapters know.
//
// What it refuses: that the account which published a version also approves it, an approval by who
// may not publish the name, and an approval of what was recalled. It does not claim that two accounts
// are two people, and it does not look into dependencies: a new one is a release of its own.
package publish

import (
	"context"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Revision names the rules about holds and approvals. It changes with them.
const Revision = "holds/1"

// maxReason bounds a reason in bytes.
const maxReason = 500

// Access says who may do what. The account service implements it.
type Access interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	// RequireAdmin fails unless the actor is a site administrator.
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
}

// Service holds releases and lets them go. It is safe for concurrent use.
type Service struct {
	record *evidence.Record
	access Access
}

// New returns a service on record.
func New(record *evidence.Record, access Access) *Service {
	return &Service{record: record, access: access}
}

func checkReason(reason, what string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxReason {
		return "", fault.New(fault.Invalid, "reason-invalid", "a reason of 1 to %d bytes is needed; say %s", maxReason, what)
	}
	return reason, nil
}
