package fleet_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

func (w *world) report(m member, batch string, drafts ...*fleetv1.Draft) (*fleetv1.ReportResponse, error) {
	w.t.Helper()
	answer, err := m.Report(w.t.Context(), connect.NewRequest(&fleetv1.ReportRequest{Batch: batch, Drafts: drafts}))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

func placement(t *testing.T, container string) *fleetv1.Draft {
	return draft(t, "image", evidence.Placement{WorkloadRef: evidence.WorkloadRef{Namespace: "shop", Kind: "Deployment", Name: "web"}, Container: container, Running: true})
}

func TestABatchIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent, other := w.enrol(account.AgentMember, "node-1"), w.enrol(account.AgentMember, "node-2")
	first, err := w.report(agent, "b1", placement(t, "c1"), placement(t, "c2"))
	if err != nil || len(first.Seqs) != 2 {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := w.report(agent, "b1", placement(t, "c1"), placement(t, "c2"))
	if err != nil || len(again.Seqs) != 0 || w.app.Record.Head() != first.Head {
		t.Errorf("%v, %v: the record has %d statements, not %d", again, err, w.app.Record.Head(), first.Head)
	}
	if theirs, err := w.report(other, "b1", placement(t, "c1")); err != nil || len(theirs.Seqs) != 1 {
		t.Errorf("another's batch of that name: %v, %v", theirs, err)
	}
}

func TestAReportIsIssuedUnderItsSendersName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	lie := draft(t, "image", evidence.Placement{WorkloadRef: evidence.WorkloadRef{Cluster: "theirs"}, Node: "node-2", Container: "c", Running: true})
	got, err := w.report(agent, "b1", lie)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := w.app.Record.Entries(t.Context(), got.Seqs[0], got.Seqs[0]+1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := evidence.DecodeStatement(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	p, err := evidence.Decode[evidence.Placement](s)
	if err != nil || s.Issuer != (evidence.Issuer{Kind: evidence.Agent, ID: "agent/node-1"}) || p.Node != "node-1" || p.Cluster != "" {
		t.Errorf("%+v %+v, %v", s.Issuer, p, err)
	}
}

func TestWhatIsNotRightIsRefusedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent, admission := w.enrol(account.AgentMember, "node-1"), w.enrol(account.AdmissionMember, "prod")
	good := placement(t, "c1")
	change := func(fn func(*fleetv1.Draft)) *fleetv1.Draft {
		d := placement(t, "c1")
		fn(d)
		return d
	}
	many := make([]*fleetv1.Draft, 501)
	for i := range many {
		many[i] = good
	}
	head := w.app.Record.Head()
	for title, c := range map[string]struct {
		from   member
		batch  string
		drafts []*fleetv1.Draft
		says   string
	}{
		"no name":                  {agent, "", []*fleetv1.Draft{good}, "a batch has a name"},
		"a long name":              {agent, strings.Repeat("x", 65), []*fleetv1.Draft{good}, "a batch has a name"},
		"too many":                 {agent, "b", many, "at most 500"},
		"the second is wrong":      {agent, "b", []*fleetv1.Draft{good, change(func(d *fleetv1.Draft) { d.Subjects = nil })}, "statement 1"},
		"a type that is not":       {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.PredicateType = "x" })}, "does not report"},
		"a recall":                 {agent, "b", []*fleetv1.Draft{draft(t, "x", evidence.Recall{Reason: "mine"})}, "does not report"},
		"an admission's placement": {admission, "b", []*fleetv1.Draft{good}, "does not report"},
		"an agent's admission":     {agent, "b", []*fleetv1.Draft{draft(t, "x", evidence.Decision{Gate: "admit", Verdict: "allow"})}, "run gate"},
		"no verdict":               {admission, "b", []*fleetv1.Draft{draft(t, "x", evidence.Decision{Gate: "admit"})}, "verdict"},
		"a head to come":           {admission, "b", []*fleetv1.Draft{draft(t, "x", evidence.Decision{Gate: "admit", Verdict: "allow", Head: 1 << 40})}, "head"},
		"a receipt for nothing":    {agent, "b", []*fleetv1.Draft{receipt(t, 1<<40)}, "names a recall"},
		"not JSON":                 {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.Predicate = []byte("{") })}, "cannot be read"},
		"a field that is not":      {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.Predicate = []byte(`{"runing": true}`) })}, "runing"},
		"two values":               {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.Predicate = append(d.Predicate, "{}"...) })}, "something follows"},
		"a digest that is not":     {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.Subjects[0].Digest = "sha256:0" })}, "not a digest"},
		"a name with an escape":    {agent, "b", []*fleetv1.Draft{change(func(d *fleetv1.Draft) { d.Subjects[0].Name = "\x1b[2J" })}, "control characters"},
		"too long a predicate":     {agent, "b", []*fleetv1.Draft{draft(t, "x", evidence.Gap{What: strings.Repeat("x", 65<<10)})}, "longer than"},
		"no container":             {agent, "b", []*fleetv1.Draft{draft(t, "x", evidence.Placement{Running: true})}, "names the container"},
		"seen before it began":     {agent, "b", []*fleetv1.Draft{draft(t, "x", evidence.Behaviour{Fact: "executed", Count: 1})}, "seen first"},
	} {
		_, err := w.report(c.from, c.batch, c.drafts...)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", title, err, c.says)
		}
	}
	if w.app.Record.Head() != head {
		t.Errorf("%d statements were taken", w.app.Record.Head()-head)
	}
}

func TestManyReportsAreFewCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	const callers = 300
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if _, err := w.report(agent, fmt.Sprint(i), placement(t, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var statements, commits int // the statements of one append have one time
	err := w.app.DB.Query().QueryRowContext(t.Context(), `SELECT count(*), count(DISTINCT at) FROM statement WHERE predicate_type = $1`,
		evidence.PlacementType).Scan(&statements, &commits)
	if err != nil || statements != callers || commits > callers/2 {
		t.Errorf("%d statements in %d commits, %v", statements, commits, err)
	}
}

func TestWhatTheDiskDoesNotTakeIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	w.pages("page_count()")
	big := draft(t, "x", evidence.Gap{What: strings.Repeat("x", 1000)})
	var drafts []*fleetv1.Draft
	for range 200 {
		drafts = append(drafts, big)
	}
	head := w.app.Record.Head()
	if got, err := w.report(agent, "b1", drafts...); connect.CodeOf(err) != connect.CodeInternal || w.app.Record.Head() != head {
		t.Fatalf("on a full disk: %v, %v, %d statements more", got, err, w.app.Record.Head()-head)
	}
	w.pages("1000000")
	if got, err := w.report(agent, "b1", drafts...); err != nil || len(got.Seqs) != len(drafts) {
		t.Errorf("when there is room again: %v, %v", got, err)
	}
}

// pages bounds the size of the database, as a full disk does.
func (w *world) pages(limit string) {
	w.t.Helper()
	err := w.app.DB.Write(context.Background(), func(tx *sql.Tx) error {
		if limit == "page_count()" {
			var n int
			if err := tx.QueryRow(`PRAGMA page_count`).Scan(&n); err != nil {
				return err
			}
			limit = fmt.Sprint(n + 4)
		}
		_, err := tx.Exec(`PRAGMA max_page_count = ` + limit)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
