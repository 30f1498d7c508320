package account

import (
	"fmt"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// every is all the permissions, weakest first.
var every = []evidence.Permission{evidence.Read, evidence.Publish, evidence.Own}

// The names that the matrix asks about: two namespaces of the organisation that its accounts have
// their role in, two of somebody else's, and one of nobody's.
var matrixNames = []struct {
	name    string
	private bool
	holder  string // "own", "other", "none"
}{
	{"@acme/ui", true, "own"},
	{"acme-open", false, "own"},
	{"@rival/ui", true, "other"},
	{"rival-open", false, "other"},
	{"@nobody/ui", false, "none"},
}

// matrixWant is what the rules say, written independently of the code: the code of the refusal or
// nothing.
func matrixWant(role Role, admin bool, scope Scope, perm evidence.Permission, name, holder string, private bool) string {
	anonymous := scope.Permission == ""
	rank := map[evidence.Permission]int{evidence.Read: 1, evidence.Publish: 2, evidence.Own: 3}
	most := map[Role]int{Reader: 1, Maintainer: 2, Owner: 3}[role]
	switch {
	case perm == evidence.Read && !private:
		return ""
	case anonymous:
		return "login-required"
	case holder == "none":
		return "namespace-unowned"
	case holder == "other":
		most = 0
	}
	if rank[perm] > most && !(perm == evidence.Read && admin) {
		if perm == evidence.Read {
			return "name-unknown"
		}
		return "namespace-not-yours"
	}
	inScope := rank[scope.Permission] >= rank[perm] && scope.Ecosystem != "oci" &&
		(len(scope.Names) == 0 || scope.Names[0] == "@acme/*" && name == "@acme/ui")
	if !inScope {
		return "token-scope"
	}
	return ""
}

var matrixScopes = map[string]Scope{
	"an unrestricted token":         {Permission: evidence.Own},
	"a publishing token":            {Permission: evidence.Publish},
	"a reading token":               {Permission: evidence.Read},
	"an oci token":                  {Permission: evidence.Own, Ecosystem: "oci"},
	"a token for the scope":         {Permission: evidence.Own, Ecosystem: "npm", Names: []string{"@acme/*"}},
	"a token for another scope":     {Permission: evidence.Own, Names: []string{"@other/*"}},
	"a publishing token for a name": {Permission: evidence.Publish, Names: []string{"@acme/*"}},
	"no credential":                 {},
}

// TestWhoMayDoWhat walks role × whose name × permission × token scope × anonymous.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, _ := w.user("boss")
	rival, _ := w.user("rival")
	w.organisation(boss, "acme", "npm", "@acme", Private)
	w.must(w.ClaimNamespace(w.ctx, boss, "acme", "npm", "acme-open", Public))
	w.organisation(rival, "rivals", "npm", "@rival", Private)
	w.must(w.ClaimNamespace(w.ctx, rival, "rivals", "npm", "rival-open", Public))

	refusals := map[string]int{}
	for _, role := range []Role{"", Reader, Maintainer, Owner, "site administrator"} {
		user := matrixUser(w, boss, role)
		for title, scope := range matrixScopes {
			actor := matrixActor(w, user, scope)
			for _, n := range matrixNames {
				for _, perm := range every {
					want := matrixWant(role, role == "site administrator", scope, perm, n.name, n.holder, n.private)
					refusals[want]++
					if got := codeOf(w.Authorize(w.ctx, actor, perm, "npm", n.name)); got != want {
						t.Errorf("%q with %s, %s %s: %q, want %q", role, title, perm, n.name, got, want)
					}
				}
			}
		}
	}
	t.Logf("cells by outcome: %v", refusals)
}

// matrixUser returns the name of an account that has the role in acme.
func matrixUser(w *world, boss evidence.Actor, role Role) string {
	switch role {
	case "site administrator":
		return "admin"
	case "":
		w.user("outsider")
		return "outsider"
	}
	w.user(string(role))
	w.must(w.SetMember(w.ctx, boss, "acme", string(role), role))
	return string(role)
}

func matrixActor(w *world, user string, scope Scope) evidence.Actor {
	if scope.Permission == "" {
		return evidence.Actor{}
	}
	return w.login(user, w.token(w.admin, Token{Account: user, Scope: scope}))
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.As(err).Code
}

func TestAnUnownedNameIsRefusedWithTheSentenceThatSaysHowToClaimIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	for _, c := range []struct{ ecosystem, name, root string }{
		{"npm", "@acme/ui", "@acme"},
		{"npm", "left-pad", "left-pad"},
		{"oci", "acme/team/app", "acme"},
	} {
		err := w.Authorize(w.ctx, alice, evidence.Publish, c.ecosystem, c.name)
		want := fmt.Sprintf("%q is not owned by anyone here; claim it with: hullmark namespace claim %s %s --org <your organisation>",
			c.root, c.ecosystem, c.root)
		if got := fault.As(err); got.Text != want || got.Kind != fault.Denied {
			t.Errorf("%s: %s %q, want %q", c.name, got.Kind, got.Text, want)
		}
	}
}

func TestTheKindOfARefusalSaysWhetherALoginWouldHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	for title, c := range map[string]struct {
		actor evidence.Actor
		want  int
	}{
		"nobody is asked to log in":               {evidence.Actor{}, 401},
		"an outsider learns nothing":              {bob, 404},
		"a member reads":                          {alice, 200},
		"a site administrator reads":              {w.admin, 200},
		"an account without credential is no one": {evidence.Actor{Account: "alice"}, 401},
		"somebody else's credential is no one's":  {evidence.Actor{Account: "alice", Credential: bob.Credential}, 401},
	} {
		if got := statusOf(w.Authorize(w.ctx, c.actor, evidence.Read, "npm", "@acme/ui")); got != c.want {
			t.Errorf("%s: %d, want %d", title, got, c.want)
		}
	}
}

func statusOf(err error) int {
	if err == nil {
		return 200
	}
	return fault.HTTPStatus(err)
}

func TestANameThatCannotBePublishedIsInvalidForWritersAndUnknownToReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	for _, c := range []struct{ ecosystem, name string }{
		{"npm", ""}, {"npm", "@acme"}, {"npm", "@acme/"}, {"npm", "@acme/../x"}, {"npm", "@acme/a/b"}, {"npm", "@Acme/ui"},
		{"npm", "node_modules"}, {"npm", ".hidden"}, {"npm", "a\nb"}, {"npm", "@acme%2fui"},
		{"oci", ""}, {"oci", "/acme"}, {"oci", "acme/"}, {"oci", "acme//x"}, {"oci", "acme/.."}, {"oci", "Acme/x"}, {"oci", "acme/_x"},
	} {
		w.refused(w.Authorize(w.ctx, alice, evidence.Publish, c.ecosystem, c.name), "name-invalid")
		w.refused(w.Authorize(w.ctx, alice, evidence.Read, c.ecosystem, c.name), "name-unknown")
	}
	w.refused(w.Authorize(w.ctx, alice, evidence.Read, "cobol", "x"), "ecosystem-unknown")
}

func TestAPermissionThatDoesNotExistIsNeverGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Public)
	w.refused(w.Authorize(w.ctx, alice, "", "npm", "@acme/ui"), "namespace-not-yours")
	w.refused(w.Authorize(w.ctx, alice, "everything", "npm", "@acme/ui"), "namespace-not-yours")
}

func TestAChangeOfRightsIsInForceForTheNextRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	publish := func() error { return w.Authorize(w.ctx, bob, evidence.Publish, "npm", "@acme/ui") }
	w.refused(publish(), "namespace-unowned")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	w.refused(publish(), "namespace-not-yours")
	w.must(w.SetMember(w.ctx, alice, "acme", "bob", Maintainer))
	w.must(publish())
	w.must(w.SetMember(w.ctx, alice, "acme", "bob", Reader))
	w.refused(publish(), "namespace-not-yours")
	w.must(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "bob", Maintainer))
	w.must(publish())
	w.refused(w.Authorize(w.ctx, bob, evidence.Publish, "npm", "@acme/other"), "namespace-not-yours")
	w.must(w.SetPackageRole(w.ctx, alice, "npm", "@acme/ui", "bob", ""))
	w.must(w.RemoveMember(w.ctx, alice, "acme", "bob"))
	w.refused(w.Authorize(w.ctx, bob, evidence.Read, "npm", "@acme/ui"), "name-unknown")
	w.must(w.SetVisibility(w.ctx, alice, "npm", "@acme", Public))
	w.must(w.Authorize(w.ctx, bob, evidence.Read, "npm", "@acme/ui"))
}

// BenchmarkCachedRequest is what every authenticated request pays.
func BenchmarkCachedRequest(b *testing.B) {
	w := newWorld(b)
	alice, secret := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	b.ReportAllocs()
	for b.Loop() {
		actor, err := w.AuthenticateSecret(w.ctx, "token", secret, here)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Authorize(w.ctx, actor, evidence.Publish, "npm", "@acme/ui"); err != nil {
			b.Fatal(err)
		}
	}
}
