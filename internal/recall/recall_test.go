package recall_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// owners lets everybody own what is below their own name ("alice/app"), and root administer.
type owners struct{}

func (owners) Authorize(_ context.Context, a evidence.Actor, p evidence.Permission, _, name string) error {
	if p == evidence.Read || strings.HasPrefix(strings.TrimPrefix(name, "@"), a.Account+"/") {
		return nil
	}
	return fault.New(fault.Denied, "namespace-not-yours", "%s is not yours", name)
}

func (o owners) MayStop(ctx context.Context, a evidence.Actor, ecosystem, name string) error {
	return o.Authorize(ctx, a, evidence.Own, ecosystem, name)
}

func (owners) RequireAdmin(_ context.Context, a evidence.Actor) error {
	if a.Account == "root" {
		return nil
	}
	return fault.New(fault.Denied, "admin-required", "you are not root")
}

type world struct {
	*recall.Service
	t      *testing.T
	record *evidence.Record
	ui     purl.PURL
	shared digest.Digest
}

func newWorld(t *testing.T) *world {
	t.Helper()
	record, _ := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	w := &world{Service: recall.New(record, owners{}, nil), t: t, record: record}
	w.ui = b.Release("alice", "@alice/ui", "1.0.0", nil)
	layer := b.Layer("x", nil, nil)
	w.shared = b.Image("alice", "alice/app", "1", nil, layer)
	b.Image("mallory", "mallory/copy", "1", nil, layer)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	return w
}

func by(account string) evidence.Actor { return evidence.Actor{Account: account} }

// recalled returns the purls of the releases that are stopped.
func (w *world) recalled() string {
	w.t.Helper()
	rows, err := w.record.DB().Query().QueryContext(w.t.Context(), `SELECT p.name FROM release r JOIN package p ON p.id = r.package_id
		WHERE r.recalled <> '' ORDER BY p.name`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (w *world) recall(actor evidence.Actor, subject, reason string) (recall.Recall, error) {
	w.t.Helper()
	return w.Recall(w.t.Context(), actor, recall.Order{Subject: subject, Reason: reason})
}

// lift has one person ask and another confirm.
func (w *world) lift(asks, confirms, subject string) {
	w.t.Helper()
	w.want(w.Lift(w.t.Context(), by(asks), subject, "false alarm"), "recall-second-person")
	w.want(w.Lift(w.t.Context(), by(confirms), subject, "checked"), "")
}

func (w *world) want(err error, code string) {
	w.t.Helper()
	got := ""
	if err != nil {
		got = fault.As(err).Code
	}
	if got != code {
		w.t.Errorf("got %q (%v), want %q", got, err, code)
	}
}

func TestAnOwnerStopsTheirReleaseAndLiftsItAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := w.recall(by("alice"), string(w.ui), " worm ")
	w.want(err, "")
	if made.Reason != "worm" || len(made.Subjects) != 2 || w.recalled() != "@alice/ui" {
		t.Errorf("%+v, recalled: %s", made, w.recalled())
	}
	list, err := w.List(t.Context(), -1, 10)
	w.want(err, "")
	if len(list) != 1 || !slices.Equal(list[0].Subjects, made.Subjects) {
		t.Errorf("%+v", list)
	}
	w.lift("alice", "root", string(w.ui))
	w.want(w.Lift(t.Context(), by("alice"), string(w.ui), "again"), "recall-unknown")
	if list, _ := w.List(t.Context(), -1, 10); len(list) != 0 || w.recalled() != "" {
		t.Errorf("%+v, recalled: %s", list, w.recalled())
	}
}

func TestAnOwnerCannotStopWhatOthersPublishedByPublishingItsBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	copied := string(purl.Image("mallory/copy", string(w.shared)))
	_, err := w.recall(by("mallory"), string(w.shared), "mine")
	w.want(err, "namespace-not-yours")
	_, err = w.recall(by("mallory"), copied, "mine")
	w.want(err, "")
	if got := w.recalled(); got != "mallory/copy" {
		t.Errorf("recalled: %s", got)
	}
	_, err = w.recall(by("root"), string(w.shared), "worm")
	w.want(err, "")
	if got := w.recalled(); got != "alice/app mallory/copy" {
		t.Errorf("recalled: %s", got)
	}
}

func TestWhatAnAdministratorStoppedNoOwnerLifts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.recall(by("root"), string(w.ui), "worm")
	w.want(err, "")
	w.want(w.Lift(t.Context(), by("alice"), string(w.ui), "it is fine"), "recall-not-yours")
	_, err = w.recall(by("alice"), string(w.ui), "mine now")
	w.want(err, "recall-exists")
	w.want(w.Lift(t.Context(), by("root"), string(w.ui), "it was fine"), "recall-second-person")
	w.want(w.Lift(t.Context(), by("mallory"), string(w.ui), "it is fine"), "namespace-not-yours")
	w.want(w.Lift(t.Context(), by("alice"), string(w.ui), "it is fine"), "")
}

func TestLiftingLeavesWhatAnotherRecallStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, copied := string(purl.Image("alice/app", string(w.shared))), string(purl.Image("mallory/copy", string(w.shared)))
	_, err := w.recall(by("alice"), mine, "worm")
	w.want(err, "")
	_, err = w.recall(by("root"), copied, "these bytes, wherever they are")
	w.want(err, "")
	w.lift("alice", "root", mine)
	if got := w.recalled(); got != "alice/app mallory/copy" {
		t.Errorf("recalled: %q", got)
	}
	w.lift("root", "mallory", copied)
	if got := w.recalled(); got != "" {
		t.Errorf("recalled: %q", got)
	}
}

func TestOnlyAnAdministratorStopsWhatWasNotPublishedHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, subject := range []string{"pkg:npm/left-pad@1.0.0", string(tracetest.Digest("elsewhere"))} {
		_, err := w.recall(by("alice"), subject, "worm")
		w.want(err, "admin-required")
		made, err := w.recall(by("root"), subject, "worm")
		w.want(err, "")
		if !slices.Equal(made.Subjects, []string{subject}) || made.Known {
			t.Errorf("%+v", made)
		}
	}
}

func TestARecallTellsWhetherTheRecordKnowsWhatItStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for subject, known := range map[string]bool{
		string(w.ui): true, string(w.shared): true,
		string(tracetest.Digest("diff x")): true, string(tracetest.Digest("blob x")): true,
		"pkg:npm/%40alice/ui@1.0.1": false, "pkg:npm/%40alcie/ui@1.0.0": false, string(tracetest.Digest("elsewhere")): false,
	} {
		made, err := w.recall(by("root"), subject, "worm")
		w.want(err, "")
		if made.Known != known {
			t.Errorf("%s: known is %v, want %v", subject, made.Known, known)
		}
	}
	list, err := w.List(t.Context(), -1, 10)
	w.want(err, "")
	for _, one := range list {
		if want := !slices.ContainsFunc([]string{"pkg:npm/%40alice/ui@1.0.1", "pkg:npm/%40alcie/ui@1.0.0", string(tracetest.Digest("elsewhere"))},
			func(s string) bool { return slices.Contains(one.Subjects, s) }); one.Known != want {
			t.Errorf("listed: %v is known: %v", one.Subjects, one.Known)
		}
	}
}

func TestARecallNeedsAReasonAndASubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, c := range []struct{ subject, reason, code string }{
		{string(w.ui), " ", "reason-invalid"},
		{string(w.ui), strings.Repeat("x", 501), "reason-invalid"},
		{"left-pad", "worm", "subject-invalid"},
		{"pkg:", "worm", "purl-invalid"},
	} {
		_, err := w.recall(by("root"), c.subject, c.reason)
		if got := fault.As(err).Code; got != c.code {
			t.Error(fmt.Sprint(i), err)
		}
	}
}

func TestPublishingADigestManyTimesDoesNotKeepItFromBeingRecalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const copies = 400
	b := tracetest.NewBuilder(t.Context(), w.record)
	layer := b.Layer("y", nil, nil)
	var d digest.Digest
	for i := range copies {
		d = b.Image("mallory", fmt.Sprintf("mallory/copy-%d", i), "1", nil, layer)
	}
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.recall(by("root"), string(d), "malware"); err != nil {
		t.Fatal(err)
	}
	if got := len(strings.Fields(w.recalled())); got != copies {
		t.Errorf("%d of %d copies are stopped", got, copies)
	}
	w.lift("root", "mallory", string(d))
	if w.recalled() != "" {
		t.Error("lifted: some are left")
	}
}
