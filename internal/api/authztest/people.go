package authztest

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
)

// People are accounts in every role, with organisations that own namespaces in every ecosystem.
// Organisation "own" has the roles and owns "@own" and "own"; "other" owns "@other" and "other";
// nobody owns "@none" and "none".
type People struct {
	Accounts *account.Service
	Admin    evidence.Actor
	tokens   map[Role]string
}

// Populate creates the people in an empty account service.
func Populate(t testing.TB, accounts *account.Service) *People {
	t.Helper()
	secret, created, err := accounts.Bootstrap(t.Context())
	if err != nil || !created {
		t.Fatalf("first start: created %v, %v", created, err)
	}
	return PopulateAs(t, accounts, secret)
}

// PopulateAs creates the people as the first administrator, whose token is secret.
func PopulateAs(t testing.TB, accounts *account.Service, secret string) *People {
	t.Helper()
	ctx := t.Context()
	p := &People{Accounts: accounts, tokens: map[Role]string{Admin: secret}}
	p.Admin = p.Actor(t, Admin)
	for _, role := range []Role{Outsider, Reader, Maintainer, Owner, Rival} {
		must(t, accounts.CreateUser(ctx, p.Admin, string(role), ""))
		p.tokens[role] = p.token(t, string(role))
	}
	must(t, accounts.CreateUser(ctx, p.Admin, "spare", ""))
	must(t, accounts.CreateOrganisation(ctx, p.Admin, "third"))
	accounts.WithResolver(proofs{net.DefaultResolver, p})
	p.organisation(t, Owner, "own")
	p.organisation(t, Rival, "other")
	owner := p.Actor(t, Owner)
	must(t, accounts.SetMember(ctx, owner, "own", string(Reader), account.Reader))
	must(t, accounts.SetMember(ctx, owner, "own", string(Maintainer), account.Maintainer))
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *People) token(t testing.TB, name string) string {
	t.Helper()
	secret, _, err := p.Accounts.CreateToken(t.Context(), p.Admin, account.Token{
		Account: name, Scope: account.Scope{Permission: evidence.Own},
	})
	must(t, err)
	return secret
}

func (p *People) organisation(t testing.TB, by Role, name string) {
	t.Helper()
	actor := p.Actor(t, by)
	must(t, p.Accounts.CreateOrganisation(t.Context(), actor, name))
	must(t, p.Accounts.ClaimNamespace(t.Context(), actor, name, "npm", "@"+name, account.Private))
	must(t, p.Accounts.ClaimNamespace(t.Context(), actor, name, "oci", name, account.Private))
	must(t, p.Accounts.ClaimNamespace(t.Context(), actor, name, "maven", "com."+name, account.Private))
}

// proofs answers for every domain "x.com" with the record that proves the namespace "com.x".
type proofs struct {
	*net.Resolver
	*People
}

// LookupTXT implements account.Resolver.
func (p proofs) LookupTXT(ctx context.Context, domain string) ([]string, error) {
	proof, err := p.Accounts.NamespaceProof(ctx, p.Admin, "maven", "com."+strings.TrimSuffix(domain, ".com."))
	return []string{proof.Record}, err
}

// Actor returns the actor that a role's token proves.
func (p *People) Actor(t testing.TB, role Role) evidence.Actor {
	t.Helper()
	actor, err := p.Accounts.AuthenticateSecret(t.Context(), "token", p.tokens[role], "192.0.2.1:1")
	must(t, err)
	return actor
}

// SpareToken returns the ID of a new token of the role's, to be revoked.
func (p *People) SpareToken(t testing.TB, role Role) string {
	t.Helper()
	if role == Anonymous {
		return "tok_none"
	}
	_, made, err := p.Accounts.CreateToken(t.Context(), p.Actor(t, role), account.Token{Scope: account.Scope{Permission: evidence.Read}})
	must(t, err)
	return made.ID
}

// Account returns the role's account name; [Anonymous] has none.
func (p *People) Account(role Role) string {
	if role == Anonymous {
		return ""
	}
	return string(role)
}

// Authorization implements World with unrestricted tokens.
func (p *People) Authorization(role Role) string {
	if secret := p.tokens[role]; secret != "" {
		return "Bearer " + secret
	}
	return ""
}
