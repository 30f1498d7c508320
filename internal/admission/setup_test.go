package admission_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/hullmark/hullmark/internal/admission"
	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/admission/report"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const registry = "127.0.0.1:4873"

// decisions keeps what a gate says.
type decisions struct {
	mu   sync.Mutex
	list []report.Statement
}

func (d *decisions) Take(s report.Statement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, s)
}

func (d *decisions) last(t *testing.T) evidence.Decision {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		t.Fatal("there is no decision")
	}
	return d.list[len(d.list)-1].Predicate.(evidence.Decision)
}

type namespaces map[string]map[string]string

func (n namespaces) Labels(name string) (map[string]string, bool) {
	labels, ok := n[name]
	return labels, ok
}

// world is a gate and what it decides from.
type world struct {
	*admission.Gate
	handler   http.Handler
	snapshot  *snapshot.Snapshot
	decisions *decisions
	now       time.Time
	head      int64
}

func compile(_ string, document []byte) (snapshot.Program, error) {
	set, err := policy.Parse(document)
	if err != nil {
		return nil, err
	}
	return policy.Compile(set)
}

func newWorld(t testing.TB, documents string) *world {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "admission.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{decisions: &decisions{}, now: start, head: 10}
	now := clock.Func(func() time.Time { return w.now })
	if w.snapshot, err = snapshot.Open(t.Context(), db, compile, now); err != nil {
		t.Fatal(err)
	}
	w.fill(t, documents)
	w.Gate = admission.NewGate(admission.Config{
		Cluster: "prod", Registries: []string{registry}, Snapshot: w.snapshot, Decisions: w.decisions, Clock: now,
		Namespaces: namespaces{"default": {"kubernetes.io/metadata.name": "default"}}, Log: slog.New(slog.DiscardHandler),
	})
	w.handler = w.Gate.Handler(&admission.Metrics{})
	return w
}

// shipped are the policies that come with the program.
func shipped() string {
	var b strings.Builder
	for _, name := range policy.ShippedNames() {
		text, _ := policy.ShippedDocument(name)
		b.WriteString("---\n" + string(text) + "\n")
	}
	return b.String()
}

func (w *world) fill(t testing.TB, documents string) {
	t.Helper()
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Reset_{Reset_: true}})
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Policies{Policies: &fleetv1.PolicySet{Revision: "sha256:feed", Document: []byte(documents)}}})
	for _, name := range []string{"acme/shop:1", "acme/tools:1", "acme/data:1", "acme/evil:1"} {
		raw, err := json.Marshal(admissiontest.Record(name, start, 3))
		if err != nil {
			t.Fatal(err)
		}
		repository, tag, _ := strings.Cut(name, ":")
		w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Image{Image: &fleetv1.ImageRecord{Digest: admissiontest.Digest(name), Record: raw}}})
		w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Tag{Tag: &fleetv1.Tag{Repository: repository, Tag: tag, Digest: admissiontest.Digest(name)}}})
	}
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Recalls{Recalls: &fleetv1.Recalls{Recalls: []*fleetv1.Recall{{
		Seq: 5, Subjects: []string{"pkg:npm/%40acme/ui-kit@4.2.1"}, Components: []string{"pkg:npm/%40acme/ui-kit@4.2.1"},
		Images: []string{admissiontest.Digest("acme/evil:1")}, Reason: "steals credentials", Account: "dora",
	}}}}})
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Synced{Synced: true}})
}

func (w *world) apply(t testing.TB, u *fleetv1.Update) {
	t.Helper()
	u.Head = w.head
	if err := w.snapshot.Apply(u); err != nil {
		t.Fatal(err)
	}
}

// fixture is a review that a real API server sent, with its texts replaced in pairs.
func fixture(t testing.TB, name string, replace ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(raw, []byte(replace[i])) {
			t.Fatalf("%s does not have %q", name, replace[i])
		}
	}
	return []byte(strings.NewReplacer(replace...).Replace(string(raw)))
}

// post sends a body to a webhook.
func (w *world) post(path string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path+"?timeout=3s", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	return out
}

// ask sends a review and returns the answer to it.
func (w *world) ask(t testing.TB, path string, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	out := w.post(path, body)
	if out.Code != http.StatusOK {
		t.Fatalf("status %d: %s", out.Code, out.Body)
	}
	var sent, got admissionv1.AdmissionReview
	if err := json.Unmarshal(out.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &sent); err == nil && (got.Response == nil || got.Response.UID != sent.Request.UID) {
		t.Fatalf("the answer is not to this request: %s", out.Body)
	}
	if got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" {
		t.Fatalf("the answer is a %s %s", got.APIVersion, got.Kind)
	}
	return got.Response
}
