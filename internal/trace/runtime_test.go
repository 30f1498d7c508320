package trace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/trace"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// cluster is a company of two images that hold a release, of which one is a secret, and what an agent and an
// admission controller said about them.
func cluster(t *testing.T) (*trace.Tracer, *evidence.Record, digest.Digest) {
	t.Helper()
	record, db := tracetest.Open(t)
	b := tracetest.NewBuilder(t.Context(), record)
	ui := b.Release("alice", "@acme/ui", "1.0.0", tracetest.Files(map[string]string{"package/index.js": "ui index"}, 100))
	layer := b.Layer("npm install", tracetest.Components(ui), nil)
	app := b.Image("bob", "acme/app", "1.0", nil, layer)
	secret := b.Image("bob", "secret/app", "1.0", nil, b.Layer("another", tracetest.Components(ui), nil))
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	shop := evidence.WorkloadRef{Cluster: "prod", Namespace: "shop", Kind: "Deployment", Name: "web"}
	place := func(image digest.Digest, w evidence.WorkloadRef, node, container string, running bool) evidence.Draft {
		return agentSays(evidence.Subject{Digest: map[string]string{"sha256": image.Hex()}},
			evidence.Placement{WorkloadRef: w, Node: node, Container: container, Running: running})
	}
	seen := time.Date(2026, 5, 1, 11, 3, 0, 0, time.UTC)
	_, err := record.Append(t.Context(), nil,
		evidence.Draft{
			Subjects:  []evidence.Subject{{Name: "acme/app:1.0", Digest: map[string]string{"sha256": app.Hex()}}},
			Predicate: evidence.Decision{Gate: "admit", Action: "create", Verdict: "allow", Workload: &shop, Exceptions: []int64{12}},
			Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "admission/prod"}, Assurance: evidence.Observed,
		},
		place(app, shop, "node-1", "c1", true), place(app, shop, "node-2", "c2", true), place(app, shop, "node-2", "c3", true),
		place(app, shop, "node-2", "c3", false), place(app, shop, "node-1", "c1", true),
		place(secret, evidence.WorkloadRef{Cluster: "prod", Namespace: "hush", Kind: "Pod", Name: "x"}, "node-1", "c9", true),
		agentSays(evidence.Subject{Name: string(ui)}, evidence.Behaviour{
			Fact: "executed", Image: app, WorkloadRef: shop, Node: "node-1", First: seen, Last: seen.Add(time.Hour), Count: 3,
		}),
		agentSays(evidence.Subject{Name: string(ui)}, evidence.Behaviour{
			Fact: "executed", Image: secret, WorkloadRef: evidence.WorkloadRef{Namespace: "hush"}, Node: "node-1", First: seen, Last: seen, Count: 1,
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return trace.New(db, readers{}), record, app
}

func agentSays(about evidence.Subject, p evidence.Predicate) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{about}, Predicate: p, Issuer: evidence.Issuer{Kind: evidence.Agent, ID: "agent/node-1"}, Assurance: evidence.Observed,
	}
}

func TestATraceSaysWhereItRunsAndWhetherItExecuted(t *testing.T) {
	t.Parallel()
	tracer, record, app := cluster(t)
	check := func(name, account, query string) {
		answer, err := tracer.Trace(t.Context(), evidence.Actor{Account: account}, query)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		b.WriteString(answer.Summary + "\n")
		outline(&b, answer.Root, 0)
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != b.String() {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", name, err, b.String(), want)
		}
	}
	check("release-that-runs", "bob", "pkg:npm/%40acme/ui@1.0.0")
	check("release-that-runs-for-who-may-see-all", "alice", "pkg:npm/%40acme/ui@1.0.0")
	check("image-that-runs", "bob", string(app))
	nobody, err := tracer.Trace(t.Context(), evidence.Actor{}, string(app))
	if err != nil || strings.Contains(nobody.Summary, "running") {
		t.Errorf("anybody learns where it runs: %q, %v", nobody.Summary, err)
	}
	if err := record.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check("release-that-runs", "bob", "pkg:npm/%40acme/ui@1.0.0")
}
