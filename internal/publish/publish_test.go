package publish_test

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

const name = "@acme/ui"

// world is the stage over a real record and real accounts: alice and bob may publish @acme/ui, carol may
// read it, and mallory is nobody there.
type world struct {
	*publish.Service
	t        *testing.T
	record   *evidence.Record
	accounts *account.Service
	people   map[string]evidence.Actor
	size     int64         // bytes of what is published
	passed   *atomic.Int64 // nanoseconds by which the record's clock goes before the machine's
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.passed.Add(int64(d)) }

func newWorld(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	check(t, db.Migrate(t.Context(), evidence.Schema(), account.Schema()))
	blobs, err := dir.Open(folder)
	check(t, err)
	passed := new(atomic.Int64)
	record, err := evidence.Open(t.Context(), db, blobs, clock.Func(func() time.Time { return time.Now().UTC().Add(time.Duration(passed.Load())) }))
	check(t, err)
	accounts := account.New(db, clock.System{}, rand.Reader)
	token, _, err := accounts.Bootstrap(t.Context())
	check(t, err)
	admin, err := accounts.AuthenticateSecret(t.Context(), "token", token, "127.0.0.1:1")
	check(t, err)
	w := &world{publish.New(record, accounts), t, record, accounts, map[string]evidence.Actor{"admin": admin}, 1, passed}
	check(t, accounts.CreateUser(t.Context(), admin, "alice", ""))
	w.people["alice"] = w.login(accounts, "alice")
	check(t, accounts.CreateOrganisation(t.Context(), w.people["alice"], "acme"))
	check(t, accounts.ClaimNamespace(t.Context(), w.people["alice"], "acme", purl.NPM, "@acme", account.Private))
	for user, role := range map[string]account.Role{"bob": account.Maintainer, "carol": account.Reader, "mallory": ""} {
		check(t, accounts.CreateUser(t.Context(), admin, user, ""))
		if role != "" {
			check(t, accounts.SetMember(t.Context(), w.people["alice"], "acme", user, role))
		}
		w.people[user] = w.login(accounts, user)
	}
	return w
}

func (w *world) login(accounts *account.Service, user string) evidence.Actor {
	w.t.Helper()
	secret, _, err := accounts.CreateToken(w.t.Context(), w.people["admin"], account.Token{Account: user, Scope: account.Scope{Permission: evidence.Own}})
	check(w.t, err)
	actor, err := accounts.AuthenticateSecret(w.t.Context(), "token", secret, "127.0.0.1:1")
	check(w.t, err)
	return actor
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("err = %v, want code %s", err, code)
	}
}

func ui(version string) purl.PURL { return purl.New(purl.NPM, name, version) }

// holding returns an inventory of files ("path=content") and one hook ("postinstall: command file").
func holding(hook string, files ...string) *evidence.Inventory {
	inv := &evidence.Inventory{Analyser: "test"}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		inv.Files = append(inv.Files, evidence.File{Path: path, Size: int64(len(content)), SHA256: digest.FromBytes([]byte(content))})
	}
	if hook != "" {
		kind, command, _ := strings.Cut(hook, ": ")
		words := strings.Fields(command)
		inv.Hooks = []evidence.InstallHook{{Name: kind, Command: command, Files: words[len(words)-1:]}}
	}
	return inv
}

// publish does what the registry core does with an upload of alice's.
func (w *world) publish(version string, inv *evidence.Inventory, tags ...string) *publish.Finding {
	w.t.Helper()
	finding, err := w.Review(w.t.Context(), publish.Candidate{
		Actor: w.people["alice"], Ecosystem: purl.NPM, Name: name, Version: version, PURL: ui(version), Inventory: inv, Order: cmp.Compare[string],
	})
	check(w.t, err)
	w.take(version, inv, finding, tags...)
	return finding
}

// stage puts a version that was staged on the record.
func (w *world) stage(version string, finding *publish.Finding, tags ...string) {
	w.t.Helper()
	w.take(version, holding(""), finding, tags...)
}

func (w *world) take(version string, inv *evidence.Inventory, finding *publish.Finding, tags ...string) {
	w.t.Helper()
	stored, err := w.record.StoreInventory(w.t.Context(), inv)
	check(w.t, err)
	d := digest.FromBytes([]byte(version))
	event, decision := evidence.Published, evidence.Decision{Gate: "publish", Action: "publish", Verdict: "allow", Actor: w.people["alice"]}
	if finding.Waits() {
		event, decision.Verdict, decision.Code, decision.Input, decision.Reasons = evidence.Held, "hold", finding.Code, finding.Input, finding.Reasons
		decision.ID = finding.ID
	}
	w.append(version, evidence.Publication{
		Event: event, Ecosystem: purl.NPM, Name: name, Version: version, Tags: tags, Artifact: d, Size: w.size, Actor: w.people["alice"],
	}, decision, evidence.Contents{Of: "release", Analyser: "test", Inventory: stored, Files: len(inv.Files)})
}

func (w *world) append(version string, predicates ...evidence.Predicate) {
	w.t.Helper()
	var drafts []evidence.Draft
	for _, p := range predicates {
		drafts = append(drafts, evidence.Draft{
			Subjects: []evidence.Subject{evidence.About(ui(version), digest.FromBytes([]byte(version)))}, Predicate: p,
			Issuer: w.people["alice"].Issuer(), Assurance: evidence.Authenticated,
		})
	}
	_, err := w.record.Append(w.t.Context(), nil, drafts...)
	check(w.t, err)
}

func (w *world) wantHeld(f *publish.Finding, code string) {
	w.t.Helper()
	switch {
	case code == "" && f.Waits():
		w.t.Errorf("held: %s", f.Summary)
	case code != "" && !f.Waits():
		w.t.Errorf("not held, want %s", code)
	case code != "" && f.Code != code:
		w.t.Errorf("held for %s, want %s", f.Code, code)
	}
}

func (w *world) state(version string) string {
	w.t.Helper()
	var state string
	check(w.t, w.record.DB().Query().QueryRow(`SELECT state FROM release WHERE version = $1`, version).Scan(&state))
	return state
}

func TestAVersionThatRunsSomethingElseOnInstallWaits(t *testing.T) {
	t.Parallel()
	quiet := holding("", "index.js=1")
	loud := holding("postinstall: node x.js", "index.js=1", "x.js=a")
	for _, c := range []struct {
		name   string
		before *evidence.Inventory
		after  *evidence.Inventory
		want   string
	}{
		{"the first version may run what it likes", nil, loud, ""},
		{"nothing before and nothing after", quiet, holding("", "index.js=2"), ""},
		{"a new hook", quiet, loud, publish.HookNew},
		{"the same hook", loud, holding("postinstall: node x.js", "index.js=2", "x.js=a"), ""},
		{"another command", loud, holding("postinstall: node -r x.js", "index.js=1", "x.js=a"), publish.HookChanged},
		{"the same command, and its file is another", loud, holding("postinstall: node x.js", "index.js=1", "x.js=b"), publish.HookChanged},
		{"the same command under another name", loud, holding("preinstall: node x.js", "index.js=1", "x.js=a"), publish.HookNew},
		{"a hook less", loud, quiet, ""},
		{"a command that runs no file", quiet, holding("postinstall: curl evil"), publish.HookNew},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.before != nil {
				w.publish("1.0.0", c.before)
			}
			w.wantHeld(w.publish("1.1.0", c.after), c.want)
		})
	}
}

func TestTheFindingSaysWhatAPersonHasToLookAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("1.0.0", holding("", "index.js=1", "old.js=1"))
	f := w.publish("1.1.0", holding("postinstall: node x.js", "index.js=22", "x.js=a"))
	got := strings.Join(f.Reasons, "\n")
	for _, want := range []string{
		"it adds an install script (postinstall) compared with 1.0.0",
		"postinstall added: node x.js (runs x.js)",
		"~ index.js (1 -> 2 bytes, sha256:", "- old.js (1 bytes)", "+ x.js (1 bytes, sha256:",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the reasons lack %q:\n%s", want, got)
		}
	}
}

func TestAVersionOfAnOldBranchIsComparedWithThatBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("1.0.0", holding(""))
	w.wantHeld(w.publish("2.0.0", holding("postinstall: node x.js", "x.js=a")), publish.HookNew)
	_, err := w.Approve(t.Context(), w.people["bob"], ui("2.0.0"), "ok")
	check(t, err)
	w.wantHeld(w.publish("2.0.1", holding("postinstall: node x.js", "x.js=a")), "")
	w.wantHeld(w.publish("1.0.1", holding("postinstall: node x.js", "x.js=a")), publish.HookNew)
	w.wantHeld(w.publish("0.9.0", holding("postinstall: node x.js", "x.js=a")), "") // no branch: the newest
}

func TestWhatNobodyMayHaveIsNoPrecedent(t *testing.T) {
	t.Parallel()
	hooked := func() *evidence.Inventory { return holding("postinstall: node x.js", "x.js=a") }
	t.Run("a held version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.publish("1.0.0", holding(""))
		w.publish("1.1.0", hooked())
		w.wantHeld(w.publish("1.2.0", hooked()), publish.HookNew)
		check(t, w.Reject(t.Context(), w.people["bob"], ui("1.1.0"), "worm"))
		w.wantHeld(w.publish("1.3.0", hooked()), publish.HookNew)
	})
	t.Run("a recalled version", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.publish("1.0.0", hooked())
		w.append("1.0.0", evidence.Recall{Reason: "worm", Actor: w.people["alice"]})
		w.wantHeld(w.publish("1.1.0", hooked()), publish.HookNew)
	})
	t.Run("a name whose versions were all taken away", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.publish("1.0.0", holding(""))
		w.append("1.0.0", evidence.Publication{Event: evidence.Withdrawn, Ecosystem: purl.NPM, Name: name, Version: "1.0.0"})
		w.wantHeld(w.publish("1.1.0", hooked()), publish.HookNew)
	})
}

func TestAHugeDifferenceFitsIntoAStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("1.0.0", holding(""))
	inv := holding("")
	for i := range 3000 {
		path := fmt.Sprintf("%s/%d\n.js", strings.Repeat("ü", 200), i)
		inv.Files = append(inv.Files, evidence.File{Path: path, Size: 1, SHA256: digest.FromBytes([]byte(path))})
		inv.Hooks = append(inv.Hooks, evidence.InstallHook{Name: strings.Repeat("n", 1000) + path, Command: strings.Repeat("\"\\\x01é", 500), Files: []string{path}})
	}
	w.wantHeld(w.publish("1.1.0", inv), publish.HookNew)
	h, err := w.Show(t.Context(), w.people["bob"], ui("1.1.0"))
	check(t, err)
	if h.Diff.Added != 3000 || len(h.Diff.Files) != 500 || len(h.Diff.Hooks) != 200 {
		t.Errorf("%d files added, %d listed, %d hooks", h.Diff.Added, len(h.Diff.Files), len(h.Diff.Hooks))
	}
}

func TestOnlyASecondPersonWhoMayPublishApproves(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.publish("1.0.0", holding(""))
	w.publish("1.1.0", holding("postinstall: node x.js", "x.js=a"), "latest", "next")
	for who, code := range map[string]string{
		"alice": "approval-second-person", "carol": "namespace-not-yours", "mallory": "name-unknown", "admin": "namespace-not-yours", "": "login-required",
	} {
		_, err := w.Approve(ctx, w.people[who], ui("1.1.0"), "looks fine")
		wantCode(t, err, code)
	}
	_, err := w.Approve(ctx, w.people["bob"], ui("1.1.0"), " ")
	wantCode(t, err, "reason-invalid")
	_, err = w.Approve(ctx, w.people["bob"], ui("9.9.9"), "ok")
	wantCode(t, err, "version-unknown")
	if w.state("1.1.0") != "held" {
		t.Fatalf("it is %s", w.state("1.1.0"))
	}
	made, err := w.Approve(ctx, w.people["bob"], ui("1.1.0"), "read x.js")
	check(t, err)
	var tags int
	check(t, w.record.DB().Query().QueryRow(`SELECT count(*) FROM tag WHERE version = '1.1.0'`).Scan(&tags))
	if !made.Released || w.state("1.1.0") != "active" || tags != 2 {
		t.Errorf("%+v, %s, %d tags", made, w.state("1.1.0"), tags)
	}
}

func TestApprovingTwiceIsApprovingOnce(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.publish("1.0.0", holding(""))
	first, err := w.Approve(ctx, w.people["bob"], ui("1.0.0"), "read it")
	check(t, err)
	head := w.record.Head()
	second, err := w.Approve(ctx, w.people["bob"], ui("1.0.0"), "read it again")
	check(t, err)
	if first.Released || second != first || w.record.Head() != head {
		t.Errorf("%+v\n%+v\n%d statements more", first, second, w.record.Head()-head)
	}
}

func TestWhatIsRecalledIsNotApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("1.0.0", holding(""))
	w.append("1.0.0", evidence.Recall{Reason: "worm", Actor: w.people["alice"]})
	_, err := w.Approve(t.Context(), w.people["bob"], ui("1.0.0"), "ok")
	wantCode(t, err, "release-recalled")
}

func TestHoldsAreShownToWhoMayPublishTheName(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.publish("1.0.0", holding(""))
	w.publish("1.1.0", holding("postinstall: node x.js", "x.js=a"), "latest")
	w.publish("1.2.0", holding("postinstall: node x.js", "x.js=a"))
	for who, want := range map[string]int{"alice": 2, "bob": 2, "admin": 2, "carol": 0, "mallory": 0, "": 0} {
		found, _, _, err := w.Holds(ctx, w.people[who], -1, 10)
		if err != nil || len(found) != want {
			t.Errorf("%s sees %d holds, %v; want %d", who, len(found), err, want)
		}
		if _, err := w.Show(ctx, w.people[who], ui("1.1.0")); (err == nil) != (want > 0) {
			t.Errorf("%s: %v", who, err)
		}
	}
	page, scanned, more, err := w.Holds(ctx, w.people["bob"], -1, 1)
	if err != nil || len(page) != 1 || !more || page[0].Version != "1.1.0" || fmt.Sprint(page[0].Tags) != "[latest]" || page[0].Code != publish.HookNew {
		t.Errorf("%+v, %v, %v", page, more, err)
	}
	if page, _, more, err = w.Holds(ctx, w.people["bob"], scanned, 1); err != nil || len(page) != 1 || more || page[0].Version != "1.2.0" {
		t.Errorf("%+v, %v, %v", page, more, err)
	}
	_, err = w.Show(ctx, w.people["bob"], ui("1.0.0"))
	wantCode(t, err, "hold-unknown")
}

func TestOfApprovingAndRejectingAtOnceExactlyOneHappens(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.publish("1.0.0", holding(""))
	for i := range 10 {
		version := fmt.Sprintf("1.1.%d", i)
		w.publish(version, holding("postinstall: node x.js", "x.js="+version))
		var approved, rejected error
		var wg sync.WaitGroup
		wg.Go(func() { _, approved = w.Approve(ctx, w.people["bob"], ui(version), "ok") })
		wg.Go(func() { rejected = w.Reject(ctx, w.people["alice"], ui(version), "mistake") })
		wg.Wait()
		if (approved == nil) == (rejected == nil) || (approved == nil) != (w.state(version) == "active") {
			t.Errorf("approve: %v, reject: %v, and it is %s", approved, rejected, w.state(version))
		}
	}
}
