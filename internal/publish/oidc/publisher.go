package oidc

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxPins     = 20  // claims of a publisher
	maxPin      = 255 // bytes of one
	maxPatterns = 20  // of a policy
)

// Publisher is a pipeline that may publish one name without a stored secret. A pipeline that publishes
// several names has one for each, and a name may have several.
type Publisher struct {
	ID        string // "tp_…": the account name of who publishes by it
	Ecosystem string
	Name      string
	Provider  string
	// Issuer is whose tokens it takes; never another's, whatever they claim.
	Issuer string
	// Claims are what the token must say, by the field names of the provider; of a generic one by claim.
	Claims map[string]string
	// Learnt are the numbers that the first token told, which hold from then on.
	Learnt     map[string]string
	Policy     Policy
	Permission evidence.Permission // Stage or Publish

	// Organisation owned the name when the publisher was registered. With another owner it is void.
	Organisation string
	// Pending: it waits for its first token, which makes the name the organisation's.
	Pending   bool
	Created   time.Time
	CreatedBy string
	LastUsed  time.Time // zero: never
	// Flags are why an owner should look at it: "creator-gone", "former-owner", "issuer-unregistered".
	Flags []string
}

// Policy is what else a run must be like.
type Policy struct {
	// Events are the only ones accepted; none means all but those that a stranger can cause.
	Events []string `json:"events,omitempty"`
	// Refs are glob patterns, any of which must match: "refs/heads/main", "refs/tags/v*". "*" stops at "/".
	Refs []string `json:"refs,omitempty"`
	// Protected: the provider says that not everybody with write access may move the reference.
	Protected bool `json:"protected,omitempty"`
	// Runner is the only kind of machine accepted: "github-hosted", "self-hosted".
	Runner string `json:"runner,omitempty"`
}

// label is how statements call who publishes by it.
func (p *Publisher) label() string {
	prov, err := providerNamed(p.Provider)
	if err != nil {
		return p.Provider
	}
	parts := []string{p.Provider}
	for _, f := range prov.fields {
		if f.needed {
			parts = append(parts, p.Claims[f.name])
		}
	}
	if prov.open {
		for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
			parts = append(parts, p.Claims[name])
		}
	}
	text := strings.Join(parts, " ")
	return text[:min(len(text), 200)]
}

// check completes a publisher that somebody asks for and says what is wrong with it.
func (p *Publisher) check() error {
	prov, err := providerNamed(p.Provider)
	if err != nil {
		return err
	}
	if p.Permission == "" {
		p.Permission = evidence.Publish
	}
	if p.Permission != evidence.Publish && p.Permission != evidence.Stage {
		return unfit("a trusted publisher may publish or stage; %q is neither", clip(string(p.Permission)))
	}
	if len(p.Claims) > maxPins {
		return unfit("a publisher takes %d claims at most", maxPins)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		if err := prov.checkPin(name, p.Claims[name]); err != nil {
			return err
		}
	}
	for _, f := range prov.fields {
		if f.needed && p.Claims[f.name] == "" {
			return unfit("a publisher of %s needs %s", p.Provider, f.name)
		}
	}
	if prov.open && len(p.Claims) < minPinned {
		return unfit("a publisher of an issuer that is not known here pins at least %d claims besides iss and aud; fewer could be somebody else's", minPinned)
	}
	return p.Policy.check(prov)
}

func (prov *provider) checkPin(name, v string) error {
	f := prov.field(name)
	switch {
	case f == nil && !prov.open:
		return unfit("a publisher of %s has no %q; see docs/reference/trusted-publishing.md", prov.name, clip(name))
	case prov.open && slices.Contains(unpinnable, name):
		return unfit("%s is checked in any case and says nothing about whose the token is; pin another claim", name)
	case v == "" || len(v) > maxPin || len(name) > maxPin || strings.ContainsFunc(v+name, unicode.IsControl):
		return unfit("%s takes 1 to %d bytes of printable text", clip(name), maxPin)
	case f != nil && f.form != nil && !f.form.MatchString(v):
		return unfit("%q cannot be a %s", clip(v), name)
	}
	return nil
}

func (p Policy) check(prov *provider) error {
	if len(p.Events) > maxPatterns || len(p.Refs) > maxPatterns {
		return unfit("a policy takes %d events and %d references at most", maxPatterns, maxPatterns)
	}
	for _, ref := range p.Refs {
		if _, err := path.Match(ref, ""); err != nil || ref == "" || len(ref) > maxPin {
			return unfit("%q is not a pattern of references; expected something like refs/heads/main or refs/tags/v*", clip(ref))
		}
	}
	switch {
	case len(p.Events) > 0 && prov.event == "":
		return unfit("the tokens of %s do not say which event started the run", prov.name)
	case len(p.Refs) > 0 && prov.ref == nil:
		return unfit("the tokens of %s do not say which branch or tag the run is for", prov.name)
	case p.Protected && prov.protected == "":
		return unfit("the tokens of %s do not say whether the reference is protected", prov.name)
	case p.Runner != "" && prov.runner == "":
		return unfit("the tokens of %s do not say what kind of machine runs the job", prov.name)
	case len(p.Runner) > maxPin || slices.ContainsFunc(p.Events, func(e string) bool { return e == "" || len(e) > maxPin }):
		return unfit("an event and a runner take 1 to %d bytes", maxPin)
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fault.New(fault.Invalid, "publisher-invalid", format, args...)
}
