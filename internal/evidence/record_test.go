package evidence_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

func openRecord(t testing.TB, folder string, clk clock.Clock) *evidence.Record {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(folder, "hullmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context(), evidence.Schema()); err != nil {
		t.Fatal(err)
	}
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := evidence.Open(t.Context(), db, blobs, clk)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var alice = evidence.Actor{Account: "alice", Credential: "token:tok_1", Method: "token", AddressHash: "ab12"}

func digestOf(s string) digest.Digest { return digest.FromBytes([]byte(s)) }

func published(name, version string, tags ...string) evidence.Draft {
	p, d := purl.New(purl.NPM, name, version), digestOf(name+version)
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)},
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: purl.NPM, Name: name, Version: version, Tags: tags,
			Artifact: d, Size: 100, MediaType: "application/gzip", Actor: alice,
		},
		Issuer: alice.Issuer(), Assurance: evidence.Authenticated,
	}
}

func appendOK(t testing.TB, r *evidence.Record, drafts ...evidence.Draft) []evidence.Statement {
	t.Helper()
	out, err := r.Append(t.Context(), nil, drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAStatementComesBackAsItWasAndItsLeafIsTheHashOfItsEntry(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	want := appendOK(t, r, published("@acme/ui", "1.0.0", "latest"), published("@acme/ui", "1.1.0"))
	got, err := r.About(t.Context(), "pkg:npm/%40acme/ui@1.0.0", -1, 10)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want[0]) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want[0])
	}
	hashes, err := r.LeafHashes(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := r.Entries(t.Context(), 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if hashes[i] != tlog.RecordHash(entries[i]) {
			t.Errorf("leaf %d is not the hash of its entry", i)
		}
	}
}

func TestARefusingGuardLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	refuse := errors.New("no")
	_, err := r.Append(t.Context(), func(*sql.Tx) error { return refuse }, published("a", "1.0.0"))
	if !errors.Is(err, refuse) {
		t.Fatalf("err = %v, want the guard's own", err)
	}
	if got := appendOK(t, r, published("b", "1.0.0")); got[0].Seq != 0 {
		t.Errorf("the next statement has seq %d, want 0", got[0].Seq)
	}
}

func TestTimeNeverGoesBackwardsEvenAcrossARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	first := openRecord(t, folder, clock.Func(func() time.Time { return noon }))
	appendOK(t, first, published("a", "1.0.0"))
	second := openRecord(t, folder, clock.Func(func() time.Time { return noon.Add(-time.Hour) }))
	got := appendOK(t, second, published("a", "1.0.1"))
	if got[0].Seq != 1 || got[0].Time.Before(noon) {
		t.Errorf("seq %d at %s; want 1, not before %s", got[0].Seq, got[0].Time, noon)
	}
}

func TestARecallReachesReleasesPublishedBeforeAndAfterIt(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	recalled := func(version string) string {
		var reason string
		err := r.DB().Query().QueryRow(`SELECT recalled FROM release WHERE version = $1`, version).Scan(&reason)
		if err != nil {
			t.Fatal(err)
		}
		return reason
	}
	recall := func(p purl.PURL, lifted bool) evidence.Draft {
		return evidence.Draft{
			Subjects: []evidence.Subject{evidence.About(p, "")}, Issuer: alice.Issuer(), Assurance: evidence.Authenticated,
			Predicate: evidence.Recall{Reason: "worm", Lifted: lifted, Actor: alice},
		}
	}
	appendOK(t, r, published("a", "1.0.0"), recall("pkg:npm/a@1.0.0", false), recall("pkg:npm/a@2.0.0", false), published("a", "2.0.0"))
	if recalled("1.0.0") != "worm" || recalled("2.0.0") != "worm" {
		t.Errorf("recalled = %q, %q; want worm for both", recalled("1.0.0"), recalled("2.0.0"))
	}
	appendOK(t, r, recall("pkg:npm/a@1.0.0", true))
	if recalled("1.0.0") != "" || recalled("2.0.0") != "worm" {
		t.Errorf("after lifting the first: %q, %q", recalled("1.0.0"), recalled("2.0.0"))
	}
}

func TestAPoorerDescriptionOfAnImageDoesNotUndoAWholeOne(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	whole, poor := imageContents("1", 0), imageContents("1", 0)
	poor.Predicate = evidence.Contents{Of: "image", Incomplete: "layer 0 was not read"}
	appendOK(t, r, layerContents(t, r, "a", "1.0.0", 0), poor, whole, poor)
	var incomplete, platform string
	err := r.DB().Query().QueryRow(`SELECT incomplete, platform FROM artifact WHERE digest = $1`, digestOf("image1")).Scan(&incomplete, &platform)
	if err != nil || incomplete != "" || platform != "linux/amd64" {
		t.Errorf("incomplete %q, platform %q, %v; want what the whole description said", incomplete, platform, err)
	}
}

// busy fills the record with every sort of statement in a random but repeatable order.
func busy(t testing.TB, r *evidence.Record, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		name := fmt.Sprintf("@acme/p%d", rng.IntN(n/4+1))
		version := fmt.Sprintf("1.0.%d", i)
		drafts := []evidence.Draft{published(name, version, "latest"), decision(name, version), releaseContents(t, r, name, version)}
		switch rng.IntN(6) {
		case 0:
			drafts = append(drafts, event(evidence.Withdrawn, name, version, "latest"))
		case 1:
			drafts = append(drafts, event(evidence.Deprecated, name, version))
		case 2:
			drafts = append(drafts, event(evidence.Tagged, name, version, "next"), event(evidence.Untagged, name, version, "next"))
		case 3:
			drafts = append(drafts, evidence.Draft{
				Subjects: drafts[0].Subjects, Issuer: alice.Issuer(), Assurance: evidence.Authenticated,
				Predicate: evidence.Recall{Reason: "worm", Lifted: rng.IntN(2) == 0, Actor: alice},
			})
		case 4:
			drafts = append(drafts, layerContents(t, r, name, version, i%7), imageContents(version, i%7), indexContents(version))
		}
		appendOK(t, r, drafts...)
		if i%5 == 0 {
			appendOK(t, r, runtimeDrafts(r.Head(), version, drafts[0].Subjects)...)
		}
	}
}

// runtimeDrafts are one of everything that people say about policies, and that the later gates see.
func runtimeDrafts(head int64, version string, release []evidence.Subject) []evidence.Draft {
	var out []evidence.Draft
	say := func(p evidence.Predicate, subjects ...evidence.Subject) {
		out = append(out, evidence.Draft{Subjects: subjects, Predicate: p, Issuer: alice.Issuer(), Assurance: evidence.Authenticated})
	}
	image := evidence.About("", digestOf("image"+version))
	where := evidence.WorkloadRef{Cluster: "prod", Namespace: "web", Kind: "Deployment", Name: "shop"}
	x := evidence.Exception{
		Event: evidence.Requested, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, Reason: "r", Ticket: "T-1",
		Expires: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), Actor: alice,
	}
	say(x, evidence.Subject{Name: "policy:p"})
	x.ID, x.Event = head, evidence.Approved
	say(x, evidence.Subject{Name: "policy:p"})
	say(evidence.Decision{
		Gate: "admit", Action: "create", Verdict: "allow", ID: "uid" + version, Exceptions: []int64{head}, Workload: &where, Count: 2,
		Input: json.RawMessage(`{"id": "x"}`),
	}, image)
	x.Event = evidence.Revoked
	say(x, evidence.Subject{Name: "policy:p"})
	say(evidence.PolicySet{Revision: digestOf(version), Policies: []string{"p"}, Actor: alice}, evidence.Subject{Name: "policy-set"})
	say(evidence.Approval{Release: purl.PURL(release[0].Name), Actor: alice, Reason: "read"}, release...)
	say(evidence.Verification{Proof: "signature", Identity: "ci", Verdict: "holds"}, image)
	say(evidence.Findings{Source: "osv", Advisories: []string{"A-1", "A-2"}}, release...)
	say(evidence.Gap{What: "some", Reason: "lost"}, image)
	say(evidence.Placement{WorkloadRef: where, Node: "n", Container: version, Running: true}, image)
	say(evidence.Behaviour{Fact: "loaded", WorkloadRef: where, Count: 3}, release...)
	say(evidence.Decision{
		Gate: "run", Action: "recall", Verdict: "deny", Receipt: &evidence.Receipt{Recall: 0, Receiver: "agent/" + version, Outcome: "enforced"},
	}, image)
	return out
}

func event(e evidence.PublicationEvent, name, version string, tags ...string) evidence.Draft {
	d := published(name, version)
	d.Predicate = evidence.Publication{Event: e, Ecosystem: purl.NPM, Name: name, Version: version, Tags: tags, Message: "old", Actor: alice}
	return d
}

func decision(name, version string) evidence.Draft {
	d := published(name, version)
	d.Predicate = evidence.Decision{Gate: "publish", Action: "publish", Verdict: "allow", Policy: "test/1", Actor: alice}
	d.Issuer = evidence.Issuer{Kind: evidence.Gate, ID: "publish"}
	return d
}

func storeInventory(t testing.TB, r *evidence.Record, inv *evidence.Inventory) digest.Digest {
	t.Helper()
	d, err := r.StoreInventory(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func releaseContents(t testing.TB, r *evidence.Record, name, version string) evidence.Draft {
	d := published(name, version)
	inv := &evidence.Inventory{Analyser: "release/1", Files: []evidence.File{
		{Path: "package/index.js", Size: 10, Mode: 0o644, SHA256: digestOf("index" + version)},
		{Path: "package/package.json", Size: 20, Mode: 0o644, SHA256: digestOf("json" + version)},
	}}
	d.Predicate = evidence.Contents{Of: "release", Analyser: inv.Analyser, Inventory: storeInventory(t, r, inv), Files: 2}
	return d
}

func layerContents(t testing.TB, r *evidence.Record, name, version string, n int) evidence.Draft {
	diffID := digestOf(fmt.Sprint("layer", n))
	inv := &evidence.Inventory{
		Analyser: "layer/1", DiffID: diffID,
		Components: []evidence.Component{{PURL: purl.New(purl.NPM, name, version), Path: "app/node_modules/x/package.json"}},
		Databases: []evidence.Database{{Path: "var/lib/dpkg/status", Components: []evidence.Component{
			{PURL: "pkg:deb/debian/bash@5.2", Path: "var/lib/dpkg/status", Source: "bash 5.2"}}}},
		Files:     []evidence.File{{Path: "app/vendor.js", Size: 10, Mode: 0o644, SHA256: digestOf("index" + version)}},
		Whiteouts: []string{"app/old.js", "srv"}, Opaque: []string{"srv", "."},
	}
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About("", diffID), evidence.About("", digestOf(fmt.Sprint("blob", n)))},
		Predicate: evidence.Contents{Of: "layer", Analyser: inv.Analyser, Inventory: storeInventory(t, r, inv), Blob: digestOf(fmt.Sprint("blob", n))},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

func indexContents(version string) evidence.Draft {
	d := imageContents(version, 0)
	d.Subjects = []evidence.Subject{evidence.About(purl.Image("acme/app", "index"+version), digestOf("index"+version))}
	d.Predicate = evidence.Contents{Of: "index", Manifests: []digest.Digest{digestOf("image" + version)}}
	return d
}

func imageContents(version string, n int) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(purl.Image("acme/app", version), digestOf("image"+version))},
		Predicate: evidence.Contents{
			Of: "image", Platform: "linux/amd64",
			Layers: []evidence.ImageLayer{{DiffID: digestOf(fmt.Sprint("layer", n)), Blob: digestOf(fmt.Sprint("blob", n)), CreatedBy: "COPY . /app"}},
			Hidden: []evidence.HiddenComponent{{Position: 0, PURL: "pkg:deb/debian/bash@5.2"}},
		},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

// dump returns every row of every table, as text, in a fixed order.
func dump(t testing.TB, db *store.DB) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	names, err := db.Query().Query(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	for names.Next() {
		var table string
		if err := names.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables[table] = dumpTable(t, db, table)
	}
	return tables
}

func dumpTable(t testing.TB, db *store.DB, table string) []string {
	rows, err := db.Query().QueryContext(context.Background(), `SELECT * FROM `+table+` ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for i, c := range cells {
			line += fmt.Sprintf("%s=%v ", columns[i], *c.(*any))
		}
		out = append(out, line)
	}
	return out
}

func TestRebuildGivesTheSameTablesRowForRow(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	busy(t, r, 200)
	before := dump(t, r.DB())
	for _, table := range []string{"release", "artifact", "layer", "component", "file", "publication", "decision", "tag", "recall", "hidden_component", "index_manifest", "whiteout",
		"recall_event", "receipt", "approval", "policy_set", "exception", "exception_use", "decision_id", "placement", "behaviour",
		"described", "image_top", "verification", "finding", "gap"} {
		if len(before[table]) == 0 {
			t.Errorf("the busy store has no row in %s: the comparison would prove nothing", table)
		}
	}
	calls := int64(0)
	if err := r.Rebuild(t.Context(), func(int64, int64) { calls++ }); err != nil {
		t.Fatal(err)
	}
	if calls != r.Head() {
		t.Errorf("progress was told of %d of %d statements", calls, r.Head())
	}
	after := dump(t, r.DB())
	for table := range before {
		if !reflect.DeepEqual(before[table], after[table]) {
			t.Errorf("%s differs after the rebuild: %d rows before, %d after", table, len(before[table]), len(after[table]))
		}
	}
}

func TestAProjectionThatWasTamperedWithIsMendedByARebuild(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	busy(t, r, 40)
	before := dump(t, r.DB())
	err := r.DB().Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE release SET publisher = 'mallory'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(before, dump(t, r.DB())) {
		t.Fatal("the tampering did not take")
	}
	if err := r.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, dump(t, r.DB())) {
		t.Error("the rebuild did not mend it")
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := openRecord(b, b.TempDir(), clock.System{})
			drafts := make([]evidence.Draft, batch)
			for i := range drafts {
				drafts[i] = decision("@acme/ui", fmt.Sprint("1.0.", i))
			}
			for b.Loop() {
				appendOK(b, r, drafts...)
			}
			b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "statements/s")
		})
	}
}

func TestAnImageThatClaimsADigestDoesNotDecideWhatItsPublisherOffersUnderIt(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	victim, other := published("@acme/ui", "1.0.0"), digestOf("image")
	claimed := victim.Predicate.(evidence.Publication).Artifact
	image := evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(purl.Image("mallory/app", string(other)), other)},
		Predicate: evidence.Contents{Of: "image", Incomplete: "layer 0 was not read", Layers: []evidence.ImageLayer{{DiffID: claimed, Blob: other}}},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
	for _, d := range []evidence.Draft{image, victim} {
		if _, err := r.Append(t.Context(), nil, d); err != nil {
			t.Fatal(err)
		}
	}
	var kind, mediaType string
	var size int64
	err := r.DB().Query().QueryRowContext(t.Context(), `SELECT kind, media_type, size FROM artifact WHERE digest = $1`, claimed).Scan(&kind, &mediaType, &size)
	if err != nil || kind != "package" || mediaType != "application/gzip" || size != 100 {
		t.Errorf("kind %q, media type %q, size %d, err %v", kind, mediaType, size, err)
	}
}
