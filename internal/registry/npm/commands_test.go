package npm_test

import (
	"strings"
	"testing"
	"time"
)

func lacks(t testing.TB, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(out, text) {
			t.Errorf("%q is in:\n%s", text, out)
		}
	}
}

func TestNpmManagesMembersOfAnOrganisation(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	contains(t, alice.run(".", "org", "ls", "acme"), "alice - owner", "bob - developer", "carol - reader")
	contains(t, alice.run(".", "org", "set", "acme", "mallory", "developer"), "Added mallory as developer to acme. You now have 5 members")
	contains(t, alice.run(".", "org", "ls", "@acme", "mallory"), "mallory - developer")
	contains(t, alice.run(".", "org", "rm", "acme", "mallory"), "Successfully removed mallory from acme. You now have 4 members")
	alice.fails(".", []string{"org", "set", "acme", "mallory", "admin"}, "is not a role")
	alice.fails(".", []string{"org", "rm", "acme", "mallory"}, "is not a member")
	npmClient(t, in, "bob").fails(".", []string{"org", "set", "acme", "mallory", "developer"}, "this needs owner")
	npmClient(t, in, "mallory").fails(".", []string{"org", "ls", "acme"}, "E404")
}

func TestNpmManagesTeamsAndWhatTheyMayPublish(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	in.publish(t, "@acme/icons", "1.0.0")
	alice, carol := npmClient(t, in, "alice"), npmClient(t, in, "carol")
	carol.pkg("ui", `{"name":"@acme/ui","version":"1.1.0"}`)
	carol.fails("ui", []string{"publish"}, "ask one of its owners") // carol reads

	contains(t, alice.run(".", "team", "create", "@acme:design"), "+@acme:design")
	contains(t, alice.run(".", "team", "add", "@acme:design", "carol"), "carol added to @acme:design")
	contains(t, alice.run(".", "team", "ls", "@acme"), "@acme has 1 team", "@acme:design")
	contains(t, alice.run(".", "team", "ls", "@acme:design"), "@acme:design has 1 user", "carol")
	alice.run(".", "access", "grant", "read-write", "@acme:design", "@acme/ui")
	contains(t, alice.run(".", "access", "list", "packages", "@acme:design"), "@acme/ui: read-write")
	contains(t, alice.run(".", "access", "list", "collaborators", "@acme/ui"), "alice: read-write", "carol: read-write")
	contains(t, carol.run("ui", "publish"), "+ @acme/ui@1.1.0")
	contains(t, alice.run(".", "owner", "ls", "@acme/ui"), "carol")

	alice.run(".", "access", "grant", "read-only", "@acme:design", "@acme/ui")
	carol.pkg("ui", `{"name":"@acme/ui","version":"1.2.0"}`)
	carol.fails("ui", []string{"publish"}, "403")
	alice.run(".", "access", "revoke", "@acme:design", "@acme/ui")
	lacks(t, alice.run(".", "access", "list", "packages", "@acme:design"), "@acme/ui")
	contains(t, alice.run(".", "team", "rm", "@acme:design", "carol"), "carol removed from @acme:design")
	contains(t, alice.run(".", "team", "destroy", "@acme:design"), "-@acme:design")
	alice.fails(".", []string{"team", "ls", "@acme:design"}, "has no team")

	carol.fails(".", []string{"team", "create", "@acme:mine"}, "this needs owner")
	npmClient(t, in, "mallory").fails(".", []string{"team", "ls", "@acme"}, "E404")
}

func TestNpmListsPackagesAndTheirAccess(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	in.publish(t, "wbdemo", "1.0.0")
	in.publish(t, "@hush/secret", "1.0.0")
	alice, carol := npmClient(t, in, "alice"), npmClient(t, in, "carol")
	contains(t, alice.run(".", "access", "list", "packages", "@acme"), "@acme/ui: read-write", "wbdemo: read-write", "@hush/secret: read-write")
	contains(t, alice.run(".", "access", "list", "packages"), "@acme/ui: read-write")
	contains(t, carol.run(".", "access", "list", "packages", "carol"), "@hush/secret: read-only")
	mallory := npmClient(t, in, "mallory")
	lacks(t, mallory.run(".", "access", "list", "packages"), "@hush/secret", "@acme/ui")
	mallory.fails(".", []string{"access", "list", "packages", "alice"}, "E404")

	contains(t, alice.run(".", "access", "get", "status", "@hush/secret"), "@hush/secret: private")
	contains(t, alice.run(".", "access", "set", "status=private", "@hush/secret"), "@hush/secret: private") // as it is
	alice.fails(".", []string{"access", "set", "status=public", "@hush/secret"}, "hullmark namespace publish npm")
	mallory.fails(".", []string{"access", "get", "status", "@hush/secret"}, "E404")
}

func TestNpmSaysWhatPublishingNeeds(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	alice := npmClient(t, in, "alice")
	for level, want := range map[string][2]bool{"publish": {true, false}, "automation": {true, true}, "none": {false, false}} {
		alice.run(".", "access", "set", "mfa="+level, "@acme/ui")
		in.front.mu.Lock()
		got := in.front.factors["@acme/ui"]
		in.front.mu.Unlock()
		if got != want {
			t.Errorf("mfa=%s sets %v, want %v", level, got, want)
		}
	}
	npmClient(t, in, "bob").fails(".", []string{"access", "set", "mfa=none", "@acme/ui"}, "ask one of its owners")
}

func TestNpmShowsAndSetsAProfile(t *testing.T) {
	t.Parallel()
	in := start(t)
	alice := npmClient(t, in, "alice")
	contains(t, alice.run(".", "profile", "get"), "name: alice", "email: alice@acme.example (verified)", "two-factor auth: disabled")
	contains(t, alice.run(".", "profile", "set", "email", "a@acme.example"), "Set email to a@acme.example")
	alice.fails(".", []string{"profile", "set", "fullname", "Alice"}, `accounts here have no "fullname"`)
}

func TestNpmItselfPicksTheVersionThatIsOldEnough(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.Ahead(-72 * time.Hour)
	in.publish(t, "wbdemo", "1.0.0")
	in.Ahead(0)
	in.publish(t, "wbdemo", "1.1.0")
	bob := npmClient(t, in, "bob")
	bob.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	bob.run("app", "install", "wbdemo", "--min-release-age=2")
	contains(t, bob.run("app", "ls"), "wbdemo@1.0.0")
	bob.run("app", "install", "wbdemo@latest")
	contains(t, bob.run("app", "ls"), "wbdemo@1.1.0")
	bob.fails("app", []string{"install", "wbdemo@1.1.0", "--min-release-age=2", "--cache", bob.home + "/fresh"}, "ETARGET")
}
