package sso

import (
	"errors"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
)

const (
	maxGroups  = 2000
	maxSubject = 255 // OpenID Connect Core 1.0, section 2
)

// claims are what of a token decides. A claim of another form than expected is as good as none.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

// texts is a claim that is a text or a list of them.
func (c claims) texts(name string) []string {
	switch v := c[name].(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v[:min(len(v), maxGroups)] {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// domain is that of the address, if the provider has verified it.
func (c claims) domain() string {
	if verified, _ := c["email_verified"].(bool); !verified {
		return ""
	}
	_, domain, _ := strings.Cut(c.text("email"), "@")
	if strings.Contains(domain, "@") {
		return ""
	}
	return strings.ToLower(domain)
}

// assert says what a verified token comes to under the configuration. Code: sso-refused.
func (p *Provider) assert(token *oidc.IDToken) (account.Assertion, error) {
	c := claims{}
	if err := token.Claims(&c); err != nil {
		return account.Assertion{}, p.refused("the ID token of %s cannot be read", p.Label).Because(err)
	}
	if token.Subject == "" || len(token.Subject) > maxSubject {
		return account.Assertion{}, p.refused("%s did not say who you are", p.Label).Because(errors.New("the subject is empty or too long"))
	}
	groups := c.texts(p.GroupsClaim)
	if !p.admits(c.domain(), groups) {
		return account.Assertion{}, p.refused("your account at %s is not among those that may sign in here", p.Label)
	}
	a := account.Assertion{Issuer: p.Issuer, Subject: token.Subject, Provider: p.Label, Factor: p.factor(c), Roles: p.roles(groups)}
	for _, r := range p.Roles {
		if !slices.Contains(a.Maps, r.Organisation) {
			a.Maps = append(a.Maps, r.Organisation)
		}
	}
	if p.CreateAccounts {
		name, _, _ := strings.Cut(c.text(p.NameClaim), "@")
		a.Name = strings.ToLower(name)
	}
	return a, nil
}

func (p *Provider) admits(domain string, groups []string) bool {
	if len(p.Domains) > 0 && !slices.ContainsFunc(p.Domains, func(d string) bool { return domain != "" && strings.EqualFold(d, domain) }) {
		return false
	}
	return len(p.Groups) == 0 || slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

func (p *Provider) roles(groups []string) map[string]account.Role {
	roles := map[string]account.Role{}
	for _, r := range p.Roles {
		if slices.Contains(groups, r.Group) {
			roles[r.Organisation] = account.StrongestRole(roles[r.Organisation], r.Role)
		}
	}
	return roles
}

// factor is the strongest that the configuration reads in the token.
func (p *Provider) factor(c claims) (f evidence.Factor) {
	for _, rule := range p.Factors {
		if slices.Contains(c.texts(rule.Claim), rule.Value) && f != evidence.WebAuthn {
			f = rule.Factor
		}
	}
	return f
}
