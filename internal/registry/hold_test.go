package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// strict holds every version but 1.0.0.
type strict struct{}

func (strict) Review(_ context.Context, _ evidence.Actor, u registry.Upload) (*registry.Hold, error) {
	if u.Version == "1.0.0" {
		return nil, nil
	}
	return &registry.Hold{Code: "test-rule", Summary: "it is strange", Reasons: []string{"look at it"}, Input: []byte(`{"against":"1.0.0"}`)}, nil
}

// approve does what the publish stage does.
func (w *world) approve(u registry.Upload) {
	w.t.Helper()
	bob := evidence.Actor{Account: "bob"}
	about := []evidence.Subject{evidence.About(u.PURL, u.Artifact)}
	_, err := w.Record().Append(w.t.Context(), nil,
		evidence.Draft{Subjects: about, Predicate: evidence.Approval{Release: u.PURL, Actor: bob}, Issuer: bob.Issuer(), Assurance: evidence.Authenticated},
		evidence.Draft{Subjects: about, Issuer: bob.Issuer(), Assurance: evidence.Authenticated, Predicate: evidence.Publication{
			Event: evidence.Released, Ecosystem: u.Ecosystem, Name: u.Name, Version: u.Version, Tags: u.Tags, Actor: bob,
		}})
	accounttest.Check(w.t, err)
}

func (w *world) release(u registry.Upload) registry.Release {
	w.t.Helper()
	r, err := w.Release(w.t.Context(), u.Ecosystem, u.Name, u.Version)
	accounttest.Check(w.t, err)
	return r
}

func TestAHeldVersionIsOnTheRecordAndNotOffered(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.WithReviewer(strict{})
	accounttest.Check(t, w.Publish(ctx, w.admin, upload("@acme/ui", "1.0.0", "latest")))
	u := upload("@acme/ui", "1.1.0", "latest", "next")
	hold, err := w.Submit(ctx, w.admin, u)
	if err != nil || hold == nil || hold.Code != "test-rule" {
		t.Fatalf("%+v, %v", hold, err)
	}
	if got := fmt.Sprint(w.decisionsAbout(string(u.PURL))); got != "[publish hold test-rule 0]" {
		t.Errorf("decisions: %s", got)
	}
	tags, err := w.Tags(ctx, purl.NPM, "@acme/ui", "", -1)
	if err != nil || fmt.Sprint(tags) != "[{latest 1.0.0}]" {
		t.Errorf("tags = %v, %v; want none moved", tags, err)
	}
	r := w.release(u)
	wantCode(t, w.MayDownload(ctx, evidence.Actor{}, purl.NPM, "@acme/ui", r), "release-held")
	accounttest.Check(t, w.MayDownload(ctx, w.admin, purl.NPM, "@acme/ui", r)) // who may approve it has to see it
	wantCode(t, w.Tag(ctx, w.admin, purl.NPM, "@acme/ui", "1.1.0", "beta"), "release-held")
	wantCode(t, w.Publish(ctx, w.admin, u), "version-exists")
	w.approve(u)
	accounttest.Check(t, w.MayDownload(ctx, evidence.Actor{}, purl.NPM, "@acme/ui", w.release(u)))
	if got, err := w.TagsOf(ctx, purl.NPM, "@acme/ui", "1.1.0"); err != nil || fmt.Sprint(got) != "[latest next]" {
		t.Errorf("tags = %v, %v", got, err)
	}
}

func TestPushingAHeldContentAgainDoesNotFreeIt(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.WithReviewer(strict{})
	m := manifest("m", "1")
	if hold, err := w.Submit(ctx, w.admin, m); err != nil || hold == nil {
		t.Fatal(hold, err)
	}
	if hold, err := w.Submit(ctx, w.admin, manifest("m", "2")); err != nil || !hold.Waits() {
		t.Fatal(hold, err)
	}
	if _, err := w.Resolve(ctx, purl.OCI, "acme/app", "1"); err == nil {
		t.Error("a tag points at it")
	}
	accounttest.Check(t, w.Withdraw(ctx, w.admin, purl.OCI, "acme/app", m.Version, "never mind"))
	wantCode(t, w.Publish(ctx, w.admin, manifest("m", "3")), "version-withdrawn") // rejected, it does not come back
	if r := w.release(m); r.State != registry.Withdrawn {
		t.Errorf("it is %s", r.State)
	}
}

// patience is a cooldown for every name.
type patience time.Duration

func (p patience) Cooldown(context.Context, string, string) (time.Duration, error) {
	return time.Duration(p), nil
}

func TestConsumersGetAVersionWhenItIsOldEnoughOrApproved(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	var ahead atomic.Int64
	w.WithCooldowns(patience(time.Hour), clock.Func(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }))
	other := evidence.Actor{Account: "somebody"}
	for _, u := range []registry.Upload{upload("@acme/ui", "1.0.0"), manifest("m", "1")} {
		ahead.Store(0)
		accounttest.Check(t, w.Publish(ctx, w.admin, u))
		r := w.release(u)
		for _, actor := range []evidence.Actor{{}, other} {
			err := w.MayDownload(ctx, actor, u.Ecosystem, u.Name, r)
			wantCode(t, err, "release-too-young")
		}
		accounttest.Check(t, w.MayDownload(ctx, w.admin, u.Ecosystem, u.Name, r)) // has the bytes anyway
		ahead.Store(int64(time.Hour))
		accounttest.Check(t, w.MayDownload(ctx, evidence.Actor{}, u.Ecosystem, u.Name, r))
	}
	ahead.Store(0)
	u := upload("@acme/ui", "1.1.0")
	accounttest.Check(t, w.Publish(ctx, w.admin, u))
	w.approve(u)
	accounttest.Check(t, w.MayDownload(ctx, other, purl.NPM, "@acme/ui", w.release(u)))
	accounttest.Check(t, w.FlushPulls(ctx))
	got := fmt.Sprint(w.decisionsAbout(evidence.Pulls(upload("@acme/ui", "1.0.0").PURL).Name))
	if want := "[pull allow  1 pull deny release-too-young 1 pull allow  1 pull deny release-too-young 1]"; got != want {
		t.Errorf("decisions = %s\nwant        %s", got, want)
	}
}

func TestARefusalForYouthTellsUntilWhen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for cooldown, want := range map[time.Duration]string{
		24 * time.Hour:          "less than 24h ago; it is available from 2026-05-02 10:00:00 UTC",
		90 * time.Minute:        "less than 1h30m ago; it is available from 2026-05-01 11:30:00 UTC",
		30 * time.Minute:        "less than 30m ago",
		3601 * time.Second:      "less than 1h0m1s ago",
		100 * 24 * time.Hour:    "less than 2400h ago",
		time.Duration(1) * 1000: "less than 1µs ago",
	} {
		r := registry.Release{PURL: "pkg:npm/a@1", Published: at, Artifact: digest.FromBytes(nil)}
		err := registry.TooYoung(r, cooldown)
		wantCode(t, err, "release-too-young")
		if got := err.Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %q", cooldown, got, want)
		}
	}
}
