// Package sso signs people in by an OpenID Connect provider (OpenID Connect Core 1.0): authorization code
// with PKCE, a nonce, and a state that is bound to the browser that began.
//
// [Provider.Begin] gives the address that the browser is sent to, [Provider.Finish] turns what it comes
// back with into a verified account.Assertion. Who that is here, package account decides, by issuer and
// subject.
//
// What it refuses: an answer that this browser did not ask for, or asks for twice; one of another provider
// than the one that was asked (RFC 9207); tokens signed with anything but RS256 or ES256; an e-mail address
// that the provider has not verified, where addresses decide who may come in; redirects and large answers
// from the provider.
package sso

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const maxConfig = 256 << 10 // bytes

// Config lists the identity providers. It is read from a YAML file; see docs/howto/sso.md.
type Config struct {
	Providers []ProviderConfig `json:"providers"`
}

// ProviderConfig is one provider.
type ProviderConfig struct {
	// ID stands in addresses: the redirect address that the provider must know is
	// <public URL>/account/sign-on/<id>/callback.
	ID string `json:"id"`
	// Label is what people call it: "Sign in with <label>".
	Label string `json:"label"`
	// Issuer is the provider's address, exactly as its tokens name it. It must be https, or on this machine.
	Issuer string `json:"issuer"`
	// ClientID and ClientSecretFile are what the provider calls this server. The file must be readable by
	// its owner only; a public client has none. A relative path begins at the configuration's folder.
	ClientID         string `json:"clientID"`
	ClientSecretFile string `json:"clientSecretFile"`
	// Scopes are asked for besides openid. Default: profile, email.
	Scopes []string `json:"scopes"`

	// Domains are the e-mail domains whose people may come in, by an address that the provider has
	// verified. Groups are names one of which the person must be in. With neither, everybody who has an
	// account at the provider may come in: right for a company's own, wrong for a public one.
	Domains []string `json:"domains"`
	Groups  []string `json:"groups"`
	// GroupsClaim is the ID token's claim that lists the person's groups. Default: groups.
	GroupsClaim string `json:"groupsClaim"`

	// CreateAccounts makes an account at the first sign-in, called as NameClaim says (default
	// preferred_username). Without it people link the provider on their account page first.
	CreateAccounts bool   `json:"createAccounts"`
	NameClaim      string `json:"nameClaim"`

	// Roles give people of a group a role in an organisation, at each sign-in, and take it away when they
	// are no longer in the group. Roles that were given by hand stay.
	Roles []RoleRule `json:"roles"`
	// Factors say what in a token shows that the provider asked for a second factor. Without one a
	// sign-in counts as a password alone. Who controls the provider then controls the factor.
	Factors []FactorRule `json:"factors"`
}

// RoleRule maps a group to a role.
type RoleRule struct {
	Group        string       `json:"group"`
	Organisation string       `json:"organisation"`
	Role         account.Role `json:"role"`
}

// FactorRule maps a value of the claim amr (RFC 8176) or acr to a factor: "totp", or "webauthn" for what
// cannot be phished.
type FactorRule struct {
	Claim  string          `json:"claim"`
	Value  string          `json:"value"`
	Factor evidence.Factor `json:"factor"`
}

// Load reads a configuration file. Code: sso-config-invalid.
func Load(file string) (Config, error) {
	var c Config
	raw, err := os.ReadFile(file)
	if err == nil && len(raw) > maxConfig {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = yaml.UnmarshalStrict(raw, &c)
	}
	if err != nil {
		return Config{}, errConfig("%s cannot be read: %v", file, err)
	}
	for i := range c.Providers {
		if path := &c.Providers[i].ClientSecretFile; *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
	return c, nil
}

func errConfig(format string, args ...any) error {
	return fault.New(fault.Invalid, "sso-config-invalid", "the configuration of single sign-on cannot work: %s; see docs/howto/sso.md", fmt.Sprintf(format, args...))
}

var providerID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// check fails with code sso-config-invalid.
func (c *ProviderConfig) check() error {
	if !providerID.MatchString(c.ID) {
		return errConfig("a provider's id is 1 to 31 of a-z, 0-9 and dash")
	}
	if c.Label == "" || c.ClientID == "" {
		return errConfig("%s needs label and clientID", c.ID)
	}
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return errConfig("the issuer of %s is not an https address", c.ID)
	}
	for _, r := range c.Roles {
		if r.Group == "" || r.Organisation == "" || account.StrongestRole(r.Role) == "" {
			return errConfig("a role of %s needs group, organisation and one of reader, maintainer, owner", c.ID)
		}
	}
	for _, f := range c.Factors {
		if f.Claim != "amr" && f.Claim != "acr" || f.Value == "" || f.Factor != evidence.TOTP && f.Factor != evidence.WebAuthn {
			return errConfig("a factor of %s needs claim amr or acr, a value, and the factor totp or webauthn", c.ID)
		}
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func (c *ProviderConfig) secret() (string, error) {
	if c.ClientSecretFile == "" {
		return "", nil
	}
	secret, err := durable.GivenSecret(c.ClientSecretFile)
	if err != nil {
		return "", errConfig("clientSecretFile of %s cannot be used: %v", c.ID, err)
	}
	return secret, nil
}
