package report_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// accounts: names that begin with "old" are established, root administers, and "@secret/…" is hidden.
type accounts struct{ told map[string][]string }

func (a *accounts) Authorize(_ context.Context, _ evidence.Actor, perm evidence.Permission, _, name string) error {
	if perm == evidence.Own {
		return fault.New(fault.Denied, "namespace-not-yours", "%s is not yours", name)
	}
	if strings.HasPrefix(name, "@secret/") {
		return fault.New(fault.NotFound, "name-unknown", "there is no %s", name)
	}
	return nil
}

func (a *accounts) MayStop(ctx context.Context, actor evidence.Actor, ecosystem, name string) error {
	return a.Authorize(ctx, actor, evidence.Own, ecosystem, name)
}

func (a *accounts) RequireAdmin(_ context.Context, actor evidence.Actor) error {
	if actor.Account != "root" {
		return fault.New(fault.Denied, "admin-required", "you are not root")
	}
	return nil
}

func (a *accounts) Administer(ctx context.Context, actor evidence.Actor) error {
	return a.RequireAdmin(ctx, actor)
}

func (a *accounts) Established(_ context.Context, actor evidence.Actor) (bool, error) {
	return strings.HasPrefix(actor.Account, "old"), nil
}

func (a *accounts) TellAdmins(ctx context.Context, kind string, data map[string]any) error {
	return a.Tell(ctx, "root", kind, data)
}

func (a *accounts) Tell(_ context.Context, account, kind string, _ map[string]any) error {
	a.told[account] = append(a.told[account], kind)
	return nil
}

type world struct {
	*report.Service
	t        *testing.T
	accounts *accounts
	recalls  *recall.Service
	ui, sly  purl.PURL
}

func newWorld(t *testing.T, at int) *world {
	t.Helper()
	record, _ := tracetest.Open(t, report.Schema())
	b := tracetest.NewBuilder(t.Context(), record)
	w := &world{t: t, accounts: &accounts{told: map[string][]string{}}}
	w.ui, w.sly = b.Release("alice", "@alice/ui", "1.0.0", nil), b.Release("mallory", "@secret/sly", "1.0.0", nil)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	w.recalls = recall.New(record, w.accounts, nil)
	w.Service = report.New(report.Config{DB: record.DB(), Accounts: w.accounts, Recalls: w.recalls,
		Settings: report.Settings{QuarantineAt: at}, Clock: clock.System{}, Random: rand.Reader})
	return w
}

func by(name string) evidence.Actor { return evidence.Actor{Account: name} }

func (w *world) report(name string) report.Made {
	w.t.Helper()
	m, err := w.Make(w.t.Context(), by(name), string(w.ui), "it reads ~/.npmrc on install")
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func want(t *testing.T, err error, code string) {
	t.Helper()
	if got := fault.As(err).Code; err == nil || got != code {
		t.Errorf("got %v (%s), want %s", err, got, code)
	}
}

func TestAReportReachesAdministratorsAndItsMakerHearsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	made := w.report("bob")
	if made.Quarantined || made.Weight != 1 {
		t.Errorf("a report of one newcomer, without the setting: %+v", made)
	}
	if got := w.accounts.told["root"]; len(got) != 1 || got[0] != "package-reported" {
		t.Errorf("administrators were told %v", got)
	}
	_, err := w.List(t.Context(), by("alice"), report.Open)
	want(t, err, "admin-required") // the owner does not learn who it was
	open, err := w.List(t.Context(), by("root"), report.Open)
	if err != nil || len(open) != 1 || open[0].Account != "bob" || open[0].Reason != "it reads ~/.npmrc on install" {
		t.Fatalf("open reports: %+v, %v", open, err)
	}
	_, err = w.Close(t.Context(), by("alice"), made.ID, report.Unfounded, "")
	want(t, err, "admin-required")
	if _, err := w.Close(t.Context(), by("root"), made.ID, report.Upheld, "recalled"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Close(t.Context(), by("root"), made.ID, report.Unfounded, "")
	want(t, err, "report-decided")
	if got := w.accounts.told["bob"]; len(got) != 1 || got[0] != "report-decided" {
		t.Errorf("the reporter was told %v", got)
	}
	if again := w.report("bob"); again.Weight != 3 {
		t.Errorf("after an upheld report the next weighs %d, want 3", again.Weight)
	}
}

func TestWhatCannotBeReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for _, c := range []struct{ name, account, subject, reason, code string }{
		{"by nobody", "", string(w.ui), "bad", "login-required"},
		{"without a reason", "bob", string(w.ui), "  ", "reason-invalid"},
		{"with a very long reason", "bob", string(w.ui), strings.Repeat("x", 2001), "reason-invalid"},
		{"what is no purl", "bob", "@alice/ui", "bad", "purl-invalid"},
		{"what was never here", "bob", "pkg:npm/nothing@1.0.0", "bad", "release-unknown"},
		{"what the reporter may not see", "bob", string(w.sly), "bad", "name-unknown"},
	} {
		_, err := w.Make(t.Context(), by(c.account), c.subject, c.reason)
		t.Run(c.name, func(t *testing.T) { want(t, err, c.code) })
	}
	w.report("bob")
	_, err := w.Make(t.Context(), by("bob"), string(w.ui), "and again")
	want(t, err, "report-exists")
	if _, err := w.Make(t.Context(), by("bob"), "pkg:npm/%40alice/ui", "every version"); err != nil {
		t.Errorf("a whole name: %v", err)
	}
}

func TestReportsOfOneAccountAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	for range 20 {
		made := w.report("bob")
		if _, err := w.Close(t.Context(), by("root"), made.ID, report.Unfounded, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Make(t.Context(), by("bob"), string(w.ui), "and again")
	want(t, err, "report-limit")
}

func TestWeightyReportsQuarantineOnlyWhereThatIsSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	if made := w.report("old-hand"); made.Quarantined || made.Weight != 2 {
		t.Errorf("one person alone: %+v", made)
	}
	if made := w.report("bob"); made.Quarantined {
		t.Errorf("weight 3 of 4: %+v", made)
	}
	made := w.report("older")
	if !made.Quarantined {
		t.Fatalf("weight 5 of 4, three people: %+v", made)
	}
	inForce, err := w.recalls.InForce(t.Context())
	if err != nil || len(inForce) != 1 || inForce[0].Account != "" || strings.Join(inForce[0].Gates, " ") != "publish pull" {
		t.Fatalf("recalls in force: %+v, %v", inForce, err)
	}
	if again := w.report("bill"); !again.Quarantined {
		t.Errorf("a report of what is stopped already: %+v", again)
	}
	want(t, w.recalls.Lift(t.Context(), by(""), string(w.ui), "x"), "namespace-not-yours")
	if err := w.recalls.Lift(t.Context(), by("root"), string(w.ui), "a false alarm"); err != nil {
		t.Errorf("an administrator lifts it alone: %v", err)
	}
}

func TestWhoReportedFalselyWeighsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	made := w.report("liar")
	if _, err := w.Close(t.Context(), by("root"), made.ID, report.Unfounded, "it is not"); err != nil {
		t.Fatal(err)
	}
	if again := w.report("liar"); again.Weight != 0 {
		t.Errorf("weighs %d", again.Weight)
	}
	if made := w.report("bob"); made.Quarantined {
		t.Error("a report that weighs nothing was counted as a person")
	}
}
