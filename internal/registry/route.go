package registry

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Who a route is for.
const (
	AccessAnyone    = "anyone"    // no credential needed; a valid one may show more
	AccessAccount   = "account"   // any valid credential
	AccessNamespace = "namespace" // whoever holds Permission on the name in the path
	// AccessOrganisation is for who is in the organisation in the path: its members to read, its owners to
	// own; and for site administrators.
	AccessOrganisation = "organisation"
)

// Route is one row of an adapter's route table. The adapter builds its mux from the table and
// nothing else, and the authorisation matrix is generated from it, so that no route goes untested.
type Route struct {
	Method  string // "GET", "PUT" …; GET stands for HEAD too, as it does in http.ServeMux
	Pattern string // an http.ServeMux path without the adapter's prefix; {name} is the package name
	// Permission is what the caller needs on the name; empty unless Access is AccessNamespace.
	Permission evidence.Permission
	Access     string // one of the constants above
	Handler    http.HandlerFunc
}
