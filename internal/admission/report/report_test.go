package report_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

func database(t *testing.T) *store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "admission.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t *testing.T, db *store.DB, limit int) *report.Spool {
	t.Helper()
	s, err := report.Open(t.Context(), db, limit, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decision(id string, keep bool) report.Statement {
	return report.Statement{
		Subjects: []evidence.Subject{{Name: "image:x"}, {Digest: map[string]string{"sha256": "00"}}}, Keep: keep,
		Predicate: evidence.Decision{Gate: "admit", Action: "create", Verdict: "allow", ID: id},
	}
}

// run runs the spool until the returned function is called.
func run(t *testing.T, s *report.Spool, to report.Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Run(ctx, to); err != nil {
			t.Error(err)
		}
	})
	return func() { cancel(); done.Wait() }
}

func client(fleet *admissiontest.Fleet, t *testing.T) report.Sender {
	return fleetv1connect.NewFleetClient(http.DefaultClient, fleet.Serve(t).URL)
}

func ids(fleet *admissiontest.Fleet) string {
	var out []string
	for _, d := range fleet.Decisions() {
		out = append(out, d.ID)
	}
	return strings.Join(out, " ")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestWhatWasTakenReachesTheServerInOrder(t *testing.T) {
	t.Parallel()
	fleet := admissiontest.NewFleet()
	s := open(t, database(t), 100)
	stop := run(t, s, client(fleet, t))
	defer stop()
	for i := range 3 {
		s.Take(decision(fmt.Sprint(i), false))
	}
	eventually(t, "all of them", func() bool { return ids(fleet) == "0 1 2" })
	eventually(t, "nothing left", func() bool { return s.Waiting() == 0 })
	if d := fleet.Reported()[0]; len(d.GetSubjects()) != 2 || d.GetSubjects()[1].GetDigest() != "sha256:00" {
		t.Errorf("subjects %v", d.GetSubjects())
	}
}

// deaf takes a batch and never says so.
type deaf struct{ to report.Sender }

func (d deaf) Report(ctx context.Context, r *connect.Request[fleetv1.ReportRequest]) (*connect.Response[fleetv1.ReportResponse], error) {
	if _, err := d.to.Report(ctx, r); err != nil {
		return nil, err
	}
	return nil, connect.NewError(connect.CodeUnavailable, errors.New("the answer is lost"))
}

func TestABatchWhoseAnswerWasLostIsNotOnTheRecordTwice(t *testing.T) {
	t.Parallel()
	fleet, db := admissiontest.NewFleet(), database(t)
	to := client(fleet, t)
	s := open(t, db, 100)
	stop := run(t, s, deaf{to})
	s.Take(decision("a", false))
	eventually(t, "it is there", func() bool { return ids(fleet) == "a" })
	stop()
	s = open(t, db, 100) // a restart, with something new behind it
	if s.Waiting() != 1 {
		t.Errorf("%d wait after the restart", s.Waiting())
	}
	s.Take(decision("b", false))
	defer run(t, s, to)()
	eventually(t, "the new one", func() bool { return ids(fleet) == "a b" })
}

func TestWhatIsInMemoryWhenItEndsIsWrittenDown(t *testing.T) {
	t.Parallel()
	fleet, db := admissiontest.NewFleet(), database(t)
	fleet.Refuse(connect.NewError(connect.CodeUnavailable, errors.New("away")))
	to := client(fleet, t)
	s := open(t, db, 1000)
	stop := run(t, s, to)
	for i := range 500 {
		s.Take(decision(fmt.Sprint(i), false))
	}
	stop()
	fleet.Refuse(nil)
	defer run(t, open(t, db, 1000), to)()
	eventually(t, "all 500", func() bool { return len(fleet.Decisions()) == 500 })
}

func TestWithoutRoomDenialsAreKeptAndTheRestBecomesAGap(t *testing.T) {
	t.Parallel()
	fleet := admissiontest.NewFleet()
	s := open(t, database(t), 5)
	for i := range 12 {
		if err := s.Store(t.Context(), decision(fmt.Sprint(i), i%4 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Lost() == 0 || s.Waiting() > 5 {
		t.Errorf("lost %d, waiting %d", s.Lost(), s.Waiting())
	}
	defer run(t, s, client(fleet, t))()
	s.Take(decision("last", true))
	eventually(t, "the last one", func() bool { return strings.HasSuffix(ids(fleet), "last") })
	for _, kept := range []string{"0", "4", "8"} {
		if !strings.Contains(" "+ids(fleet)+" ", " "+kept+" ") {
			t.Errorf("%s is not among %q", kept, ids(fleet))
		}
	}
	eventually(t, "one gap about all that was lost", func() bool {
		var gaps []string
		for _, d := range fleet.Reported() {
			if d.GetPredicateType() == evidence.GapType {
				gaps = append(gaps, string(d.GetPredicate()))
			}
		}
		return len(gaps) == 1 && strings.Contains(gaps[0], fmt.Sprint(s.Lost()))
	})
}

func TestWhatTheServerNeverTakesKeepsNothingElseWaiting(t *testing.T) {
	t.Parallel()
	fleet := admissiontest.NewFleet()
	fleet.Refuse(connect.NewError(connect.CodeInvalidArgument, errors.New("no such predicate")))
	s := open(t, database(t), 100)
	defer run(t, s, client(fleet, t))()
	s.Take(decision("bad", false))
	eventually(t, "it is given up", func() bool { return s.Lost() == 1 && s.Waiting() == 0 })
	fleet.Refuse(nil)
	s.Take(decision("good", false))
	eventually(t, "the next one", func() bool { return ids(fleet) == "good" })
}

// A full disk must not slow a single review down.
func TestTakingNeverWaits(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), 10) // nobody runs it
	began := time.Now()
	for i := range 20_000 {
		s.Take(decision(fmt.Sprint(i), false))
	}
	if took := time.Since(began); took > 5*time.Second || s.Lost() == 0 {
		t.Errorf("20,000 took %s, lost %d", took, s.Lost())
	}
}

func TestADiskThatTakesNothingIsAGapOnceItDoes(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), 100)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Store(ended, decision("a", false), decision("b", true)); err == nil {
		t.Fatal("it was stored")
	}
	if err := s.Store(t.Context(), decision("c", false)); err != nil {
		t.Fatal(err)
	}
	b, err := s.Next(t.Context())
	if err != nil || len(b.Drafts) != 2 || !strings.Contains(string(b.Drafts[1].GetPredicate()), "2 admission decisions") {
		t.Errorf("%v, %v", b, err)
	}
}
