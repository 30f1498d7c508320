package admission_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/admission/admissiontest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
)

func TestADenialNamesEverythingThatIsToBeKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	got := w.ask(t, "/validate", fixture(t, "deployment-create-validate"))
	if got.Allowed || got.Result.Code != 403 {
		t.Fatalf("%+v", got)
	}
	for _, part := range []string{
		registry + "/acme/evil:1", "@acme/ui-kit 4.2.1", "pkg:npm/%40acme/ui-kit@4.2.1", "bob", "no-recalled-content", "dora", "steals credentials",
		"hullmark exception request --policy no-recalled-content", "hullmark explain", string(got.UID),
	} {
		if !strings.Contains(got.Result.Message, part) {
			t.Errorf("%q is missing in: %s", part, got.Result.Message)
		}
	}
	d := w.decisions.last(t)
	if d.Gate != "admit" || d.Action != "create" || d.Verdict != "deny" || d.Policy != "sha256:feed" || d.Head != 10 || d.ID != string(got.UID) ||
		*d.Workload != (evidence.WorkloadRef{Cluster: "prod", Namespace: "default", Kind: "Deployment", Name: "bad"}) || len(d.Reasons) == 0 {
		t.Errorf("%+v", d)
	}
	var input policy.Request
	if err := json.Unmarshal(d.Input, &input); err != nil || input.Images[0].Digest != admissiontest.Digest("acme/evil:1") || !input.At.Equal(start) {
		t.Errorf("%+v, %v", input, err)
	}
}

func TestEveryAnswerCarriesWhatTheAuditLogNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	for _, name := range []string{"deployment-create-validate", "pod-create-validate", "pod-dry-run-validate", "ephemeral-update-validate", "pod-update-validate"} {
		got := w.ask(t, "/validate", fixture(t, name))
		if got.AuditAnnotations["decision"] != string(got.UID) || got.AuditAnnotations["policy-revision"] != "sha256:feed" ||
			got.AuditAnnotations["record-head"] != "10" || got.AuditAnnotations["snapshot-age"] != "0s" {
			t.Errorf("%s: %v", name, got.AuditAnnotations)
		}
	}
}

func TestADryRunIsDecidedAndNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	if got := w.ask(t, "/validate", fixture(t, "pod-dry-run-validate")); !got.Allowed {
		t.Errorf("%+v", got)
	}
	if len(w.decisions.list) != 0 {
		t.Errorf("%d decisions", len(w.decisions.list))
	}
}

// patch is a JSON patch as a test reads it.
type patch []struct {
	Op, Path string
	Value    any
}

func (w *world) pin(t *testing.T, body []byte) (out patch) {
	t.Helper()
	got := w.ask(t, "/mutate", body)
	if !got.Allowed {
		t.Fatalf("denied: %+v", got.Result)
	}
	if got.Patch != nil {
		if err := json.Unmarshal(got.Patch, &out); err != nil || *got.PatchType != "JSONPatch" {
			t.Fatalf("%s, %v", got.Patch, err)
		}
	}
	return out
}

func TestTagsOfAPodArePinnedWhereTheyStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	got := fmt.Sprint(w.pin(t, fixture(t, "pod-create-mutate")))
	want := fmt.Sprintf("[{replace /spec/containers/0/image %s/acme/shop:1@%s} {add /metadata/annotations map[admission.hullmark.dev/pinned:app]}]",
		registry, admissiontest.Digest("acme/shop:1"))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	volume := fmt.Sprint(w.pin(t, fixture(t, "volume-create-mutate")))
	if !strings.Contains(volume, "/image/reference "+registry) || !strings.Contains(volume, "pinned:app,volume/data") {
		t.Error(volume)
	}
	ephemeral := fmt.Sprint(w.pin(t, fixture(t, "ephemeral-update-mutate")))
	if ephemeral != fmt.Sprintf("[{replace /spec/ephemeralContainers/0/image %s/acme/tools:1@%s}]", registry, admissiontest.Digest("acme/tools:1")) {
		t.Error(ephemeral)
	}
}

func TestWhatIsNotPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	for name, body := range map[string][]byte{
		"a Deployment":                   fixture(t, "deployment-create-validate"),
		"a tag that nobody knows":        fixture(t, "pod-create-mutate", "acme/shop:1", "acme/shop:9"),
		"a tag of another registry":      fixture(t, "pod-create-mutate", registry, "quay.io"),
		"a digest":                       fixture(t, "pod-create-mutate", "acme/shop:1", "acme/shop@"+admissiontest.Digest("acme/shop:1")),
		"an image that was there before": fixture(t, "pod-update-mutate", "acme/evil:1", "acme/shop:1", "acme/shop:1@"+admissiontest.Digest("acme/shop:1"), "acme/shop:1"),
	} {
		if got := w.pin(t, body); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnEphemeralContainerIsJudgedByWhatItsAuthorWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced(t, "digest-pinned"))
	if got := w.ask(t, "/mutate", fixture(t, "ephemeral-update-mutate")); got.Allowed || !strings.Contains(got.Result.Message, "digest-pinned") {
		t.Errorf("%+v", got)
	}
}

func TestAPolicyAboutPinningJudgesWhatTheAuthorWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced(t, "digest-pinned"))
	if got := w.ask(t, "/validate", fixture(t, "pod-create-validate")); got.Allowed {
		t.Error("a tag that the webhook pinned counts as pinned by its author")
	}
	body := fixture(t, "pod-create-validate", `"admission.hullmark.dev/pinned": "app"`, `"other": "x"`)
	if got := w.ask(t, "/validate", body); !got.Allowed {
		t.Errorf("a digest that the author wrote does not count: %+v", got.Result)
	}
}

// enforced is a shipped policy at the last stage, alone.
func enforced(t *testing.T, name string) string {
	t.Helper()
	text, ok := policy.ShippedDocument(name)
	out := strings.NewReplacer("stage: audit", "stage: enforce", "stage: warn", "stage: enforce").Replace(string(text))
	if !ok || !strings.Contains(out, "stage: enforce") {
		t.Fatalf("policy %s: %s", name, text)
	}
	return out
}

func TestAnExceptionLetsPastUntilItsMinuteAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	raw, err := json.Marshal([]policy.Exception{{
		ID: 12, Policy: "no-recalled-content", Scope: evidence.ExceptionScope{Namespace: "default", Name: "bad"}, Reason: "staging", Ticket: "OPS-1",
		Requester: "ann", Approver: "ben", Expires: start.Add(time.Hour), ApprovedSeq: 13,
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.apply(t, &fleetv1.Update{Change: &fleetv1.Update_Exceptions{Exceptions: &fleetv1.Exceptions{Exceptions: raw}}})
	got := w.ask(t, "/validate", fixture(t, "deployment-create-validate"))
	if !got.Allowed || got.AuditAnnotations["exceptions"] != "12" || !strings.Contains(strings.Join(got.Warnings, "\n"), "policy no-recalled-content") {
		t.Errorf("%+v", got)
	}
	if d := w.decisions.last(t); len(d.Exceptions) != 1 || d.Exceptions[0] != 12 || !strings.Contains(strings.Join(d.Reasons, "\n"), "exception #12") {
		t.Errorf("%+v", d)
	}
	w.now = start.Add(time.Hour) // the same process, the same snapshot
	if got := w.ask(t, "/validate", fixture(t, "deployment-create-validate")); got.Allowed {
		t.Error("an expired exception still lets past")
	}
}

func TestOnlyTheClustersOwnControllersAreBelievedAboutOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	const owner = `"labels": {"pod-template-hash": "5d4"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "x", "controller": true}], "name": "good"`
	for user, want := range map[string]string{
		"kubernetes-admin":                                        "Pod good",
		"system:serviceaccount:default:replicaset":                "Pod good",
		"system:serviceaccount:kube-system:replicaset-controller": "Deployment web",
	} {
		w.ask(t, "/validate", fixture(t, "pod-create-validate", `"name": "good"`, owner, `"username": "kubernetes-admin"`, `"username": "`+user+`"`))
		if d := w.decisions.last(t); d.Workload.Kind+" "+d.Workload.Name != want {
			t.Errorf("%s: %s %s, want %s", user, d.Workload.Kind, d.Workload.Name, want)
		}
	}
}

func TestANamespaceWhoseLabelsAreUnknownIsNotTakenForOneWithout(t *testing.T) {
	t.Parallel()
	const document = `
apiVersion: hullmark.dev/v1
kind: Policy
metadata: {name: labelled}
spec:
  stage: enforce
  match: {namespaceSelector: {matchLabels: {strict: "true"}}}
  checks: [{name: never, expression: "true", message: "no", missing: "x"}]
`
	w := newWorld(t, document)
	if got := w.ask(t, "/validate", fixture(t, "pod-create-validate")); !got.Allowed {
		t.Errorf("a namespace without the label: %s", got.Result.Message)
	}
	got := w.ask(t, "/validate", fixture(t, "pod-create-validate", `"namespace": "default"`, `"namespace": "other"`))
	if got.Allowed || !strings.Contains(got.Result.Message, "not known") {
		t.Errorf("a namespace that is not known: %+v", got)
	}
}

func TestAnImageThatCannotBeReadIsDeniedWhateverThePoliciesSay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced(t, "has-record"))
	for _, reference := range []string{"", "NOT/valid", "sha256:" + strings.Repeat("0", 64)} {
		got := w.ask(t, "/validate", fixture(t, "deployment-create-validate", `"image": "`+registry+`/acme/evil:1"`, `"image": "`+reference+`"`))
		if got.Allowed || !strings.Contains(got.Result.Message, "image-reference") {
			t.Errorf("%q: %+v", reference, got)
		}
	}
}

func TestAnObjectThatIsBeingDeletedIsDecidedOnLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	got := w.ask(t, "/validate", fixture(t, "deployment-create-validate", `"name": "bad"`, `"name": "bad", "deletionTimestamp": "2026-11-26T11:00:00Z"`))
	if got.Allowed {
		t.Error("a deletion timestamp opens the gate")
	}
}

func TestAnOldSnapshotDecidesAndSaysHowOldItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shipped())
	w.now = start.Add(26 * time.Hour)
	got := w.ask(t, "/validate", fixture(t, "pod-create-validate"))
	if !got.Allowed || got.AuditAnnotations["snapshot-age"] != "26h0m0s" || !strings.Contains(strings.Join(got.Warnings, "\n"), "26h") {
		t.Errorf("%+v", got)
	}
	if got := w.ask(t, "/validate", fixture(t, "deployment-create-validate")); got.Allowed {
		t.Error("a recall is forgotten with age")
	}
}

func TestWarningsKeepToWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	var containers strings.Builder
	for i := range 120 {
		fmt.Fprintf(&containers, `{"name": "c%d", "image": "quay.io/%s/é:%d"},`, i, strings.Repeat("long/", 30), i)
	}
	w := newWorld(t, enforced(t, "has-record")+"\n---\n"+strings.Replace(enforced(t, "known-registry"), "stage: enforce", "stage: warn", 1))
	body := fixture(t, "deployment-create-validate", `"containers": [`, `"containers": [`+strings.ReplaceAll(containers.String(), "é", "e"))
	got := w.ask(t, "/validate", body)
	total := 0
	for _, line := range got.Warnings {
		if total += len(line); len(line) > 256 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if total > 4096 || !strings.Contains(got.Warnings[len(got.Warnings)-1], "more") {
		t.Errorf("%d bytes in %d lines, the last: %s", total, len(got.Warnings), got.Warnings[len(got.Warnings)-1])
	}
	if len(got.Result.Message) > 9<<10 {
		t.Errorf("a message of %d bytes", len(got.Result.Message))
	}
}

func TestADecisionAboutManyImagesStaysWithinWhatTheRecordTakes(t *testing.T) {
	t.Parallel()
	var containers strings.Builder
	for i := range 400 {
		fmt.Fprintf(&containers, `{"name": "c%d", "image": "quay.io/%s\u0007/x:%d"},`, i, strings.Repeat("long/", 60), i)
	}
	w := newWorld(t, shipped())
	w.ask(t, "/validate", fixture(t, "deployment-create-validate", `"containers": [`, `"containers": [`+containers.String()))
	s := w.decisions.list[0]
	draft := evidence.Draft{Subjects: s.Subjects, Predicate: s.Predicate, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "admission/prod"}, Assurance: evidence.Observed}
	if err := draft.Fits(); err != nil {
		t.Error(err)
	}
	d := w.decisions.last(t)
	if len(s.Subjects) > 32 || len(d.Reasons) > 64 || d.Verdict != "deny" {
		t.Errorf("%d subjects, %d reasons, %s", len(s.Subjects), len(d.Reasons), d.Verdict)
	}
	for _, r := range d.Reasons {
		if len(r) > 1024 || strings.Contains(r, "\a") {
			t.Errorf("reason %q", r)
		}
	}
}
