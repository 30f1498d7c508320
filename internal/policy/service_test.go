package policy_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

// owners lets everybody own what is below their own name ("alice/app"), acme besides to alice and bob, and
// root administer.
type owners struct{}

func (owners) Authorize(_ context.Context, a evidence.Actor, p evidence.Permission, _, name string) error {
	root, _, _ := strings.Cut(strings.TrimPrefix(name, "@"), "/")
	mine := root == a.Account || root == "acme" && (a.Account == "alice" || a.Account == "bob")
	if mine || p == evidence.Read && root != "secret" {
		return nil
	}
	return fault.New(fault.Denied, "namespace-not-yours", "%s is not yours", name)
}

func (owners) RequireAdmin(_ context.Context, a evidence.Actor) error {
	if a.Account == "root" {
		return nil
	}
	return fault.New(fault.Denied, "admin-required", "you are not root")
}

// office is a shop with the service on it, and a clock that is set by hand.
type office struct {
	*shop
	*policy.Service
	now atomic.Pointer[time.Time]
}

var noon = time.Date(2026, 5, 12, 12, 0, 0, 0, time.UTC)

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{shop: newShop(t)}
	o.now.Store(&noon)
	blobs, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.Func(func() time.Time { return *o.now.Load() })
	o.Service = policy.NewService(o.record, blobs, owners{}, clk).WithHosts("registry.test")
	return o
}

func by(account string) evidence.Actor { return evidence.Actor{Account: account} }

func (o *office) want(err error, code string) {
	o.t.Helper()
	got := ""
	if err != nil {
		got = fault.As(err).Code
	}
	if got != code {
		o.t.Errorf("got %q (%v), want %q", got, err, code)
	}
}

// wanted is an exception from a policy that leaves exceptions to the owners of the image.
func wanted(image string) evidence.Exception {
	return evidence.Exception{
		Policy: "digest-pinned", Scope: evidence.ExceptionScope{Namespace: "staging", Image: image},
		Reason: "the payload is inert there", Ticket: "SEC-12", Expires: noon.Add(24 * time.Hour),
	}
}

func (o *office) request(account string, x evidence.Exception) int64 {
	o.t.Helper()
	made, err := o.RequestException(o.t.Context(), by(account), x)
	if err != nil {
		o.t.Fatal(err)
	}
	return made.ID
}

func TestAnExceptionTakesTwoPeople(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.request("alice", wanted(string(o.app)))
	inForce := func() int {
		all, err := o.Reader().Exceptions(t.Context(), inside.Newest)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if inForce() != 0 {
		t.Error("a request is in force")
	}
	_, err := o.ApproveException(t.Context(), by("alice"), id)
	o.want(err, "exception-own")
	_, err = o.ApproveException(t.Context(), by("mallory"), id)
	o.want(err, "namespace-not-yours")
	if inForce() != 0 {
		t.Error("a refused approval counts")
	}
	x, err := o.ApproveException(t.Context(), by("bob"), id)
	o.want(err, "")
	if x.Approver != "bob" || x.ApprovedSeq == 0 || inForce() != 1 {
		t.Errorf("%+v", x)
	}
	_, err = o.ApproveException(t.Context(), by("root"), id)
	o.want(err, "exception-decided")
	o.want(o.RevokeException(t.Context(), by("mallory"), id, ""), "namespace-not-yours")
	o.want(o.RevokeException(t.Context(), by("alice"), id, "repaired"), "")
	if inForce() != 0 {
		t.Error("a revoked exception is in force")
	}
	o.want(o.RevokeException(t.Context(), by("alice"), id, ""), "exception-decided")
	_, err = o.ApproveException(t.Context(), by("bob"), id)
	o.want(err, "exception-decided")
}

func TestAnAdministratorDoesNotApproveTheirOwnRequest(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.request("root", wanted(string(o.app)))
	_, err := o.ApproveException(t.Context(), by("root"), id)
	o.want(err, "exception-own")
}

func TestWhatReachesBeyondOneNamespaceNeedsAnAdministrator(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	everything, recalled := wanted(string(o.app)), wanted(string(o.app))
	everything.Policy, recalled.Policy = "*", "no-recalled-content"
	cases := map[string]struct {
		x    evidence.Exception
		code string // for bob, who owns acme
	}{
		"an image of the namespace, by digest":     {wanted(string(o.app)), ""},
		"an image of the namespace, by reference":  {wanted("registry.test/acme/shop:1"), ""},
		"the whole namespace":                      {wanted("registry.test/acme"), ""},
		"another namespace":                        {wanted("registry.test/base"), "namespace-not-yours"},
		"an image of another namespace, by digest": {wanted(string(o.base)), "namespace-not-yours"},
		"the whole registry":                       {wanted("registry.test"), "exception-not-yours"},
		"the same name in another registry":        {wanted("ghcr.io/acme/shop:1"), "exception-not-yours"},
		"a name without a registry":                {wanted("acme/shop"), "exception-not-yours"},
		"an image that is known nowhere":           {wanted(string(digest.FromBytes(nil))), "exception-not-yours"},
		"no image":                                 {wanted(""), "exception-not-yours"},
		"every policy":                             {everything, "admin-required"},
		"a policy that protects who runs an image from who publishes it": {recalled, "exception-not-yours"},
	}
	for name, c := range cases {
		id := o.request("alice", c.x)
		_, err := o.ApproveException(t.Context(), by("bob"), id)
		if o.want(err, c.code); t.Failed() {
			t.Fatal(name)
		}
		if c.code != "" {
			_, err = o.ApproveException(t.Context(), by("root"), id)
			o.want(err, "")
		}
	}
}

func TestAPipelineAsksForNoException(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	pipeline := evidence.Actor{Account: "tp_release", Workload: &evidence.WorkloadIdentity{Publisher: "tp_release"}}
	_, err := o.RequestException(t.Context(), pipeline, wanted(string(o.app)))
	o.want(err, "workload-denied")
}

func TestAnExceptionSaysWhatWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for name, change := range map[string]func(*evidence.Exception){
		"no policy":           func(x *evidence.Exception) { x.Policy = "" },
		"no scope":            func(x *evidence.Exception) { x.Scope = evidence.ExceptionScope{} },
		"no reason":           func(x *evidence.Exception) { x.Reason = "  " },
		"no ticket":           func(x *evidence.Exception) { x.Ticket = "" },
		"in the past":         func(x *evidence.Exception) { x.Expires = noon },
		"for ever":            func(x *evidence.Exception) { x.Expires = time.Time{} },
		"more than 90 days":   func(x *evidence.Exception) { x.Expires = noon.Add(policy.MaxLife + time.Second) },
		"a pattern":           func(x *evidence.Exception) { x.Scope.Image = "registry.test/*" },
		"a name, not a purl":  func(x *evidence.Exception) { x.Scope.Component = "left-pad" },
		"a very long reason":  func(x *evidence.Exception) { x.Reason = strings.Repeat("x", 501) },
		"a very long cluster": func(x *evidence.Exception) { x.Scope.Cluster = strings.Repeat("x", 1001) },
	} {
		x := wanted("")
		change(&x)
		if _, err := o.RequestException(t.Context(), by("alice"), x); err == nil || fault.As(err).Code != "exception-invalid" {
			t.Errorf("%s: %v", name, err)
		}
	}
	typo := wanted("")
	typo.Policy = "digest-pined"
	_, err := o.RequestException(t.Context(), by("alice"), typo)
	o.want(err, "policy-unknown")
	_, err = o.RequestException(t.Context(), evidence.Actor{}, wanted(""))
	o.want(err, "login-required")
	_, err = o.ApproveException(t.Context(), by("root"), 4711)
	o.want(err, "exception-unknown")
	x := wanted("")
	x.Expires = noon.Add(policy.MaxLife)
	o.request("alice", x)
}

func TestAnExceptionThatExpiredIsNotApproved(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	id := o.request("alice", wanted(string(o.app)))
	late := noon.Add(24 * time.Hour)
	o.now.Store(&late)
	_, err := o.ApproveException(t.Context(), by("bob"), id)
	o.want(err, "exception-expired")
}

const strict = `apiVersion: hullmark.dev/v1
kind: Policy
metadata: {name: no-recalled-content}
spec:
  stage: enforce
  checks: [{name: none, expression: "size(record.recalls) == 0", message: "recalled", missing: "another image"}]
`

func TestOnlyAdministratorsPutPolicies(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	before, err := o.Set(t.Context())
	if err != nil || before.Seq != -1 || len(before.Policies) == 0 {
		t.Fatalf("without a set the shipped one is in force: %+v, %v", before, err)
	}
	_, err = o.PutSet(t.Context(), by("alice"), []byte(strict))
	o.want(err, "admin-required")
	_, err = o.PutSet(t.Context(), by("root"), []byte("kind: Nothing"))
	if err == nil {
		t.Error("a document that does not parse was put in force")
	}
	_, err = o.PutSet(t.Context(), by("root"), []byte(strings.Replace(strict, "size(", "sice(", 1)))
	if err == nil {
		t.Error("a document that does not compile was put in force")
	}
	head := o.record.Head()
	put, err := o.PutSet(t.Context(), by("root"), []byte(strict))
	if err != nil || put.Account != "root" || !slices.Equal(put.Policies, []string{"no-recalled-content"}) || put.Seq != head {
		t.Fatalf("%+v, %v", put, err)
	}
	if again, err := o.PutSet(t.Context(), by("root"), []byte("# the same\n"+strict)); err != nil || again.Seq != put.Seq {
		t.Errorf("the same set was put twice: %+v, %v", again, err)
	}
	if then, err := o.SetBefore(t.Context(), head); err != nil || then.Revision != before.Revision {
		t.Errorf("before it was put %+v was in force, %v", then, err)
	}
	if found, err := o.SetAt(t.Context(), put.Revision); err != nil || string(found.Document) != string(put.Document) {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = o.SetAt(t.Context(), string(digest.FromBytes(nil)))
	o.want(err, "policy-set-unknown")
}

func TestTheShippedSetOfAnOlderVersionIsFoundAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for range 2 {
		o.want(o.Ship(t.Context()), "")
	}
	shipped, err := o.Set(t.Context())
	o.want(err, "")
	_, err = o.PutSet(t.Context(), by("root"), []byte(strict))
	o.want(err, "")
	found, err := o.SetAt(t.Context(), shipped.Revision)
	if err != nil || found.Seq != -1 || !slices.Equal(found.Policies, shipped.Policies) {
		t.Errorf("%+v, %v", found, err)
	}
}

// decide is what the admission gate does: it decides from what is in force and writes it down.
func (o *office) decide(id, namespace string, d digest.Digest) evidence.Decision {
	o.t.Helper()
	ctx, head := o.t.Context(), o.record.Head()
	set, err := o.Set(ctx)
	o.want(err, "")
	program, err := o.Program(ctx, set.Revision)
	o.want(err, "")
	exceptions, err := o.Reader().Exceptions(ctx, head)
	o.want(err, "")
	request := policy.Request{
		ID: id, Gate: "admit", Cluster: "prod", Namespace: namespace, Kind: "Pod", Name: "shop", Operation: "CREATE", At: *o.now.Load(),
		Labels: map[string]string{"kubernetes.io/metadata.name": namespace},
		Images: []policy.Image{{
			Container: "web", Role: "container", Reference: "registry.test/acme/shop@" + string(d), Registry: "registry.test",
			Repository: "acme/shop", Digest: string(d), Pinned: true,
		}},
	}
	verdict := program.Decide(request, func(digest string) policy.Record { return o.of(d, head) }, exceptions)
	input, err := json.Marshal(request)
	o.want(err, "")
	p := evidence.Decision{
		Gate: "admit", Action: "create", Verdict: "deny", Policy: set.Revision, Head: head, Exceptions: verdict.Exceptions, ID: id, Input: input,
		Workload: &evidence.WorkloadRef{Cluster: "prod", Namespace: namespace, Kind: "Pod", Name: "shop"},
	}
	if verdict.Allow {
		p.Verdict = "allow"
	}
	o.say(p, evidence.About("", d))
	return p
}

func (o *office) explain(id string) *policy.Explanation {
	o.t.Helper()
	e, err := o.Explain(o.t.Context(), by("root"), id)
	if err != nil {
		o.t.Fatal(err)
	}
	return e
}

func TestADecisionIsRecomputedFromWhatWasKnownThen(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	verdicts := map[string]string{}
	decide := func(id, namespace string) { verdicts[id] = o.decide(id, namespace, o.app).Verdict }
	decide("before", "staging")
	o.recall(false, string(o.worm))
	decide("recalled", "staging")
	from := wanted(string(o.app))
	from.Policy = "no-recalled-content"
	x := o.request("alice", from)
	decide("asked", "staging")
	_, err := o.ApproveException(t.Context(), by("root"), x)
	o.want(err, "")
	decide("excepted", "staging")
	decide("elsewhere", "web")
	late := noon.Add(24 * time.Hour)
	o.now.Store(&late)
	decide("expired", "staging")
	o.now.Store(&noon)
	o.want(o.RevokeException(t.Context(), by("root"), x, "enough"), "")
	decide("revoked", "staging")
	o.recall(true, string(o.worm))
	_, err = o.PutSet(t.Context(), by("root"), []byte(strict))
	o.want(err, "")
	decide("lifted", "staging")

	want := map[string]string{
		"before": "allow", "recalled": "deny", "asked": "deny", "excepted": "allow", "elsewhere": "deny", "expired": "deny", "revoked": "deny", "lifted": "allow",
	}
	if err := o.record.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for id := range want {
		if verdicts[id] != want[id] {
			t.Errorf("%s: decided %s, want %s", id, verdicts[id], want[id])
		}
		e := o.explain(id)
		if e.Outcome != policy.Equal || e.Recomputed == nil || e.Recomputed.Allow != (want[id] == "allow") || e.Fault() != nil {
			t.Errorf("%s: %s, %q, %q", id, e.Outcome, e.Differences, e.Notes)
		}
	}
	listed, err := o.ListExceptions(t.Context(), -1, 10)
	if err != nil || len(listed) != 1 || listed[0].Count != 1 || listed[0].LastUse.IsZero() || listed[0].Requested.IsZero() {
		t.Errorf("use counters %+v, %v", listed, err)
	}
}

func TestADecisionThatItsPoliciesDoNotGiveIsAnIntegrityFailure(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.recall(false, string(o.worm))
	o.wait()
	p := o.decide("honest", "web", o.app)
	forged := p
	forged.ID, forged.Verdict = "forged", "allow"
	o.say(forged, evidence.About("", o.app))
	excused := p
	excused.ID, excused.Exceptions = "excused", []int64{3}
	o.say(excused, evidence.About("", o.app))
	_, err := o.PutSet(t.Context(), by("root"), []byte(strict))
	o.want(err, "")
	o.wait()
	outdated := p // decided by the set before, after another was put
	outdated.ID, outdated.Head = "outdated", o.record.Head()
	o.say(outdated, evidence.About("", o.app))
	for _, id := range []string{"forged", "excused", "outdated"} {
		e := o.explain(id)
		if e.Outcome != policy.Differs || len(e.Differences) == 0 || fault.ExitCode(e.Fault()) != 7 {
			t.Errorf("%s: %s %q", id, e.Outcome, e.Differences)
		}
		o.want(e.Fault(), "decision-differs")
	}
}

// wait lets some seconds pass in the record.
func (o *office) wait() {
	for range 12 {
		o.say(evidence.Gap{What: "nothing", Reason: "the time passes"}, evidence.Subject{Name: "gate:test"})
	}
}

func TestADecisionThatWasMadeWhileTheGateTookAStatementInIsToldApart(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.decide("before", "web", o.app)
	o.recall(false, string(o.worm))
	late := p // the gate had heard of the recall, and not yet of what it does to this image
	late.ID, late.Head = "late", o.record.Head()
	o.say(late, evidence.About("", o.app))
	o.recall(true, string(o.worm))
	early := p // the gate knew of the lifting, and named the head before it
	early.ID, early.Head = "early", o.record.Head()-1
	o.say(early, evidence.About("", o.app))
	for _, id := range []string{"late", "early"} {
		e := o.explain(id)
		if e.Outcome != policy.Nearby || e.Fault() != nil || !strings.Contains(strings.Join(e.Notes, " "), "comes out otherwise") {
			t.Errorf("%s: %s %q", id, e.Outcome, e.Notes)
		}
	}
}

func TestADecisionThatCannotBeRecomputedSaysWhy(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	p := o.decide("whole", "web", o.app)
	cases := map[string]func(*evidence.Decision){
		"does not say what it was asked about": func(d *evidence.Decision) { d.Input = nil },
		"cannot be read by this version":       func(d *evidence.Decision) { d.Input = json.RawMessage(`{"images": 7}`) },
		"never put in force here":              func(d *evidence.Decision) { d.Policy = "sha256:" + strings.Repeat("0", 64) },
		"is the receipt of": func(d *evidence.Decision) {
			d.Receipt = &evidence.Receipt{Receiver: "admission/prod", Outcome: "enforced"}
		},
		"the publish gate decides by rules": func(d *evidence.Decision) { d.Gate = "publish" },
		"the pull gate decides by rules":    func(d *evidence.Decision) { d.Gate = "pull" },
		"the node decided at once":          func(d *evidence.Decision) { d.Gate = "run" },
	}
	for sentence, change := range cases {
		d := p
		d.ID = sentence
		change(&d)
		o.say(d, evidence.About("", o.app))
		e := o.explain(sentence)
		if e.Outcome != policy.NotRecomputed || e.Fault() != nil || !strings.Contains(strings.Join(e.Notes, " "), sentence) {
			t.Errorf("%s: %s %q", sentence, e.Outcome, e.Notes)
		}
	}
}

func TestWhoPublishesWhatWasDecidedOnMayAskWhy(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.decide("mine", "web", o.app)
	for account, code := range map[string]string{"alice": "", "root": "", "mallory": "decision-unknown", "ops": "decision-unknown"} {
		_, err := o.Explain(t.Context(), by(account), "mine")
		o.want(err, code)
	}
	_, err := o.Explain(t.Context(), by("root"), "nothing")
	o.want(err, "decision-unknown")
	hidden := o.Image("secret", "secret/app", "1", nil, o.Layer("secret", nil, nil))
	o.save()
	seq := o.say(o.decide("two", "web", o.app), evidence.About("", o.app), evidence.About("", hidden))
	_, err = o.Explain(t.Context(), by("alice"), "two")
	o.want(err, "")
	_, err = o.Explain(t.Context(), by("alice"), strconv.FormatInt(seq, 10))
	o.want(err, "decision-unknown")
}
