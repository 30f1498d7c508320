package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// world is a core over real stores, in which admin's organisation acme owns npm @acme and oci acme.
type world struct {
	*registry.Core
	t     *testing.T
	admin evidence.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	below := accounttest.New(t, time.Time{}, registry.Schema())
	below.Claim(purl.NPM, account.Private, "@acme")
	below.Claim(purl.OCI, account.Private, "acme")
	return &world{Core: registry.New(below.Record, below.Blobs, below.Accounts), t: t, admin: below.Admin}
}

func upload(name, version string, tags ...string) registry.Upload {
	return registry.Upload{
		Ecosystem: purl.NPM, Name: name, Version: version, PURL: purl.New(purl.NPM, name, version), Tags: tags,
		Artifact: digest.FromBytes([]byte(name + version)), Size: 7, MediaType: "application/gzip",
	}
}

func manifest(content string, tags ...string) registry.Upload {
	d := digest.FromBytes([]byte(content))
	return registry.Upload{
		Ecosystem: purl.OCI, Name: "acme/app", Version: string(d), PURL: purl.Image("acme/app", string(d)), Tags: tags,
		Artifact: d, Size: 7, MediaType: "application/vnd.oci.image.manifest.v1+json",
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("err = %v, want code %s", err, code)
	}
}

// decisions returns the decisions about a release, as "gate verdict code count".
func (w *world) decisions(p purl.PURL) []string {
	return append(w.decisionsAbout(string(p)), w.decisionsAbout(evidence.Pulls(p).Name)...)
}

func (w *world) decisionsAbout(subject string) []string {
	w.t.Helper()
	statements, err := w.Record().About(w.t.Context(), subject, -1, 100)
	accounttest.Check(w.t, err)
	var out []string
	for _, s := range statements {
		if s.PredicateType == evidence.DecisionType {
			d, err := evidence.Decode[evidence.Decision](s)
			accounttest.Check(w.t, err)
			out = append(out, fmt.Sprintf("%s %s %s %d", d.Gate, d.Verdict, d.Code, d.Count))
		}
	}
	return out
}

func TestAVersionIsNeverReusedNotEvenAfterItWasWithdrawn(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	accounttest.Check(t, w.Publish(ctx, w.admin, upload("@acme/ui", "1.0.0", "latest")))
	wantCode(t, w.Publish(ctx, w.admin, upload("@acme/ui", "1.0.0")), "version-exists")
	accounttest.Check(t, w.Withdraw(ctx, w.admin, purl.NPM, "@acme/ui", "1.0.0", "mistake"))
	wantCode(t, w.Publish(ctx, w.admin, upload("@acme/ui", "1.0.0")), "version-exists")
	if tags, err := w.Tags(ctx, purl.NPM, "@acme/ui", "", -1); err != nil || len(tags) != 0 {
		t.Errorf("tags = %v, %v; want none: the only version is withdrawn", tags, err)
	}
}

func TestAContentAddressedReleaseMayBePushedAgainAndComesBackAfterWithdrawal(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	m := manifest("m", "1")
	accounttest.Check(t, w.Publish(ctx, w.admin, m))
	accounttest.Check(t, w.Publish(ctx, w.admin, manifest("m", "2")))
	accounttest.Check(t, w.Publish(ctx, w.admin, manifest("m")))
	tags, err := w.TagsOf(ctx, purl.OCI, "acme/app", m.Version)
	if err != nil || fmt.Sprint(tags) != "[1 2]" {
		t.Errorf("tags = %v, %v; want 1 and 2", tags, err)
	}
	accounttest.Check(t, w.Withdraw(ctx, w.admin, purl.OCI, "acme/app", m.Version, ""))
	accounttest.Check(t, w.Publish(ctx, w.admin, manifest("m", "3")))
	r, err := w.Release(ctx, purl.OCI, "acme/app", m.Version)
	if err != nil || r.State != registry.Active {
		t.Errorf("state = %q, %v; want active again", r.State, err)
	}
}

func TestTheRecordOfADigestHasTheDecisionThatLetItIn(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	u := upload("@acme/ui", "1.0.0", "latest")
	accounttest.Check(t, w.Publish(ctx, w.admin, u))
	accounttest.Check(t, w.Deprecate(ctx, w.admin, purl.NPM, "@acme/ui", "1.0.0", "old"))
	if got := fmt.Sprint(w.decisionsAbout(string(u.Artifact))); got != "[publish allow  0 publish allow  0]" {
		t.Errorf("decisions about the tarball: %s", got)
	}
}

func TestOfManyWhoPublishOneVersionAtOnceExactlyOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var won atomic.Int32
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			err := w.Publish(t.Context(), w.admin, upload("@acme/ui", "1.0.0"))
			if err == nil {
				won.Add(1)
			} else if fault.As(err).Code != "version-exists" {
				t.Errorf("a loser got %v", err)
			}
		})
	}
	g.Wait()
	if won.Load() != 1 {
		t.Errorf("%d publishers won, want 1", won.Load())
	}
}

func TestARefusalIsInTheRecordUnlessTheCallerIsAnonymous(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	u := upload("left-pad", "1.0.0")
	wantCode(t, w.Publish(ctx, w.admin, u), "namespace-unowned")
	if got := w.decisions(u.PURL); len(got) != 1 || got[0] != "publish deny namespace-unowned 0" {
		t.Errorf("decisions = %q", got)
	}
	before := w.Record().Head()
	wantCode(t, w.Publish(ctx, evidence.Actor{}, u), "login-required")
	if w.Record().Head() != before {
		t.Error("an anonymous refusal got into the record: anybody could fill it")
	}
}

func TestEqualPullDecisionsAreOneStatementWithACount(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	u := upload("@acme/ui", "1.0.0")
	accounttest.Check(t, w.Publish(ctx, w.admin, u))
	r, err := w.Release(ctx, purl.NPM, "@acme/ui", "1.0.0")
	accounttest.Check(t, err)
	for range 3 {
		accounttest.Check(t, w.MayDownload(ctx, w.admin, purl.NPM, "@acme/ui", r))
	}
	_, err = w.Record().Append(ctx, nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(u.PURL, "")}, Issuer: w.admin.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Recall{Reason: "worm", Actor: w.admin},
	})
	accounttest.Check(t, err)
	r, err = w.Release(ctx, purl.NPM, "@acme/ui", "1.0.0")
	accounttest.Check(t, err)
	wantCode(t, w.MayDownload(ctx, evidence.Actor{}, purl.NPM, "@acme/ui", r), "release-recalled")
	accounttest.Check(t, w.FlushPulls(ctx))
	accounttest.Check(t, w.FlushPulls(ctx)) // nothing left: adds no statement
	got := fmt.Sprint(w.decisions(u.PURL))
	if want := "[publish allow  0 pull deny release-recalled 1 pull allow  3]"; got != want {
		t.Errorf("decisions = %s\nwant        %s", got, want)
	}
}

func TestATextThatNoNameCanHoldFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.Names(t.Context(), purl.NPM, strings.Repeat("a", 60_000), "", 10)
	accounttest.Check(t, err)
	if len(got) != 0 {
		t.Error(got)
	}
}

func TestNamesAreFoundByPartAndWildcardsInTheTextMeanThemselves(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	for _, name := range []string{"@acme/button", "@acme/but_ton", "@acme/card"} {
		accounttest.Check(t, w.Publish(ctx, w.admin, upload(name, "1.0.0")))
	}
	for text, want := range map[string]string{
		"butt": "[@acme/button]", "t_t": "[@acme/but_ton]", "%": "[]", "": "[@acme/but_ton @acme/button @acme/card]",
	} {
		if got, err := w.Names(ctx, purl.NPM, text, "", 10); err != nil || fmt.Sprint(got) != want {
			t.Errorf("names with %q = %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestAVersionGoesWithAllItsTagsHoweverManyAndWheneverSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := manifest("app", "1")
	accounttest.Check(t, w.Publish(t.Context(), w.admin, u))
	const rounds, each = 12, 64
	for i := range rounds {
		var tags []string
		for j := range each {
			tags = append(tags, fmt.Sprintf("%0120d", i*each+j))
		}
		accounttest.Check(t, w.Tag(t.Context(), w.admin, purl.OCI, u.Name, u.Version, tags...))
	}
	accounttest.Check(t, w.Withdraw(t.Context(), w.admin, purl.OCI, u.Name, u.Version, "gone"))
	left, err := w.Tags(t.Context(), purl.OCI, u.Name, "", -1)
	accounttest.Check(t, err)
	if len(left) != 0 {
		t.Errorf("%d tags point at a version that is gone", len(left))
	}
	wantCode(t, w.Tag(t.Context(), w.admin, purl.OCI, u.Name, u.Version, "late"), "version-unknown")
}

func TestTaggingAndWithdrawingAtOnceLeavesNoTagBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := manifest("app")
	accounttest.Check(t, w.Publish(t.Context(), w.admin, u))
	var wg sync.WaitGroup
	var withdrawn atomic.Int64
	for i := range 8 {
		wg.Go(func() { _ = w.Tag(t.Context(), w.admin, purl.OCI, u.Name, u.Version, fmt.Sprint(i)) })
		wg.Go(func() {
			if w.Withdraw(t.Context(), w.admin, purl.OCI, u.Name, u.Version, "gone") == nil {
				withdrawn.Add(1)
			}
		})
	}
	wg.Wait()
	left, err := w.Tags(t.Context(), purl.OCI, u.Name, "", -1)
	accounttest.Check(t, err)
	if len(left) != 0 || withdrawn.Load() != 1 {
		t.Errorf("%d tags are left, withdrawn %d times", len(left), withdrawn.Load())
	}
}

func TestAPushThatWasAcknowledgedIsThereHoweverManyDeleteAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := manifest("app", "1")
	accounttest.Check(t, w.Publish(t.Context(), w.admin, u))
	for range 20 {
		var wg sync.WaitGroup
		wg.Go(func() { _ = w.Withdraw(t.Context(), w.admin, purl.OCI, u.Name, u.Version, "gone") })
		wg.Go(func() { accounttest.Check(t, w.Publish(t.Context(), w.admin, u)) })
		wg.Wait()
		r, err := w.Release(t.Context(), purl.OCI, u.Name, u.Version)
		accounttest.Check(t, err)
		tags, err := w.TagsOf(t.Context(), purl.OCI, u.Name, u.Version)
		accounttest.Check(t, err)
		if (r.State == registry.Active) != (len(tags) == 1) {
			t.Fatalf("%s, with tags %v", r.State, tags)
		}
	}
}
