package account

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestATokenMakesNoTokenWithMoreThanItHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("bob")
	soon := w.clk.Now().Add(time.Hour)
	net8 := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	parent := Token{
		Scope:   Scope{Permission: evidence.Publish, Ecosystem: "npm", Names: []string{"@acme/*"}},
		Expires: soon, Networks: net8,
	}
	actor := w.login("admin", w.token(w.admin, parent))
	for title, c := range map[string]struct {
		change func(*Token)
		code   string
	}{
		"the same":                  {func(*Token) {}, ""},
		"less":                      {func(t *Token) { t.Scope.Permission, t.Scope.Names = evidence.Read, []string{"@acme/ui"} }, ""},
		"a shorter life":            {func(t *Token) { t.Expires = soon.Add(-time.Minute) }, ""},
		"a narrower network":        {func(t *Token) { t.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.8/29")} }, ""},
		"a higher permission":       {func(t *Token) { t.Scope.Permission = evidence.Own }, "token-scope"},
		"every ecosystem":           {func(t *Token) { t.Scope.Ecosystem = "" }, "token-scope"},
		"another ecosystem":         {func(t *Token) { t.Scope.Ecosystem = "oci" }, "token-scope"},
		"every name":                {func(t *Token) { t.Scope.Names = nil }, "token-scope"},
		"one name too many":         {func(t *Token) { t.Scope.Names = []string{"@acme/ui", "left-pad"} }, "token-scope"},
		"a longer life":             {func(t *Token) { t.Expires = soon.Add(time.Millisecond) }, "token-scope"},
		"no end":                    {func(t *Token) { t.Expires = time.Time{} }, "token-scope"},
		"a wider network":           {func(t *Token) { t.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")} }, "token-scope"},
		"a wider network around it": {func(t *Token) { t.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/16")} }, "token-scope"},
		"another network":           {func(t *Token) { t.Networks = append(t.Networks, netip.MustParsePrefix("::/0")) }, "token-scope"},
		"for somebody else":         {func(t *Token) { t.Account = "bob" }, "token-scope"},
		"expired from birth":        {func(t *Token) { t.Expires = w.clk.Now() }, "scope-invalid"},
		"a permission too few":      {func(t *Token) { t.Scope.Permission = "" }, "scope-invalid"},
		"a long description":        {func(t *Token) { t.Description = string(make([]byte, 201)) }, "scope-invalid"},
	} {
		child := parent
		c.change(&child)
		if _, _, err := w.CreateToken(w.ctx, actor, child); codeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", title, err, c.code)
		}
	}
}

func TestATokenInheritsTheNetworksOfWhatMadeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	parent := Token{Scope: Scope{Permission: evidence.Own}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	actor := w.login("admin", w.token(w.admin, parent))
	child := w.token(actor, Token{Scope: Scope{Permission: evidence.Read}})
	_, err := w.AuthenticateSecret(w.ctx, "token", child, "198.51.100.1:1")
	w.refused(err, "token-address")
}

func TestOnlyAnAdministratorMakesATokenForSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.user("bob")
	full := Scope{Permission: evidence.Own}
	_, _, err := w.CreateToken(w.ctx, alice, Token{Account: "bob", Scope: full})
	w.refused(err, "admin-required")
	_, _, err = w.CreateToken(w.ctx, w.admin, Token{Account: "nobody", Scope: full})
	w.refused(err, "user-unknown")
	_, _, err = w.CreateToken(w.ctx, evidence.Actor{}, Token{Scope: full})
	w.refused(err, "login-required")
	_, made, err := w.CreateToken(w.ctx, w.admin, Token{Account: "bob", Scope: full})
	w.must(err)
	if made.MadeBy != w.admin.Credential || made.Account != "bob" {
		t.Errorf("made for %q by %q", made.Account, made.MadeBy)
	}
}

func TestTokensAreListedToTheirOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	asked := Token{
		Description: "ci", Scope: Scope{Ecosystem: "npm", Names: []string{"@acme/*", "left-pad"}, Permission: evidence.Publish},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}, Expires: w.clk.Now().Add(time.Hour),
	}
	w.clk.advance(time.Second)
	_, made, err := w.CreateToken(w.ctx, alice, asked)
	w.must(err)
	tokens, err := w.ListTokens(w.ctx, alice)
	w.must(err)
	if len(tokens) != 2 {
		t.Fatalf("%d tokens, want 2", len(tokens))
	}
	got := tokens[0]
	if got.ID != made.ID || got.Description != "ci" || !asked.Scope.covers(got.Scope) || !got.Scope.covers(asked.Scope) ||
		!got.Expires.Equal(asked.Expires) || got.Networks[0].String() != "192.0.2.0/24" || !got.LastUsed.IsZero() ||
		!got.Created.Equal(w.clk.Now()) || got.MadeBy != alice.Credential {
		t.Errorf("listed %+v, made %+v", got, made)
	}
}

func TestATokenIsRevokedByItsOwnerAnAdministratorOrItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	narrowScope := Scope{Permission: evidence.Publish, Names: []string{"@acme/*"}}
	for title, c := range map[string]struct {
		by     func(own evidence.Actor) evidence.Actor
		target Scope
		code   string
	}{
		"its owner":                {func(evidence.Actor) evidence.Actor { return alice }, narrowScope, ""},
		"an administrator":         {func(evidence.Actor) evidence.Actor { return w.admin }, narrowScope, ""},
		"itself":                   {func(own evidence.Actor) evidence.Actor { return own }, narrowScope, ""},
		"somebody else":            {func(evidence.Actor) evidence.Actor { return bob }, narrowScope, "token-unknown"},
		"nobody":                   {func(evidence.Actor) evidence.Actor { return evidence.Actor{} }, narrowScope, "login-required"},
		"a token that has less":    {func(evidence.Actor) evidence.Actor { return narrow(w, Scope{Permission: evidence.Read}) }, narrowScope, "token-scope"},
		"a token that has as much": {func(evidence.Actor) evidence.Actor { return narrow(w, narrowScope) }, narrowScope, ""},
	} {
		secret := w.token(alice, Token{Scope: c.target})
		own := w.login("alice", secret)
		if err := w.RevokeToken(w.ctx, c.by(own), secret); codeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", title, err, c.code)
		}
		_, err := w.ask("Bearer " + secret)
		if gone := err != nil; gone != (c.code == "") {
			t.Errorf("%s: afterwards %v", title, err)
		}
	}
	w.refused(w.RevokeToken(w.ctx, alice, "tok_nothing"), "token-unknown")
}

// narrow logs alice in with a token of that scope.
func narrow(w *world, sc Scope) evidence.Actor {
	return w.login("alice", w.token(w.admin, Token{Account: "alice", Scope: sc}))
}
