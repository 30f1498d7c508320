package registry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/vuln"
)

// uncooled is an account package whose namespaces have no cooldown.
type uncooled struct{}

func (uncooled) Cooldown(context.Context, string, string) (time.Duration, error) { return 0, nil }

// newProxy is a world whose clock stands at now and whose upstream cooldown is 72 hours.
func newProxy(t *testing.T, advisories ...string) (*world, time.Time) {
	t.Helper()
	w, now := newWorld(t), time.Now().UTC().Truncate(time.Second)
	w.Core.WithCooldowns(uncooled{}, clock.Func(func() time.Time { return now })).WithUpstreamCooldown(72 * time.Hour)
	var records [][]byte
	for _, one := range advisories {
		records = append(records, []byte(one))
	}
	known, err := vuln.New(records...)
	accounttest.Check(t, err)
	w.WithVulnerabilities(known)
	return w, now
}

func listed(version string, published time.Time) registry.Listed {
	l := registry.Listed{URL: "https://upstream.example/left-pad-" + version + ".tgz"}
	l.Version, l.PURL, l.Published = version, purl.New(purl.NPM, "left-pad", version), published
	return l
}

// list is what the core makes of one version that an upstream lists.
func (w *world) list(version string, published time.Time) registry.Listed {
	w.t.Helper()
	all := []registry.Listed{listed(version, published)}
	accounttest.Check(w.t, w.Listed(w.t.Context(), purl.NPM, "left-pad", all))
	return all[0]
}

func mirrored(version, content string) registry.Upload {
	u := upload("left-pad", version)
	u.Artifact = digest.FromBytes([]byte(content))
	return u
}

func TestAMirroredFileIsARelease(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	origin := evidence.Origin{Upstream: "https://upstream.example", URL: "https://upstream.example/x.tgz", Published: now.Add(-1000 * time.Hour)}
	first, err := w.Mirror(t.Context(), mirrored("1.0.0", "a"), origin)
	accounttest.Check(t, err)
	again, err := w.Mirror(t.Context(), mirrored("1.0.0", "a"), origin)
	accounttest.Check(t, err)
	if !first || again {
		t.Errorf("recorded %v, then %v; want once", first, again)
	}
	_, err = w.Mirror(t.Context(), mirrored("1.0.0", "b"), origin)
	wantCode(t, err, "upstream-changed")
	kept, err := w.Kept(t.Context(), purl.NPM, "left-pad", "1.0.0", "")
	accounttest.Check(t, err)
	if !kept.Published.Equal(origin.Published) || kept.Origin != origin.URL || kept.Artifact != mirrored("1.0.0", "a").Artifact {
		t.Errorf("kept = %+v", kept)
	}
	if _, err := w.Release(t.Context(), purl.NPM, "left-pad", "1.0.0"); err == nil {
		t.Error("what is an upstream's was taken for hosted")
	}
	hosted, err := w.Hosted(t.Context(), purl.NPM, "left-pad")
	accounttest.Check(t, err)
	if hosted {
		t.Error("a name became this registry's own because a file of it was fetched")
	}
	names, err := w.Names(t.Context(), purl.NPM, "", "", 10)
	accounttest.Check(t, err)
	if len(names) != 0 {
		t.Errorf("names = %q, want none: nothing is hosted", names)
	}
	if got := w.list("1.0.0", origin.Published); !got.Kept || got.Artifact != kept.Artifact {
		t.Errorf("listed = %+v", got)
	}
}

func TestTheFilesOfAVersionAreMirroredEachOnItsOwn(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	for _, file := range []string{"left_pad-1.0.tar.gz", "left_pad-1.0-py3-none-any.whl"} {
		u := mirrored("1.0", file)
		u.File = file
		_, err := w.Mirror(t.Context(), u, evidence.Origin{URL: "https://upstream.example/" + file})
		accounttest.Check(t, err)
	}
	all := []registry.Listed{listed("1.0", now), listed("1.0", now), listed("1.0", now)}
	all[0].File, all[1].File, all[2].File = "left_pad-1.0.tar.gz", "left_pad-1.0-py3-none-any.whl", "left_pad-1.0.zip"
	accounttest.Check(t, w.Listed(t.Context(), purl.NPM, "left-pad", all))
	if !all[0].Kept || !all[1].Kept || all[2].Kept || all[0].Artifact == all[1].Artifact {
		t.Errorf("listed = %+v", all)
	}
}

func TestATimeThatAnUpstreamCannotKnowIsNotBelieved(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	hour := time.Hour
	for _, c := range []struct {
		version     string
		first, then time.Time
		want        time.Time
	}{
		{"1.0.0", now.Add(-1000 * hour), now.Add(-1000 * hour), now.Add(-1000 * hour)},
		{"2.0.0", time.Time{}, time.Time{}, now},
		{"3.0.0", now.Add(5 * hour), now.Add(5 * hour), now},
		{"4.0.0", now.Add(-hour), now.Add(-1000 * hour), now.Add(-hour)},
		{"5.0.0", time.Time{}, now.Add(-1000 * hour), now},
		{"6.0.0", now.Add(-2 * hour), now.Add(-hour), now.Add(-hour)},
	} {
		w.list(c.version, c.first)
		if got := w.list(c.version, c.then).Published; !got.Equal(c.want) {
			t.Errorf("%s: published %s, want %s", c.version, got, c.want)
		}
	}
}

func TestARecallReachesWhatWasNeverFetched(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	_, err := w.Record().Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: "pkg:npm/left-pad@1.0.0"}}, Predicate: evidence.Recall{Reason: "worm", Actor: w.admin},
		Issuer: w.admin.Issuer(), Assurance: evidence.Authenticated,
	})
	accounttest.Check(t, err)
	old := now.Add(-1000 * time.Hour)
	if got := w.list("1.0.0", old).Recalled; got != "worm" {
		t.Errorf("recalled = %q", got)
	}
	if got := w.list("1.0.1", old).Recalled; got != "" {
		t.Errorf("another version is recalled: %q", got)
	}
}

func (w *world) except(scope evidence.ExceptionScope, expires time.Time) {
	w.t.Helper()
	for _, x := range []evidence.Exception{{Event: evidence.Requested}, {Event: evidence.Approved}} {
		x.Policy, x.Scope, x.Reason, x.Ticket, x.Expires, x.Actor = registry.CooldownPolicy, scope, "test", "T-1", expires, w.admin
		if x.Event == evidence.Approved {
			x.ID = w.Record().Head() - 1
		}
		_, err := w.Record().Append(w.t.Context(), nil, evidence.Draft{
			Subjects: []evidence.Subject{{Name: "policy:cooldown"}}, Predicate: x, Issuer: w.admin.Issuer(), Assurance: evidence.Authenticated,
		})
		accounttest.Check(w.t, err)
	}
}

func TestAnExceptionLetsAVersionOrANamePastTheCooldown(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	young := now.Add(-time.Hour)
	before, err := w.State(t.Context(), purl.NPM, "left-pad")
	accounttest.Check(t, err)
	w.except(evidence.ExceptionScope{Component: "pkg:npm/left-pad@1.0.0"}, now.Add(time.Hour))
	w.except(evidence.ExceptionScope{Component: "pkg:npm/left-pad@1.1.0", Cluster: "prod"}, now.Add(time.Hour))
	w.except(evidence.ExceptionScope{Component: "pkg:npm/left-pad@1.2.0"}, now.Add(-time.Hour))
	for version, want := range map[string]bool{"1.0.0": true, "1.1.0": false, "1.2.0": false, "1.3.0": false} {
		if got := w.list(version, young); now.Before(got.Ripe(72*time.Hour)) == want {
			t.Errorf("%s: ripe at %s, exempt should be %v", version, got.Ripe(72*time.Hour), want)
		}
	}
	after, err := w.State(t.Context(), purl.NPM, "left-pad")
	accounttest.Check(t, err)
	if before == after {
		t.Error("an exception does not change the state of a name, so that its pages go on without it")
	}
	for name, want := range map[string]time.Duration{"left-pad": 72 * time.Hour, "@acme/ui": 0} {
		if got, err := w.Cooldown(t.Context(), purl.NPM, name); err != nil || name == "left-pad" && got != want {
			t.Errorf("cooldown of %s = %s, %v", name, got, err)
		}
	}
	w.except(evidence.ExceptionScope{Component: "pkg:npm/left-pad"}, now.Add(time.Hour))
	if got, err := w.Cooldown(t.Context(), purl.NPM, "left-pad"); err != nil || got != 0 {
		t.Errorf("cooldown of an exempt name = %s, %v", got, err)
	}
}

func TestADownloadCountsAsAUseOfTheExceptionThatItNeeded(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	w.except(evidence.ExceptionScope{Component: "pkg:npm/left-pad@1.1.0"}, now.Add(time.Hour))
	for _, l := range []registry.Listed{w.list("1.0.0", now.Add(-1000*time.Hour)), w.list("1.1.0", now.Add(-time.Hour)), w.list("1.1.0", now.Add(-time.Hour))} {
		accounttest.Check(t, w.MayDownload(t.Context(), evidence.Actor{}, purl.NPM, "left-pad", l.Release))
	}
	accounttest.Check(t, w.FlushPulls(t.Context()))
	var uses, decisions int
	accounttest.Check(t, w.Record().DB().Query().QueryRowContext(t.Context(), `SELECT sum(count), count(*) FROM exception_use`).Scan(&uses, &decisions))
	if uses != 2 || decisions != 1 {
		t.Errorf("%d uses in %d decisions, want 2 in 1", uses, decisions)
	}
}

func TestAVersionThatFixesAVulnerabilityDoesNotWait(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t, `{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "npm", "name": "left-pad"},
		"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.1"}]}]}]}`)
	if got := w.list("1.0.1", now); !got.Ripe(72 * time.Hour).IsZero() {
		t.Errorf("the fix waits until %s", got.Ripe(72*time.Hour))
	}
	if got := w.list("1.0.2", now); got.Ripe(72 * time.Hour).IsZero() {
		t.Error("what fixes nothing does not wait")
	}
	fix := w.list("1.0.1", now)
	accounttest.Check(t, w.MayDownload(t.Context(), evidence.Actor{}, purl.NPM, "left-pad", fix.Release))
	accounttest.Check(t, w.FlushPulls(t.Context()))
	entries, err := w.Record().Entries(t.Context(), w.Record().Head()-1, w.Record().Head())
	accounttest.Check(t, err)
	if !strings.Contains(string(entries[0]), `"reasons":["it repairs GHSA-1"]`) {
		t.Errorf("the decision is %s", entries[0])
	}
}

func TestTheFirstTimeUnderATagCounts(t *testing.T) {
	t.Parallel()
	w, now := newProxy(t)
	for _, at := range []time.Time{now.Add(-time.Hour), now} {
		accounttest.Check(t, w.SawUnder(t.Context(), purl.OCI, "library/debian", "12", registry.Seen{Version: "sha256:a", At: at}))
	}
	seen, err := w.SeenUnder(t.Context(), purl.OCI, "library/debian", "12")
	accounttest.Check(t, err)
	if len(seen) != 1 || !seen[0].At.Equal(now.Add(-time.Hour)) {
		t.Errorf("seen = %+v", seen)
	}
}
