package account

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// accountName is the form of user and organisation names: it fits a URL path, a Basic credential
// and a command line unquoted.
var accountName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?$`)

// reservedNames would be mistaken for something else: a well-known user of a protocol, a caller
// without account, or the server itself.
var reservedNames = []string{
	"admin", "administrator", "anonymous", "api", "everyone", "hullmark", "oauth2", "oidc", "root", "system", "token",
}

// publisherPrefix begins the names under which trusted publishers act.
const publisherPrefix = "tp_"

// checkAccountName fails with code name-invalid.
func checkAccountName(name string) error {
	if !accountName.MatchString(name) {
		return fault.New(fault.Invalid, "name-invalid",
			"%q cannot be a name; use 1 to 40 of a-z, 0-9, dot, dash and underscore, beginning and ending with a letter or digit", clip(name))
	}
	if slices.Contains(reservedNames, name) || strings.HasPrefix(name, publisherPrefix) {
		return fault.New(fault.Invalid, "name-invalid", "%q is reserved; choose another name", name)
	}
	return nil
}
