package snapshot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// program is a set of policies of which only the text matters.
type program string

func (program) Decide(policy.Request, func(string) policy.Record, []policy.Exception) policy.Verdict {
	return policy.Verdict{}
}

func compile(_ string, document []byte) (snapshot.Program, error) {
	if bytes.Contains(document, []byte("broken")) {
		return nil, errors.New("line 1: broken")
	}
	return program(document), nil
}

func database(t *testing.T) *store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "admission.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t *testing.T, db *store.DB) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Open(t.Context(), db, compile, clock.Func(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t *testing.T, s *snapshot.Snapshot, updates ...*fleetv1.Update) {
	t.Helper()
	for _, u := range updates {
		if err := s.Apply(u); err != nil {
			t.Fatal(err)
		}
	}
}

func image(head int64, name string) *fleetv1.Update {
	raw, _ := json.Marshal(admissiontest.Record(name, now, 2))
	return &fleetv1.Update{Head: head, Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: admissiontest.Digest(name), Record: raw}}}
}

func policies(head int64, document string) *fleetv1.Update {
	return &fleetv1.Update{Head: head, Change: &fleetv1.Update_Policies{Policies: &fleetv1.PolicySet{Revision: "rev of " + document, Document: []byte(document)}}}
}

func tag(head int64, repository, tag, name string) *fleetv1.Update {
	digest := ""
	if name != "" {
		digest = admissiontest.Digest(name)
	}
	return &fleetv1.Update{Head: head, Change: &fleetv1.Update_Tag{Tag: &fleetv1.Tag{Repository: repository, Tag: tag, Digest: digest}}}
}

func recalls(head int64, list ...*fleetv1.Recall) *fleetv1.Update {
	return &fleetv1.Update{Head: head, Change: &fleetv1.Update_Recalls{Recalls: &fleetv1.Recalls{Recalls: list}}}
}

func reset() *fleetv1.Update { return &fleetv1.Update{Change: &fleetv1.Update_Reset_{Reset_: true}} }

func synced(head int64) *fleetv1.Update {
	return &fleetv1.Update{Head: head, Change: &fleetv1.Update_Synced{Synced: true}}
}

func heartbeat(head int64) *fleetv1.Update { return &fleetv1.Update{Head: head} }

// look returns what a view says about a tag of acme/shop.
func look(t *testing.T, s *snapshot.Snapshot, tag string) (snapshot.View, policy.Record) {
	t.Helper()
	images := []policy.Image{{Registry: "here", Repository: "acme/shop", Tag: tag}}
	v, err := s.View(images, func(host string) bool { return host == "here" })
	if err != nil {
		t.Fatal(err)
	}
	return v, v.Record(images[0].Digest)
}

func whole(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	apply(t, s, reset(), policies(10, "one"), image(10, "shop"), tag(10, "acme/shop", "1", "shop"), synced(10))
}

func TestNothingIsAnsweredBeforeEverythingWasHeardOnce(t *testing.T) {
	t.Parallel()
	s := open(t, database(t))
	ask := func() string {
		_, err := s.View(nil, nil)
		if err == nil {
			return ""
		}
		return fault.As(err).Code
	}
	for _, u := range []*fleetv1.Update{reset(), policies(10, "one"), image(10, "shop")} {
		apply(t, s, u)
		if got := ask(); got != "snapshot-empty" {
			t.Errorf("after %v: %q", u, got)
		}
	}
	apply(t, s, synced(10))
	if got := ask(); got != "" {
		t.Errorf("when it is whole: %q", got)
	}
	empty := open(t, database(t))
	apply(t, empty, reset(), synced(1))
	if _, err := empty.View(nil, nil); fault.As(err).Code != "policies-missing" {
		t.Errorf("without policies: %v", err)
	}
}

func TestATagOfAnotherRegistrySaysNothing(t *testing.T) {
	t.Parallel()
	s := open(t, database(t))
	whole(t, s)
	images := []policy.Image{{Registry: "elsewhere", Repository: "acme/shop", Tag: "1"}, {Registry: "here", Repository: "acme/shop", Tag: "1"}}
	v, err := s.View(images, func(host string) bool { return host == "here" })
	if err != nil || images[0].Digest != "" || images[1].Digest != admissiontest.Digest("shop") || !v.Record(images[1].Digest).Known {
		t.Errorf("%+v, %v", images, err)
	}
}

func TestWhileAStreamStartsAnewTheOldStateAnswers(t *testing.T) {
	t.Parallel()
	s := open(t, database(t))
	whole(t, s)
	s.Begin()
	apply(t, s, reset(), policies(20, "two"))
	if v, r := look(t, s, "1"); v.Revision != "rev of one" || !r.Known {
		t.Errorf("in between: %+v", v)
	}
	s.Begin() // the stream broke and begins again
	apply(t, s, reset(), policies(20, "three"), tag(20, "acme/shop", "2", "shop"), synced(20))
	if v, r := look(t, s, "1"); v.Revision != "rev of three" || v.Head != 20 || r.Known {
		t.Errorf("afterwards: %+v %+v", v, r)
	}
}

func TestARestartGoesOnWhereTheFileStops(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db)
	whole(t, s)
	apply(t, s, image(12, "tool"), tag(12, "acme/shop", "2", "tool"), tag(13, "acme/shop", "1", ""), recalls(13, &fleetv1.Recall{Seq: 12, Images: []string{admissiontest.Digest("tool")}}))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, db)
	if got := again.After(); got != 12 {
		t.Errorf("goes on after %d: more of head 13 may have been on its way", got)
	}
	v, r := look(t, again, "2")
	if v.Revision != "rev of one" || !r.Known || len(r.Recalls) != 1 || len(r.Contents.Components) != 2 {
		t.Errorf("%+v %+v", v, r)
	}
	if _, r := look(t, again, "1"); r.Known {
		t.Error("a tag that was removed is back")
	}
	apply(t, s, heartbeat(13))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := open(t, db).After(); got != 13 {
		t.Errorf("after a heartbeat it goes on after %d", got)
	}
}

func TestAWriteThatFailsIsRepeatedAndNobodyWaitsForIt(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db)
	whole(t, s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(ended); err == nil {
		t.Fatal("a write in an ended context succeeds")
	}
	if _, r := look(t, s, "1"); !r.Known {
		t.Error("memory does not answer any more")
	}
	if s.Written() {
		t.Error("what failed counts as written")
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, r := look(t, open(t, db), "1"); !r.Known {
		t.Error("the second write lost something")
	}
}

func TestABrokenSetOfPoliciesLeavesTheLastGoodOneAlsoOverARestart(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db)
	whole(t, s)
	apply(t, s, policies(11, "broken"))
	if v, _ := look(t, s, "1"); v.Revision != "rev of one" || v.Degraded == "" {
		t.Errorf("%+v", v)
	}
	s.Begin()
	apply(t, s, reset(), policies(12, "broken"), synced(12))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, _ := look(t, open(t, db), "1"); v.Revision != "rev of one" {
		t.Errorf("after a restart: %+v", v)
	}
	apply(t, s, policies(13, "two"))
	if v, _ := look(t, s, "1"); v.Revision != "rev of two" || v.Degraded != "" {
		t.Errorf("%+v", v)
	}
}

func TestARecallCountsBeforeTheRecordsOfItsImagesArrive(t *testing.T) {
	t.Parallel()
	s := open(t, database(t))
	whole(t, s)
	recall := &fleetv1.Recall{
		Seq: 11, Subjects: []string{"pkg:npm/%40acme/ui-kit@4.2.1"}, Components: []string{"pkg:npm/%40acme/ui-kit@4.2.1"},
		Images: []string{admissiontest.Digest("shop")}, Reason: "steals", Account: "dora",
	}
	apply(t, s, recalls(12, recall))
	v, r := look(t, s, "1")
	if len(r.Recalls) != 1 || r.Recalls[0].Via != "pkg:npm/%40acme/ui-kit@4.2.1" || r.Recalls[0].By != "dora" || v.Head != 12 {
		t.Errorf("%+v", r.Recalls)
	}
	unknown := []policy.Image{{Digest: admissiontest.Digest("never seen")}}
	apply(t, s, recalls(13, &fleetv1.Recall{Seq: 12, Subjects: []string{admissiontest.Digest("never seen")}}))
	v, err := s.View(unknown, nil)
	if err != nil || len(v.Record(unknown[0].Digest).Recalls) != 1 {
		t.Errorf("an image that is recalled by digest and not on the record: %+v, %v", v.Records, err)
	}
	if _, r := look(t, s, "1"); len(r.Recalls) != 0 {
		t.Errorf("a recall that was lifted still counts: %+v", r.Recalls)
	}
}

func TestRecallsAreReceiptedForOnce(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := open(t, db)
	whole(t, s)
	apply(t, s, recalls(13, &fleetv1.Recall{Seq: 11}, &fleetv1.Recall{Seq: 12, Gates: []string{"pull"}}, &fleetv1.Recall{Seq: 13, Gates: []string{"run", "admit"}}))
	seqs := func(s *snapshot.Snapshot) string {
		list, err := s.Unreceipted(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, r := range list {
			out += fmt.Sprint(r.GetSeq(), " ")
		}
		return out
	}
	if got := seqs(s); got != "11 13 " {
		t.Errorf("before: %q", got)
	}
	if err := errors.Join(s.Receipted(t.Context(), 11), s.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := seqs(open(t, db)); got != "13 " {
		t.Errorf("after one, and a restart: %q", got)
	}
}

func TestTheAgeIsToldAlsoWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	if got := snapshot.Age(now, now.Add(25*time.Hour)); got != 25*time.Hour {
		t.Error(got)
	}
	if got := snapshot.Age(now, now.Add(-time.Hour)); got != 0 {
		t.Error(got)
	}
}

func TestAFollowerHearsWhatChangesAndComesBackAfterTheServerDoes(t *testing.T) {
	t.Parallel()
	fleet := admissiontest.NewFleet()
	fleet.Policies("one")
	fleet.Publish(admissiontest.Record("shop", now, 2))
	fleet.Tag("acme/shop", "1", admissiontest.Digest("shop"))
	server := fleet.Serve(t)
	s := open(t, database(t))
	woken := make(chan struct{}, 100)
	f := snapshot.Follower{
		Snapshot: s, Source: fleetv1connect.NewFleetClient(http.DefaultClient, server.URL), Log: slog.New(slog.DiscardHandler),
		OnRecalls: func(context.Context) { woken <- struct{}{} },
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = f.Run(ctx) })
	defer done.Wait()
	defer cancel()
	<-woken // synced
	if _, r := look(t, s, "1"); !r.Known {
		t.Fatal("what is on the record is not known")
	}
	server.CloseClientConnections()
	fleet.Update(image(0, "broken record"))
	fleet.Update(&fleetv1.Update{Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: admissiontest.Digest("shop"), Record: []byte("{")}}})
	fleet.Recalls(&fleetv1.Recall{Seq: 3})
	<-woken // the recall, or the end of what was missed
	<-woken
	if _, r := look(t, s, "1"); r.Known {
		t.Error("a record that cannot be read still counts")
	}
	if got := s.Status().Recalls; got != 1 {
		t.Errorf("%d recalls: a record that cannot be read keeps them from being heard", got)
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"digest":"sha256:x","known":true}`), []byte(`[{"id":1}]`))
	f.Add([]byte(`{`), []byte(`null`))
	f.Fuzz(func(t *testing.T, record, exceptions []byte) {
		s := open(t, database(t))
		whole(t, s)
		_ = s.Apply(&fleetv1.Update{Head: 11, Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: admissiontest.Digest("shop"), Record: record}}})
		_ = s.Apply(&fleetv1.Update{Head: 12, Change: &fleetv1.Update_Exceptions{Exceptions: &fleetv1.Exceptions{Exceptions: exceptions}}})
		look(t, s, "1")
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
