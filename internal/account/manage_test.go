package account

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestOnlyAnAdministratorWithAnUnrestrictedTokenManagesUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	narrow := w.login("admin", w.token(w.admin, Token{Scope: Scope{Permission: evidence.Own, Ecosystem: "npm"}}))
	for code, actor := range map[string]evidence.Actor{
		"login-required": {}, "admin-required": alice, "token-scope": narrow, "": w.admin,
	} {
		_, err := w.ListUsers(w.ctx, actor)
		if codeOf(err) != code {
			t.Errorf("list as %q: %v, want %q", actor.Account, err, code)
		}
		if err := w.CreateUser(w.ctx, actor, "carol", ""); codeOf(err) != code {
			t.Errorf("create as %q: %v, want %q", actor.Account, err, code)
		}
	}
}

func TestANameIsOneThatCannotBeMistaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("alice")
	for name, code := range map[string]string{
		"bob": "", "b": "", "b.o-b_2": "", strings.Repeat("b", 40): "",
		"alice": "name-taken", "": "name-invalid", "Bob": "name-invalid", "b:ob": "name-invalid", "-bob": "name-invalid",
		"bob.": "name-invalid", "b/ob": "name-invalid", "bob\n": "name-invalid", strings.Repeat("b", 41): "name-invalid",
		"token": "name-invalid", "__token__": "name-invalid", "root": "name-invalid", "admin": "name-invalid",
	} {
		if err := w.CreateUser(w.ctx, w.admin, name, ""); codeOf(err) != code {
			t.Errorf("%q: %v, want %q", name, err, code)
		}
	}
	w.must(w.CreateOrganisation(w.ctx, w.admin, "acme"))
	w.refused(w.CreateOrganisation(w.ctx, w.admin, "acme"), "name-taken")
	w.refused(w.CreateOrganisation(w.ctx, w.admin, "@acme"), "name-invalid")
}

func TestAPasswordIsLongAndNotAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for password, code := range map[string]string{
		"short": "password-unfit", w.first: "password-unfit", strings.Repeat("x", 1025): "password-unfit",
	} {
		if err := w.CreateUser(w.ctx, w.admin, "bob", password); codeOf(err) != code {
			t.Errorf("a password of %d bytes: %v, want %q", len(password), err, code)
		}
	}
}

func TestAnOrganisationIsManagedByItsOwnersAndAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.must(w.CreateOrganisation(w.ctx, alice, "acme"))
	for _, role := range []Role{Reader, Maintainer, Owner} {
		w.user(string(role))
		w.must(w.SetMember(w.ctx, alice, "acme", string(role), role))
	}
	w.user("outsider")
	w.user("newcomer")
	for user, code := range map[string]string{
		"reader": "organisation-not-yours", "maintainer": "organisation-not-yours", "owner": "",
		"outsider": "organisation-unknown", "admin": "",
	} {
		actor := w.login(user, w.token(w.admin, Token{Account: user, Scope: Scope{Permission: evidence.Own}}))
		if err := w.SetMember(w.ctx, actor, "acme", "newcomer", Reader); codeOf(err) != code {
			t.Errorf("%s sets a member: %v, want %q", user, err, code)
		}
		if err := w.ClaimNamespace(w.ctx, actor, "acme", "npm", "@"+user, ""); codeOf(err) != code {
			t.Errorf("%s claims: %v, want %q", user, err, code)
		}
		_, err := w.ListNamespaces(w.ctx, actor, "acme")
		if seen := err == nil; seen != (user != "outsider") {
			t.Errorf("%s lists the namespaces: %v", user, err)
		}
		if _, err := w.Members(w.ctx, actor, "acme"); (err == nil) != (user != "outsider") {
			t.Errorf("%s lists the members: %v", user, err)
		}
	}
	w.refused(w.SetMember(w.ctx, alice, "acme", "nobody", Reader), "user-unknown")
	w.refused(w.SetMember(w.ctx, alice, "acme", "newcomer", "king"), "role-invalid")
	w.refused(w.RemoveMember(w.ctx, alice, "acme", "outsider"), "user-unknown")
	w.refused(w.SetMember(w.ctx, alice, "nowhere", "newcomer", Reader), "organisation-unknown")
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.user("bob")
	w.must(w.CreateOrganisation(w.ctx, alice, "acme"))
	w.refused(w.RemoveMember(w.ctx, alice, "acme", "alice"), "member-last-owner")
	w.refused(w.SetMember(w.ctx, w.admin, "acme", "alice", Reader), "member-last-owner")
	w.must(w.SetMember(w.ctx, alice, "acme", "bob", Owner))
	w.must(w.RemoveMember(w.ctx, alice, "acme", "alice"))
	members, err := w.Members(w.ctx, w.admin, "acme")
	w.must(err)
	if want := []Member{{"bob", Owner}}; !reflect.DeepEqual(members, want) {
		t.Errorf("members are %v, want %v", members, want)
	}
}

func TestOrganisationsAreListedToTheirMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.must(w.CreateOrganisation(w.ctx, alice, "acme"))
	w.must(w.CreateOrganisation(w.ctx, w.admin, "zeta"))
	for _, c := range []struct {
		actor evidence.Actor
		want  string
	}{{alice, "acme:owner"}, {w.admin, "acme: zeta:owner"}} {
		all, err := w.Organisations(w.ctx, c.actor)
		w.must(err)
		var got []string
		for _, o := range all {
			got = append(got, o.Name+":"+string(o.Role))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s sees %q, want %q", c.actor.Account, got, c.want)
		}
	}
}

func TestANamespaceIsClaimedOnceAndInItsEcosystemsForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	w.must(w.CreateOrganisation(w.ctx, alice, "acme"))
	w.must(w.CreateOrganisation(w.ctx, bob, "bobs"))
	for _, c := range []struct{ ecosystem, pattern, code string }{
		{"npm", "@acme", ""}, {"npm", "@acme", "namespace-taken"}, {"npm", "left-pad", ""}, {"npm", "@acme/ui", "namespace-invalid"},
		{"npm", "@", "namespace-invalid"}, {"npm", "@acme/*", "namespace-invalid"}, {"npm", "Acme", "namespace-invalid"},
		{"oci", "acme", ""}, {"oci", "acme/team", ""}, {"oci", "@acme", "namespace-invalid"}, {"oci", "acme/*", "namespace-invalid"},
		{"oci", "nobody/team", "namespace-unowned"}, {"cobol", "acme", "ecosystem-unknown"},
	} {
		if err := w.ClaimNamespace(w.ctx, alice, "acme", c.ecosystem, c.pattern, ""); codeOf(err) != c.code {
			t.Errorf("%s %s: %v, want %q", c.ecosystem, c.pattern, err, c.code)
		}
	}
	w.refused(w.ClaimNamespace(w.ctx, bob, "bobs", "npm", "@acme", ""), "namespace-taken")
	w.refused(w.ClaimNamespace(w.ctx, bob, "bobs", "oci", "acme/bob", ""), "namespace-not-yours")
	w.refused(w.ClaimNamespace(w.ctx, bob, "acme", "npm", "@bob", ""), "organisation-unknown")
	w.refused(w.ClaimNamespace(w.ctx, alice, "acme", "npm", "@more", "secret"), "visibility-invalid")
}

func TestTheNarrowestOCIPrefixDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	w.organisation(alice, "acme", "oci", "acme", Private)
	w.must(w.CreateOrganisation(w.ctx, alice, "team"))
	w.must(w.ClaimNamespace(w.ctx, alice, "team", "oci", "acme/team-x", Public))
	w.must(w.SetMember(w.ctx, alice, "team", "bob", Maintainer))
	for name, pattern := range map[string]string{
		"acme": "acme", "acme/app": "acme", "acme/team-x": "acme/team-x", "acme/team-x/app/web": "acme/team-x", "acme/team-xy": "acme", "acmes": "",
	} {
		ns, err := w.Namespace(w.ctx, "oci", name)
		w.must(err)
		if ns.Pattern != pattern {
			t.Errorf("%s falls into %q, want %q", name, ns.Pattern, pattern)
		}
	}
	w.must(w.Authorize(w.ctx, bob, evidence.Publish, "oci", "acme/team-x/app"))
	w.refused(w.Authorize(w.ctx, bob, evidence.Publish, "oci", "acme/app"), "namespace-not-yours")
	w.refused(w.SetVisibility(w.ctx, bob, "oci", "acme/team-x", Private), "organisation-not-yours")
	w.refused(w.SetVisibility(w.ctx, alice, "oci", "acme/app", Public), "namespace-unowned")
}

func TestCollaboratorsCarryTheStrongerOfTheirRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	w.user("carol")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	w.must(w.SetMember(w.ctx, alice, "acme", "bob", Reader))
	w.must(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "bob", Maintainer))
	w.must(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "carol", Reader))
	got, err := w.Collaborators(w.ctx, "npm", "@acme/ui")
	w.must(err)
	if want := []Member{{"alice", Owner}, {"bob", Maintainer}, {"carol", Reader}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.refused(w.SetPackageRole(w.ctx, bob, "npm", "@acme/ui", "carol", Owner), "namespace-not-yours")
	w.refused(w.SetPackageRole(w.ctx, w.admin, "npm", "@acme/ui", "admin", Owner), "namespace-not-yours")
	w.refused(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "nobody", Owner), "user-unknown")
	w.refused(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "bob", "king"), "role-invalid")
}

func TestANestedClaimEndsTheRolesThatTheFormerOwnerGave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	w.organisation(alice, "acme", "oci", "acme", Private)
	w.must(w.CreateOrganisation(w.ctx, alice, "team"))
	names := map[string]string{"acme/team": "namespace-not-yours", "acme/team/app": "namespace-not-yours", "acme/team2": ""}
	for name := range names {
		w.must(w.SetPackageRole(w.ctx, alice, "oci", name, "bob", Maintainer))
	}
	w.must(w.ClaimNamespace(w.ctx, alice, "team", "oci", "acme/team", ""))
	for name, code := range names {
		if err := w.Authorize(w.ctx, bob, evidence.Publish, "oci", name); codeOf(err) != code {
			t.Errorf("%s: %v, want %q", name, err, code)
		}
	}
}
