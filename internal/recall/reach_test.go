package recall_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// company has a release of two versions that share a file, and images that hold the first by its name, by its
// files, and no more.
type company struct {
	*world
	b       *tracetest.Builder
	bad     purl.PURL
	payload digest.Digest
}

func files(paths map[string]string) []evidence.File { return tracetest.Files(paths, 100) }

func newCompany(t *testing.T, fleet recall.Fleet) *company {
	t.Helper()
	record, _ := tracetest.Open(t)
	c := &company{
		world: &world{Service: recall.New(record, owners{}, fleet), t: t, record: record},
		b:     tracetest.NewBuilder(t.Context(), record), payload: tracetest.Digest("payload"),
	}
	c.bad = c.b.Release("alice", "@alice/ui", "1.0.0", files(map[string]string{"package/p.js": "payload", "package/index.js": "index"}))
	c.b.Release("alice", "@alice/ui", "1.0.1", files(map[string]string{"package/index.js": "index"}))
	named := c.b.Layer("named", tracetest.Components(c.bad), nil)
	vendored := c.b.Layer("vendored", nil, files(map[string]string{"srv/p.js": "payload"}))
	common := c.b.Layer("common", nil, files(map[string]string{"srv/index.js": "index"}))
	gone := c.b.Removal("gone", []string{"srv/p.js"}, nil, nil)
	c.b.Image("bob", "bob/named", "1", nil, named)
	c.b.Image("bob", "bob/vendored", "1", nil, vendored)
	c.b.Image("bob", "bob/common", "1", nil, common)
	c.b.Image("bob", "bob/cleaned", "1", nil, vendored, gone)
	c.b.Image("bob", "bob/cleaned-by-name", "1", []evidence.HiddenComponent{{Position: 0, PURL: c.bad}}, named, gone)
	c.must(c.b.Append())
	return c
}

func (c *company) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *company) wantRecalled(want string) {
	c.t.Helper()
	if got := c.recalled(); got != want {
		c.t.Errorf("recalled: %q, want %q", got, want)
	}
}

func TestARecallReachesTheImagesThatHoldTheRelease(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	_, err := c.recall(by("root"), string(c.bad), "worm")
	c.must(err)
	c.wantRecalled("@alice/ui bob/named bob/vendored")
	c.lift("root", "alice", string(c.bad))
	c.wantRecalled("")
}

func TestARecallOfAFileReachesEveryCopyOfIt(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	_, err := c.recall(by("alice"), string(c.payload), "worm")
	c.want(err, "admin-required")
	_, err = c.recall(by("root"), string(c.payload), "worm")
	c.must(err)
	c.wantRecalled("@alice/ui bob/vendored")
	// What comes later is reached when its contents are known: a package, a layer, an image.
	c.b.Release("carol", "carol", "1.0.0", files(map[string]string{"package/lib/x.js": "payload"}))
	c.b.Image("bob", "bob/later", "1", nil, c.b.Layer("later", nil, files(map[string]string{"x": "payload"})))
	c.must(c.b.Append())
	c.wantRecalled("@alice/ui bob/later bob/vendored carol")
}

func TestAnOwnerDoesNotStopOthersByHavingTheSameFiles(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	_, err := c.recall(by("alice"), string(c.bad), "worm")
	c.must(err)
	c.wantRecalled("@alice/ui bob/named") // which names it itself
	reach, err := c.Reach(t.Context(), recall.Recall{Subjects: []string{string(c.bad)}})
	if err != nil || len(reach.Files) != 0 || !slices.Equal(reach.Components, []string{string(c.bad)}) || len(reach.Images) != 1 {
		t.Errorf("%+v, %v", reach, err)
	}
}

func TestNodesAreToldTheFilesThatOnlyTheRecalledReleaseShips(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	made, err := c.Recall(t.Context(), by("root"), recall.Order{Subject: string(c.bad), Reason: "worm", Gates: []string{"run"}})
	c.must(err)
	reach, err := c.Reach(t.Context(), made)
	c.must(err)
	digests := slices.DeleteFunc(reach.Files, func(d digest.Digest) bool { return slices.Contains(made.Subjects, string(d)) })
	if !slices.Equal(digests, []digest.Digest{c.payload}) || !slices.Equal(reach.Components, []string{string(c.bad)}) || len(reach.Images) != 2 {
		t.Errorf("%+v", reach)
	}
}

func TestOnlyTheGatesOfARecallEnforceIt(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	made, err := c.Recall(t.Context(), by("root"), recall.Order{Subject: string(c.bad), Reason: "worm", Gates: []string{"run", "publish"}})
	c.must(err)
	c.wantRecalled("")
	receipts, err := c.Receipts(t.Context(), by("alice"), made.Seq)
	c.must(err)
	if len(receipts.Received) != 1 || receipts.Received[0].Receiver != "server/publish" || receipts.Received[0].Seq != made.Seq+1 {
		t.Errorf("%+v", receipts.Received)
	}
	_, err = c.Receipts(t.Context(), by("mallory"), made.Seq)
	c.want(err, "namespace-not-yours")
	_, err = c.Receipts(t.Context(), by("root"), made.Seq+1)
	c.want(err, "recall-unknown")
}

func TestARecallIsNotLiftedByANarrowerOne(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	canary := &evidence.WorkloadRef{Cluster: "prod", Namespace: "staging"}
	wide := recall.Order{Subject: string(c.bad), Reason: "worm"}
	for _, step := range []struct {
		change func(*recall.Order)
		code   string
	}{
		{func(o *recall.Order) { o.Gates, o.Canary = []string{"run"}, canary }, ""},
		{func(o *recall.Order) { o.Gates = []string{"pull"} }, "recall-narrower"},
		{func(o *recall.Order) { o.Canary = canary }, ""},
		{func(o *recall.Order) { o.System = true }, ""},
		{func(o *recall.Order) { o.System, o.Canary = true, canary }, "recall-narrower"},
		{func(o *recall.Order) {}, "recall-narrower"},
		{func(o *recall.Order) { o.Gates = []string{"run"} }, "recall-narrower"},
		{func(o *recall.Order) { o.System = true }, ""},
		{func(o *recall.Order) { o.Gates = []string{"everywhere"} }, "recall-scope-invalid"},
		{func(o *recall.Order) { o.Canary = &evidence.WorkloadRef{} }, "recall-scope-invalid"},
		{func(o *recall.Order) { o.Gates, o.Canary = []string{"pull"}, canary }, "recall-scope-invalid"},
	} {
		o := wide
		step.change(&o)
		_, err := c.Recall(t.Context(), by("root"), o)
		c.want(err, step.code)
	}
}

func TestAPreviewSaysWhatARecallWouldDoAndDoesNothing(t *testing.T) {
	t.Parallel()
	fleet := func(context.Context) ([]recall.Member, error) {
		return []recall.Member{{Receiver: "agent/node-1", Gate: "run"}, {Receiver: "admission/prod", Gate: "admit"}}, nil
	}
	c := newCompany(t, fleet)
	image := c.imageOf("bob/vendored")
	run := func(namespace, container string) evidence.Draft {
		return evidence.Draft{
			Subjects: []evidence.Subject{{Digest: map[string]string{"sha256": image.Hex()}}},
			Predicate: evidence.Placement{
				WorkloadRef: evidence.WorkloadRef{Cluster: "prod", Namespace: namespace, Kind: "Deployment", Name: "web"},
				Node:        "node-1", Container: container, Running: true,
			},
			Issuer: evidence.Issuer{Kind: evidence.Agent, ID: "agent/node-1"}, Assurance: evidence.Observed,
		}
	}
	pulled := evidence.Draft{
		Subjects: []evidence.Subject{evidence.Pulls(c.bad)}, Predicate: evidence.Decision{Gate: "pull", Action: "download", Verdict: "allow", Count: 7},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "pull"}, Assurance: evidence.Observed,
	}
	_, err := c.record.Append(t.Context(), nil, run("shop", "a"), run("shop", "b"), run("kube-system", "c"), pulled)
	c.must(err)
	head := c.record.Head()
	p, err := c.Preview(t.Context(), by("root"), recall.Order{Subject: string(c.bad)})
	c.must(err)
	if p.Releases != 1 || p.Images != 2 || p.Pods != 3 || p.Stuck != 2 || p.System != 1 || p.Receivers != 4 || !p.Known || p.Refusal != "" {
		t.Errorf("%+v", p)
	}
	if len(p.Pulls) != 1 || p.Pulls[0].Pulls != 7 || !slices.Equal(p.Named, []string{"bob/named:1", "bob/vendored:1"}) {
		t.Errorf("%+v", p)
	}
	if len(p.Workloads) != 2 || p.Workloads[0].Namespace != "shop" || p.Workloads[0].Pods != 2 || p.Workloads[0].Restart || !p.Workloads[1].System {
		t.Errorf("%+v", p.Workloads)
	}
	c.wantRecalled("")
	if c.record.Head() != head {
		t.Error("the preview is on the record")
	}
	if p, err = c.Preview(t.Context(), by("root"), recall.Order{Subject: string(c.bad), Gates: []string{"run"}}); err != nil || p.Stuck != 0 || p.Receivers != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = c.Preview(t.Context(), by("mallory"), recall.Order{Subject: string(c.bad)})
	c.want(err, "namespace-not-yours")
	_, err = c.recall(by("root"), string(c.bad), "worm")
	c.must(err)
	if p, err = c.Preview(t.Context(), by("root"), recall.Order{Subject: string(c.bad), Gates: []string{"run"}}); err != nil || p.Refusal == "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func (c *company) imageOf(repository string) (d digest.Digest) {
	c.t.Helper()
	c.must(c.record.DB().Query().QueryRowContext(c.t.Context(), `SELECT r.version FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.name = $1`, repository).Scan(&d))
	return d
}

func TestWhoHasNotAnsweredIsListed(t *testing.T) {
	t.Parallel()
	seen := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	c := newCompany(t, func(context.Context) ([]recall.Member, error) {
		return []recall.Member{{Receiver: "agent/node-1", Gate: "run"}, {Receiver: "agent/node-2", Gate: "run", Seen: seen}}, nil
	})
	made, err := c.recall(by("root"), string(c.bad), "worm")
	c.must(err)
	_, err = c.record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.Receipts(made.Seq)},
		Predicate: evidence.Decision{Gate: "run", Action: "recall", Verdict: "deny", Receipt: &evidence.Receipt{
			Recall: made.Seq, Receiver: "agent/node-1", Outcome: "enforced", Stopped: 2,
		}},
		Issuer: evidence.Issuer{Kind: evidence.Agent, ID: "agent/node-1"}, Assurance: evidence.Observed,
	})
	c.must(err)
	r, err := c.Receipts(t.Context(), by("root"), made.Seq)
	c.must(err)
	if len(r.Received) != 3 || r.Received[2].Stopped != 2 || len(r.Missing) != 1 || r.Missing[0].Receiver != "agent/node-2" || !r.Missing[0].Seen.Equal(seen) {
		t.Errorf("%+v", r)
	}
}

func TestARebuildReachesTheSame(t *testing.T) {
	t.Parallel()
	c := newCompany(t, nil)
	for _, subject := range []string{string(c.bad), string(c.payload), string(tracetest.Digest("diff common")), "pkg:npm/late@1.0.0"} {
		_, err := c.recall(by("root"), subject, "worm")
		c.must(err)
	}
	c.b.Release("carol", "late", "1.0.0", files(map[string]string{"package/late.js": "late"}))
	c.b.Image("bob", "bob/late", "1", nil, c.b.Layer("late", nil, files(map[string]string{"x": "late"})))
	c.must(c.b.Append())
	c.lift("root", "alice", string(c.bad))
	before := c.dump()
	if !strings.Contains(before, "bob/common") || !strings.Contains(before, "bob/late") {
		t.Errorf("too little is recalled for the comparison to prove anything:\n%s", before)
	}
	c.must(c.record.Rebuild(t.Context(), nil))
	if after := c.dump(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// dump is everything that recalls project.
func (c *company) dump() string {
	c.t.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT 'reach ' || subject || ' ' || artifact_id || ' ' || via FROM recall_reach ORDER BY 1`,
		`SELECT 'file ' || hex(sha256) || ' ' || subject || ' ' || named FROM recall_file ORDER BY 1`,
		`SELECT 'recall ' || subject || ' ' || seq || gates || by_admin || undo_by FROM recall ORDER BY 1`,
		`SELECT 'release ' || p.name || ' ' || r.recalled || ' ' || p.revision FROM release r JOIN package p ON p.id = r.package_id ORDER BY 1`,
	} {
		err := c.record.DB().Read(c.t.Context(), func(tx *sql.Tx) error {
			rows, err := tx.Query(query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					return err
				}
				fmt.Fprintln(&b, line)
			}
			return rows.Err()
		})
		c.must(err)
	}
	return b.String()
}
