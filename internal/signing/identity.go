package signing

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// Identity is somebody who may sign: an issuer of identity tokens, exactly, and what it calls them.
type Identity struct {
	Issuer string
	SAN    Pattern
}

// Pattern is a name, or a pattern of names that is compared as a whole. The zero value matches
// nothing.
type Pattern struct {
	text string
	form *regexp.Regexp // nil: text itself
}

// Exactly matches one name.
func Exactly(name string) Pattern { return Pattern{text: name} }

// literalHost is the least that a pattern must pin: a scheme and a host without wildcards.
var literalHost = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]*://)(?:[A-Za-z0-9-]|\\\.)+/`)

// Matching returns a pattern from a regular expression over the whole name. It must begin with a
// literal scheme and host ("https://github\.com/acme/.*"): one that matches any host would let any
// account of the issuer sign. Code attestation-identity otherwise.
func Matching(expression string) (Pattern, error) {
	form, err := regexp.Compile(`^(?:` + expression + `)$`)
	if err == nil && literalHost.MatchString(expression) && !alternates(expression) {
		return Pattern{text: expression, form: form}, nil
	}
	return Pattern{}, fault.New(fault.Invalid, "attestation-identity",
		"%q cannot be a pattern of identities; it must be a regular expression that begins with a literal host, like https://github\\.com/acme/.*", clip(expression)).Because(err)
}

// alternates reports whether the expression has a branch outside of parentheses: "https://a\.b/|.*"
// begins with a host and matches everything.
func alternates(expression string) bool {
	depth, escaped, class := 0, false, false
	for _, c := range expression {
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth <= 0:
			return true
		}
	}
	return false
}

// String returns the name or the expression.
func (p Pattern) String() string { return p.text }

func (p Pattern) matches(name string) bool {
	if p.form != nil {
		return p.form.MatchString(name)
	}
	return p.text != "" && p.text == name
}

// gitHubIssuer is the one issuer whose workloads are named below another host.
const gitHubIssuer = "https://token.actions.githubusercontent.com"

// sanNamespace returns what the names of an issuer's workloads begin with: its own host, so that no
// issuer can speak for another's repositories.
func sanNamespace(issuer string) (string, error) {
	if issuer == gitHubIssuer || strings.HasPrefix(issuer, gitHubIssuer+"/") { // an enterprise may have an issuer below it
		return "https://github.com/", nil
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fault.New(fault.Invalid, "attestation-identity",
			"%q cannot be an issuer of identities; expected an address like https://gitlab.example", clip(issuer)).Because(err)
	}
	return "https://" + u.Host + "/", nil
}

// anyOf is every workload of an issuer.
func anyOf(issuer string) (Identity, error) {
	prefix, err := sanNamespace(issuer)
	if err != nil {
		return Identity{}, err
	}
	p, err := Matching(regexp.QuoteMeta(prefix) + ".+")
	return Identity{Issuer: issuer, SAN: p}, err
}
