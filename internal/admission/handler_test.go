package admission_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/admission"
	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

func TestWhatIsNoReviewIsRefusedWithASentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	good := string(fixture(t, "pod-create-validate"))
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"nothing":                {"", 400, "review-malformed"},
		"no JSON":                {"{", 400, "review-malformed"},
		"another type":           {`[1,2]`, 400, "review-malformed"},
		"cut in the middle":      {good[:len(good)/2], 400, "review-malformed"},
		"no request":             {`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, "review-malformed"},
		"no uid":                 {`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, 400, "review-malformed"},
		"an older version":       {strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 405, "review-version-unsupported"},
		"another kind of review": {strings.Replace(good, "AdmissionReview", "TokenReview", 1), 405, "review-version-unsupported"},
	} {
		for _, path := range []string{"/validate", "/mutate"} {
			out := w.post(path, []byte(c.body))
			if out.Code != c.status || !strings.Contains(out.Body.String(), "["+c.code+"]") {
				t.Errorf("%s to %s: %d %s", name, path, out.Code, out.Body)
			}
		}
	}
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/validate", nil))
	if out.Code != 405 {
		t.Errorf("GET: %d", out.Code)
	}
}

func TestWhatCannotBeReadIsDeniedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	for name, body := range map[string][]byte{
		"containers that are no list": fixture(t, "deployment-create-validate", `"containers": [`, `"containers": {}, "x": [`),
		"no object":                   fixture(t, "deployment-create-validate", `"object": {`, `"object": null, "x": {`),
	} {
		if got := w.ask(t, "/validate", body); got.Allowed || !strings.Contains(got.Result.Message, "object-malformed") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestUnknownKindsAndDeletionsAreNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	unknown := fixture(t, "deployment-create-validate", `"kind": "Deployment"`, `"kind": "Rollout"`, `"group": "apps"`, `"group": "argoproj.io"`)
	if got := w.ask(t, "/validate", unknown); got.Allowed {
		t.Error("a pod template in an unknown kind is not seen")
	}
	noPod := fixture(t, "deployment-create-validate", `"kind": "Deployment"`, `"kind": "Shelf"`, `"group": "apps"`, `"group": "example.com"`, `"containers": [`, `"boxes": [`)
	if got := w.ask(t, "/validate", noPod); !got.Allowed {
		t.Errorf("%+v", got)
	}
	deleted := fixture(t, "deployment-create-validate", `"operation": "CREATE"`, `"operation": "DELETE"`, `"object": {`, `"object": null, "x": {`)
	if got := w.ask(t, "/validate", deleted); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

func TestALargeObjectIsDecidedAndAHugeOneDeniedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	pad := func(n int) []byte {
		return fixture(t, "deployment-create-validate", `"name": "bad"`, `"annotations": {"x": "`+strings.Repeat("y", n)+`"}, "name": "bad"`)
	}
	if got := w.ask(t, "/validate", pad(10<<20)); got.Allowed || !strings.Contains(got.Result.Message, "steals credentials") {
		t.Errorf("10 MB: %+v", got)
	}
	huge := pad(30 << 20)
	out := w.post("/validate", huge)
	if out.Code != 200 || !strings.Contains(out.Body.String(), "review-too-large") || strings.Contains(out.Body.String(), `"allowed":true`) {
		t.Errorf("30 MB: %d %.300s", out.Code, out.Body)
	}
	if got := w.ask(t, "/validate", huge); got.Result.Code != 413 {
		t.Errorf("30 MB: %+v", got.Result)
	}
	if out := w.post("/validate", bytes.Repeat([]byte{'x'}, 30<<20)); out.Code != 413 {
		t.Errorf("30 MB of nothing: %d", out.Code)
	}
}

// failing is a set of policies with a defect.
type failing struct{ wait chan struct{} }

func (f failing) Decide(policy.Request, func(string) policy.Record, []policy.Exception) policy.Verdict {
	if f.wait != nil {
		<-f.wait
		return policy.Verdict{Allow: true}
	}
	panic("the cause")
}

// with returns a world whose policies are the given program.
func with(t *testing.T, p snapshot.Program) *world {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "admission.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{decisions: &decisions{}, now: start, head: 10}
	if w.snapshot, err = snapshot.Open(t.Context(), db, func(string, []byte) (snapshot.Program, error) { return p, nil }, clock.System{}); err != nil {
		t.Fatal(err)
	}
	w.fill(t, "x")
	w.Gate = admission.NewGate(admission.Config{
		Snapshot: w.snapshot, Decisions: w.decisions, Clock: clock.System{}, Namespaces: namespaces{}, Log: slog.New(slog.DiscardHandler),
	})
	w.handler = w.Gate.Handler(&admission.Metrics{})
	return w
}

func TestAPanicIsADenialOfOneObject(t *testing.T) {
	t.Parallel()
	w := with(t, failing{})
	for range 2 {
		got := w.ask(t, "/validate", fixture(t, "pod-create-validate"))
		if got.Allowed || got.Result.Code != 500 || !strings.Contains(got.Result.Message, "admission-failed") || strings.Contains(got.Result.Message, "the cause") {
			t.Errorf("%+v", got)
		}
	}
}

func TestTooManyReviewsAreTurnedAwayAtOnceAndTheOthersAnswered(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	w := with(t, failing{wait})
	body := fixture(t, "pod-create-validate")
	var all sync.WaitGroup
	results := make(chan *httptest.ResponseRecorder, 1000)
	n := 40 * runtime.GOMAXPROCS(0)
	began := time.Now()
	for range n {
		all.Go(func() { results <- w.post("/validate", body) })
	}
	turnedAway := 0
	for range n - 2*runtime.GOMAXPROCS(0) { // all but those that decide
		out := <-results
		if out.Code != 503 || !strings.Contains(out.Body.String(), "admission-busy") {
			t.Fatalf("%d %s", out.Code, out.Body)
		}
		turnedAway++
	}
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("%d were turned away after %s, when the API server hardly waits any more", turnedAway, took)
	}
	close(wait)
	all.Wait()
	close(results)
	for out := range results {
		if out.Code != 200 {
			t.Errorf("%d %s", out.Code, out.Body)
		}
	}
}

func TestBeforeAnythingWasHeardTheClustersOwnRuleHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "empty.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	empty, err := snapshot.Open(t.Context(), db, compile, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	w.Gate = admission.NewGate(admission.Config{Snapshot: empty, Decisions: w.decisions, Clock: clock.System{}, Namespaces: namespaces{}, Log: slog.New(slog.DiscardHandler)})
	w.handler = w.Gate.Handler(&admission.Metrics{})
	for _, path := range []string{"/validate", "/mutate"} {
		if out := w.post(path, fixture(t, "pod-create-validate")); out.Code != 503 || !strings.Contains(out.Body.String(), "snapshot-empty") {
			t.Errorf("%s: %d %s", path, out.Code, out.Body)
		}
	}
	if out := w.get("/readyz"); out.Code != 503 {
		t.Errorf("ready: %d", out.Code)
	}
	if out := w.get("/healthz"); out.Code != 200 {
		t.Errorf("alive: %d", out.Code)
	}
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, httptest.NewRequest(http.MethodGet, path, nil))
	return out
}

func TestMetricsTellWhatWasAnsweredAndHowOldTheRecordIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	w.ask(t, "/validate", fixture(t, "pod-create-validate"))
	w.ask(t, "/validate", fixture(t, "deployment-create-validate"))
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Policies{Policies: &fleetv1.PolicySet{Revision: "r", Document: []byte("nonsense")}}})
	out := w.get("/metrics").Body.String()
	for _, line := range []string{
		`hullmark_admission_review_duration_seconds_count{webhook="validate",outcome="allowed"} 1`,
		`hullmark_admission_review_duration_seconds_count{webhook="validate",outcome="denied"} 1`,
		"hullmark_admission_snapshot_age_seconds 0", "hullmark_admission_snapshot_head 10", "hullmark_admission_policy_degraded 1",
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("%s is missing in\n%s", line, out)
		}
	}
	if got := w.get("/readyz"); got.Code != 200 {
		t.Errorf("a broken new set makes it unready: %d", got.Code)
	}
}

// netless is set in the process that has no network.
const netless = "HULLMARK_TEST_NETLESS"

// The same decisions come out where nothing can be reached at all: not even loopback is up.
func TestNoOutboundCallWhileARequestWaits(t *testing.T) {
	if os.Getenv(netless) != "" {
		decideWithoutNetwork(t)
		return
	}
	t.Parallel()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		attr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestNoOutboundCallWhileARequestWaits$", "-test.v")
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), netless+"=1"), attr
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") && os.Getenv("CI") != "true" {
		t.Skipf("a network namespace needs root, or user namespaces: %v", err)
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func decideWithoutNetwork(t *testing.T) {
	if c, err := net.DialTimeout("tcp", "127.0.0.1:1", time.Second); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Fatalf("there is a network here: %v, %v", c, err)
	}
	w := newWorld(t, shipped())
	if got := w.ask(t, "/validate", fixture(t, "deployment-create-validate")); got.Allowed {
		t.Error("allowed")
	}
	if got := w.ask(t, "/validate", fixture(t, "pod-create-validate")); !got.Allowed {
		t.Errorf("%+v", got)
	}
	if got := w.ask(t, "/mutate", fixture(t, "pod-create-mutate")); got.Patch == nil {
		t.Errorf("%+v", got)
	}
}

func FuzzReview(f *testing.F) {
	for _, name := range []string{"deployment-create-validate", "pod-create-mutate", "ephemeral-update-mutate", "volume-create-mutate"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"x","operation":"CREATE"}}`))
	w := newWorld(f, shipped())
	f.Fuzz(func(t *testing.T, raw []byte) {
		request, err := admission.ParseReview(raw)
		if err != nil {
			if code := fault.As(err).Code; code != "review-malformed" && code != "review-version-unsupported" {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		for _, path := range []string{"/validate", "/mutate"} {
			got := w.ask(t, path, raw)
			if got.UID != request.UID || (!got.Allowed && got.Result.Message == "") || (got.Result != nil && strings.Contains(got.Result.Message, "admission-failed")) {
				t.Errorf("%+v", got)
			}
		}
	})
}
