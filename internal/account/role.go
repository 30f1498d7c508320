package account

import (
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Role is what a user is in an organisation or for one name. Each includes those before it.
type Role string

// The roles.
const (
	Reader     Role = "reader"     // may read what is private
	Maintainer Role = "maintainer" // may publish
	Owner      Role = "owner"      // may unpublish, claim namespaces and change the members
)

// permissions maps a role to the most that it lets its holder do; no role is no permission.
var permissions = map[Role]evidence.Permission{
	Reader: evidence.Read, Maintainer: evidence.Publish, Owner: evidence.Own,
}

// ranks orders the permissions; a permission that does not exist ranks above all others, so that it
// is never granted.
var ranks = map[evidence.Permission]int{evidence.Read: 1, evidence.Stage: 2, evidence.Publish: 3, evidence.Own: 4}

// includes reports whether whoever holds has may do want.
func includes(has, want evidence.Permission) bool {
	return ranks[want] > 0 && ranks[has] >= ranks[want]
}

// Permission returns the most that the role lets its holder do; none for an unknown role.
func (r Role) Permission() evidence.Permission { return permissions[r] }

// Allows reports whether the role lets its holder do p.
func (r Role) Allows(p evidence.Permission) bool { return includes(permissions[r], p) }

// check fails with code role-invalid.
func (r Role) check() error {
	if permissions[r] == "" {
		return fault.New(fault.Invalid, "role-invalid", "%q is not a role; use reader, maintainer or owner", clip(string(r)))
	}
	return nil
}

// higher returns the stronger of two roles.
func higher(a, b Role) Role {
	if ranks[permissions[b]] > ranks[permissions[a]] {
		return b
	}
	return a
}
