package account

import (
	"reflect"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// teamWorld has acme, owned by alice, with the npm scope @acme and the image path acme; bob reads there
// and is in the team design.
func teamWorld(t *testing.T) (w *world, alice, bob evidence.Actor) {
	w = newWorld(t)
	alice, _ = w.user("alice")
	bob, _ = w.user("bob")
	w.organisation(alice, "acme", purl.NPM, "@acme", Private)
	w.must(w.ClaimNamespace(w.ctx, alice, "acme", purl.OCI, "acme", Private))
	w.must(w.SetMember(w.ctx, alice, "acme", "bob", Reader))
	w.must(w.CreateTeam(w.ctx, alice, Team{Organisation: "acme", Name: "design"}))
	w.must(w.AddTeamMember(w.ctx, alice, "acme", "design", "bob"))
	return w, alice, bob
}

func TestATeamGivesItsMembersRolesOnNamesOfEveryEcosystem(t *testing.T) {
	t.Parallel()
	w, alice, bob := teamWorld(t)
	publish := func(ecosystem, name string) string {
		return codeOf(w.Authorize(w.ctx, bob, evidence.Publish, ecosystem, name))
	}
	for _, g := range []struct{ ecosystem, grant, reached, not string }{
		{purl.NPM, "@acme/ui", "@acme/ui", "@acme/ui-kit"},
		{purl.OCI, "acme/web", "acme/web/app", "acme/webhook"},
		{purl.OCI, "acme", "acme/else", ""},
		{purl.NPM, "@acme", "@acme/else", ""},
	} {
		if code := publish(g.ecosystem, g.reached); code != "namespace-not-yours" {
			t.Errorf("before the grant on %s: %q", g.grant, code)
		}
		w.must(w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{g.ecosystem, g.grant, Maintainer}))
		if code := publish(g.ecosystem, g.reached); code != "" {
			t.Errorf("a grant on %s does not reach %s: %s", g.grant, g.reached, code)
		}
		if g.not != "" && publish(g.ecosystem, g.not) == "" {
			t.Errorf("a grant on %s reaches %s", g.grant, g.not)
		}
		w.must(w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{g.ecosystem, g.grant, ""}))
		if code := publish(g.ecosystem, g.reached); code != "namespace-not-yours" {
			t.Errorf("after the grant on %s was taken back: %q", g.grant, code)
		}
	}
}

func TestATeamsRolesEndWithEverythingThatTheyHangOn(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(w *world, alice evidence.Actor) error{
		"the member leaves the team":         func(w *world, a evidence.Actor) error { return w.RemoveTeamMember(w.ctx, a, "acme", "design", "bob") },
		"the member leaves the organisation": func(w *world, a evidence.Actor) error { return w.RemoveMember(w.ctx, a, "acme", "bob") },
		"the member leaves and comes back": func(w *world, a evidence.Actor) error {
			w.must(w.RemoveMember(w.ctx, a, "acme", "bob"))
			return w.SetMember(w.ctx, a, "acme", "bob", Reader)
		},
		"the team is destroyed": func(w *world, a evidence.Actor) error { return w.DestroyTeam(w.ctx, a, "acme", "design") },
		"the team is destroyed and made again": func(w *world, a evidence.Actor) error {
			w.must(w.DestroyTeam(w.ctx, a, "acme", "design"))
			w.must(w.CreateTeam(w.ctx, a, Team{Organisation: "acme", Name: "design"}))
			return w.AddTeamMember(w.ctx, a, "acme", "design", "bob")
		},
		"a nested claim gives the name to another organisation": func(w *world, a evidence.Actor) error {
			w.must(w.CreateOrganisation(w.ctx, a, "other"))
			return w.ClaimNamespace(w.ctx, a, "other", purl.OCI, "acme/web", Private)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w, alice, bob := teamWorld(t)
			w.must(w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.OCI, "acme/web", Maintainer}))
			w.must(w.Authorize(w.ctx, bob, evidence.Publish, purl.OCI, "acme/web"))
			w.must(end(w, alice))
			if err := w.Authorize(w.ctx, bob, evidence.Publish, purl.OCI, "acme/web"); err == nil {
				t.Error("bob still publishes")
			}
		})
	}
}

func TestOnlyOwnersManageTeamsAndOnlyOnTheirOwnNames(t *testing.T) {
	t.Parallel()
	w, alice, bob := teamWorld(t)
	mallory, _ := w.user("mallory")
	w.organisation(mallory, "evil", purl.NPM, "@evil", Public)
	grant := TeamGrant{purl.NPM, "@acme/ui", Maintainer}
	for _, c := range []struct {
		what string
		err  error
		code string
	}{
		{"a member makes a team", w.CreateTeam(w.ctx, bob, Team{Organisation: "acme", Name: "b"}), "organisation-not-yours"},
		{"a member adds themselves a role", w.SetTeamRole(w.ctx, bob, "acme", "design", grant), "organisation-not-yours"},
		{"an outsider makes a team", w.CreateTeam(w.ctx, mallory, Team{Organisation: "acme", Name: "b"}), "organisation-unknown"},
		{"an outsider adds a member", w.AddTeamMember(w.ctx, mallory, "acme", "design", "mallory"), "organisation-unknown"},
		{"an owner adds an outsider", w.AddTeamMember(w.ctx, alice, "acme", "design", "mallory"), "user-unknown"},
		{"a grant on another's name", w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.NPM, "@evil/x", Maintainer}), "namespace-not-yours"},
		{"a grant on nobody's name", w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.NPM, "@free/x", Reader}), "namespace-unowned"},
		{"a grant of ownership", w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.NPM, "@acme/ui", Owner}), "role-invalid"},
		{"a grant on what is no name", w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.NPM, "../x", Reader}), "name-invalid"},
		{"a team that is not there", w.SetTeamRole(w.ctx, alice, "acme", "none", grant), "team-unknown"},
		{"a team twice", w.CreateTeam(w.ctx, alice, Team{Organisation: "acme", Name: "design"}), "name-taken"},
		{"a name with a colon", w.CreateTeam(w.ctx, alice, Team{Organisation: "acme", Name: "a:b"}), "name-invalid"},
		{"a member who is in no team", w.RemoveTeamMember(w.ctx, alice, "acme", "design", "alice"), "user-unknown"},
	} {
		if codeOf(c.err) != c.code {
			t.Errorf("%s: %v, want %s", c.what, c.err, c.code)
		}
	}
	if _, err := w.Teams(w.ctx, mallory, "acme"); codeOf(err) != "organisation-unknown" {
		t.Errorf("an outsider lists teams: %v", err)
	}
}

func TestATeamIsListedWithMembersAndRoles(t *testing.T) {
	t.Parallel()
	w, alice, bob := teamWorld(t)
	w.must(w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.NPM, "@acme/ui", Maintainer}))
	w.must(w.SetTeamRole(w.ctx, alice, "acme", "design", TeamGrant{purl.OCI, "acme/web", Reader}))
	teams, err := w.Teams(w.ctx, bob, "acme")
	w.must(err)
	members, err := w.TeamMembers(w.ctx, bob, "acme", "design")
	w.must(err)
	grants, err := w.TeamGrants(w.ctx, bob, "acme", "design")
	w.must(err)
	if !reflect.DeepEqual(teams, []Team{{"acme", "design", ""}}) || !reflect.DeepEqual(members, []string{"bob"}) ||
		!reflect.DeepEqual(grants, []TeamGrant{{purl.NPM, "@acme/ui", Maintainer}, {purl.OCI, "acme/web", Reader}}) {
		t.Errorf("got %v %v %v", teams, members, grants)
	}
	people, err := w.Collaborators(w.ctx, purl.NPM, "@acme/ui")
	w.must(err)
	if !reflect.DeepEqual(people, []Member{{"alice", Owner}, {"bob", Maintainer}}) {
		t.Errorf("collaborators are %v", people)
	}
}
