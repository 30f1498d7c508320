package sensor

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// noon is when everything happens.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const (
	group = 7
	dev   = 40
	uiKit = "pkg:npm/%40acme/ui-kit@4.2.1"
)

func d(text string) digest.Digest { return digest.FromBytes([]byte(text)) }

func sum(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// eyes are the kernel's side of a test: they take orders and tell of losses.
type eyes struct {
	mu       sync.Mutex
	follows  map[uint64]kernel.Follow
	blocked  map[uint64]bool
	counters kernel.Counters
}

func (e *eyes) Run(ctx context.Context, _ func(*kernel.Event)) error { <-ctx.Done(); return nil }

func (e *eyes) Follow(g uint64, f kernel.Follow) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.follows[g] = f
	return nil
}

func (e *eyes) Forget(g uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.follows, g)
	return nil
}

func (e *eyes) Block(_, inode uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.blocked[inode] = true
	return nil
}

func (e *eyes) Mark(_, _ uint64) error { return nil }

func (e *eyes) Taint(uint32) error { return nil }

func (e *eyes) Unblock(_, inode uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.blocked, inode)
	return nil
}

func (e *eyes) Counters() (kernel.Counters, error) { return e.counters, nil }

// desk takes what an agent reports.
type desk struct {
	mu                 sync.Mutex
	urgent, aggregates []evidence.Draft
}

func (r *desk) Urgent(d evidence.Draft) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.urgent = append(r.urgent, d)
}

func (r *desk) Aggregate(d evidence.Draft) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aggregates = append(r.aggregates, d)
}

// world is an agent with one container of an image with two layers, whose record is known.
type world struct {
	*Agent
	t      *testing.T
	eyes   *eyes
	desk   *desk
	alerts []alert.Alert
	now    time.Time
	box    *box
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, eyes: &eyes{follows: map[uint64]kernel.Follow{}, blocked: map[uint64]bool{}}, desk: &desk{}, now: noon}
	ids := 0
	c := Config{
		Node: "node-7", Cluster: "prod", Level: kernel.Kill, StopRecalled: true, SystemNamespaces: []string{"kube-system"},
		Proc: t.TempDir(), Tree: cgroup.Tree{Root: t.TempDir()}, Kernel: w.eyes, Reporter: w.desk,
		Clock: clock.Func(func() time.Time { return w.now }), Logger: slog.New(slog.DiscardHandler),
		Random: func() string { ids++; return fmt.Sprint("id-", ids) },
		Alerts: func(a alert.Alert) { w.alerts = append(w.alerts, a) },
	}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Agent = a
	close(a.scanned)
	a.follow("/shop", group)
	w.box = a.boxes["/shop"]
	a.found("/shop", shop())
	a.settle(w.box, &layer.Image{
		Digest: d("image"), DiffIDs: []digest.Digest{d("low"), d("high")},
		Releases: map[string]layer.Release{uiKit: {
			PURL: uiKit, Publisher: "mallory", Credential: "token:tok_7", Label: "ci-7", Published: noon.Add(-57 * time.Minute),
		}},
	}, []*layer.Index{index(t, "low", map[string]string{"bin/sh": "pkg:deb/dash@1", "usr/bin/nc": "pkg:deb/netcat@1"}),
		index(t, "high", map[string]string{"app/node_modules/@acme/ui-kit/bundle.js": uiKit, "app/own.js": ""})})
	return w
}

// shop is the container.
func shop() *container.Container {
	return &container.Container{
		ID: strings.Repeat("ab", 32), Name: "web", Runtime: "cri", Cgroup: "/shop", Image: d("image"), Reference: "acme/shop:1",
		Pod: "shop-7d", Workload: evidence.WorkloadRef{Namespace: "store", Kind: "Deployment", Name: "shop"},
		DiffIDs: []digest.Digest{d("low"), d("high")},
		Root:    container.Root{Dev: dev, Layers: []digest.Digest{d("high"), d("low")}, Lower: []string{"/none/high", "/none/low"}, Explained: true},
	}
}

// index is the index of a layer, whose files have their path for their content.
func index(t *testing.T, name string, files map[string]string) *layer.Index {
	t.Helper()
	folder := t.TempDir()
	var list []layer.File
	for path, component := range files {
		list = append(list, layer.File{Path: path, SHA256: sum(path), Component: component})
	}
	s := layer.NewStore(folder, told{name, list}, slog.New(slog.DiscardHandler))
	_, indexes, err := s.Image(t.Context(), d("image"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return indexes[0]
}

// told is a source with one layer.
type told struct {
	name  string
	files []layer.File
}

func (s told) Image(_ context.Context, _ digest.Digest, _ []digest.Digest, visit func(layer.Part) error) error {
	if err := visit(layer.Part{Image: &layer.Image{DiffIDs: []digest.Digest{d(s.name)}}}); err != nil {
		return err
	}
	return visit(layer.Part{DiffID: d(s.name), Files: s.files})
}

// event makes an event in the container: a file by path, of a layer by its number.
func event(kind kernel.Kind, pid uint32, path string, origin kernel.Origin, number int) *kernel.Event {
	inode := uint64(0)
	for _, c := range path {
		inode = inode*31 + uint64(c)
	}
	comm := path[strings.LastIndexByte(path, '/')+1:]
	if kind != kernel.Exec {
		comm = "node"
	}
	return &kernel.Event{
		Kind: kind, Time: noon, PID: pid, PPID: 1, Started: uint64(pid) * 1e9, Comm: comm, Cgroup: group,
		File: kernel.File{Path: path, Dev: dev, Inode: inode, Origin: origin, Layer: number},
	}
}

const bundle = "/app/node_modules/@acme/ui-kit/bundle.js"

func (w *world) recall(change func(*Recall)) {
	r := Recall{Seq: 3, Subjects: []string{uiKit}, Components: []string{uiKit}, Reason: "worm", Account: "alice"}
	if change != nil {
		change(&r)
	}
	w.SetRecalls([]Recall{r})
}

// told returns code, done and file of every alert.
func (w *world) told() string {
	var out []string
	for _, a := range w.alerts {
		out = append(out, fmt.Sprintf("%s %s %s", a.Code, a.Done, a.File.Path))
	}
	return strings.Join(out, "\n")
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if got := w.told(); got != strings.Join(want, "\n") {
		w.t.Errorf("alerts\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestContentThatOnlyAnExceptionLetInIsToldWhenItDialsOut(t *testing.T) {
	t.Parallel()
	exceptions := []policy.Exception{{ID: 12, Uses: []policy.ExceptionUse{{
		WorkloadRef: evidence.WorkloadRef{Cluster: "prod", Namespace: "store", Kind: "Deployment", Name: "shop"}, Images: []string{string(d("image"))}}}}}
	dial := func(w *world) {
		w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
		ev := event(kernel.Connect, 20, "", 0, 0)
		ev.File, ev.Action, ev.Peer = kernel.File{}, kernel.Denied, netip.MustParseAddrPort("203.0.113.7:443")
		w.Handle(ev)
	}
	w := newWorld(t, func(c *Config) { c.ContainExcepted = true })
	dial(w)
	w.expect() // no exception: admission let the image in for what it is
	if w.eyes.follows[group].DenyTaintedEgress {
		t.Error("egress is denied without an exception")
	}
	w = newWorld(t, func(c *Config) { c.ContainExcepted = true })
	w.SetExceptions(exceptions)
	if f := w.eyes.follows[group]; !f.DenyTaintedEgress || f.KillRecalled {
		t.Errorf("the container is followed with %+v", f)
	}
	dial(w)
	w.expect("egress-excepted denied " + bundle)
	for _, part := range []string{"connected to 203.0.113.7:443 after loading `…/bundle.js` of `@acme/ui-kit 4.2.1`", "not approved", "exception #12"} {
		if !strings.Contains(w.alerts[0].Sentence, part) {
			t.Errorf("%q lacks %q", w.alerts[0].Sentence, part)
		}
	}
}

func TestTheAlertNamesFilePackagePublisherApprovalAndException(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Level = kernel.Observe })
	w.SetExceptions([]policy.Exception{
		{ID: 11, Uses: []policy.ExceptionUse{{WorkloadRef: evidence.WorkloadRef{Namespace: "other"}, Images: []string{string(d("image"))}}}},
		{ID: 12, Uses: []policy.ExceptionUse{{
			WorkloadRef: evidence.WorkloadRef{Cluster: "prod", Namespace: "store", Kind: "Deployment", Name: "shop"}, Images: []string{string(d("image"))}}}},
	})
	w.recall(nil)
	w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
	w.expect("recalled-content observed " + bundle)
	want := "`node` (pod store/shop-7d, image acme/shop:1) opened `…/bundle.js` of `@acme/ui-kit 4.2.1`, published 11:03 by token `ci-7` of mallory, " +
		"not approved, admitted under exception #12; observed, not stopped (level observe)"
	if got := w.alerts[0].Sentence; got != want {
		t.Errorf("sentence\n%s\nwant\n%s", got, want)
	}
	if w.alerts[0].Recall != 3 || w.alerts[0].File.DiffID != d("high") || w.alerts[0].Release.Recalled != "worm" {
		t.Errorf("alert %+v", w.alerts[0])
	}
}

func TestWhatIsDriftAndWhatIsNot(t *testing.T) {
	t.Parallel()
	deleted := event(kernel.Exec, 20, "/tmp/x", kernel.OriginUpper, 0)
	deleted.File.Deleted = true
	killed := event(kernel.Exec, 20, "/tmp/x", kernel.OriginUpper, 0)
	killed.Action = kernel.Killed
	inside := event(kernel.Fork, 21, "", 0, 0)
	inside.PPID = 20
	memory := event(kernel.Exec, 21, "", kernel.OriginMemfd, 0)
	tests := map[string]struct {
		events []*kernel.Event
		want   []string
	}{
		"written in the container":            {[]*kernel.Event{event(kernel.Exec, 20, "/tmp/x", kernel.OriginUpper, 0)}, []string{"executed-drift observed /tmp/x"}},
		"and deleted":                         {[]*kernel.Event{deleted}, []string{"executed-drift observed /tmp/x"}},
		"and killed by the kernel":            {[]*kernel.Event{killed}, []string{"executed-drift killed /tmp/x"}},
		"a file of the image":                 {[]*kernel.Event{event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2)}, nil},
		"a program on a volume":               {[]*kernel.Event{event(kernel.Exec, 20, "/data/tool", kernel.OriginHost, 0)}, nil},
		"the runtime's way in":                {[]*kernel.Event{memory}, nil},
		"a program in memory, inside":         {[]*kernel.Event{event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2), inside, memory}, []string{"executed-drift observed "}},
		"a script that was written is opened": {[]*kernel.Event{event(kernel.Open, 20, "/tmp/x.py", kernel.OriginUpper, 0)}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, ev := range test.events {
				w.Handle(ev)
			}
			w.t = t
			w.expect(test.want...)
		})
	}
}

func TestRepeatsAreCountedAndNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 1000 {
		w.Handle(event(kernel.Exec, 20, "/tmp/x", kernel.OriginUpper, 0))
	}
	w.now = w.now.Add(2 * time.Minute)
	w.flush(false)
	w.flush(false)
	if len(w.alerts) != 2 || w.alerts[0].Count != 1 || w.alerts[1].Count != 999 {
		t.Fatalf("%d alerts, %s", len(w.alerts), w.told())
	}
	if len(w.desk.urgent) != 2 {
		t.Fatalf("%d statements", len(w.desk.urgent))
	}
	dec := w.desk.urgent[1].Predicate.(evidence.Decision)
	if dec.Gate != "run" || dec.Code != "executed-drift" || dec.Verdict != "allow" || dec.Count != 999 || dec.Workload.Name != "shop" {
		t.Errorf("statement %+v", dec)
	}
	var al alert.Alert
	if err := json.Unmarshal(dec.Event, &al); err != nil || al.Node != "node-7" {
		t.Errorf("event %s, %v", dec.Event, err)
	}
}

func TestFactsAreOneStatementAComponentAndNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 50 {
		w.Handle(event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2))
		w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
		w.Handle(event(kernel.Open, 20, "/app/own.js", kernel.OriginLower, 1))
		w.Handle(event(kernel.Open, 20, "/tmp/own.js", kernel.OriginUpper, 0))
	}
	w.desk.aggregates = nil // the placement
	w.flush(false)
	w.flush(false)
	var got []string
	for _, draft := range w.desk.aggregates {
		h := draft.Predicate.(evidence.Behaviour)
		got = append(got, fmt.Sprintf("%s %s %d %s/%s", draft.Subjects[0].Name, h.Fact, h.Count, h.Cluster, h.Name))
	}
	slices.Sort(got)
	want := []string{"file:" + digest.FromBytes([]byte("app/own.js")).Hex() + " loaded 50 prod/shop", "pkg:deb/dash@1 executed 50 prod/shop", uiKit + " loaded 50 prod/shop"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAComponentThatTheImageNeverExecutedIsToldOnceAfterTheTimeOfLearning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Learn = time.Hour; c.State = t.TempDir() })
	w.Handle(event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2))
	w.now = w.now.Add(1000 * time.Hour) // a clock that is set ends no learning
	w.Handle(event(kernel.Exec, 20, bundle, kernel.OriginLower, 1))
	w.expect()
	w.mu.Lock()
	w.learnt.watched(map[digest.Digest]bool{d("image"): true}, time.Hour)
	w.mu.Unlock()
	for range 3 {
		w.Handle(event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2))
		w.Handle(event(kernel.Exec, 20, "/usr/bin/nc", kernel.OriginLower, 2))
	}
	w.expect("unseen-exec observed /usr/bin/nc")
	w.flush(true)
	again, err := openLearnt(w.State)
	if err != nil || again.Images[d("image")].Watched < time.Hour || !again.Images[d("image")].Executed["pkg:deb/netcat@1"] {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
}

func TestEgressIsToldOfWhatLoadedRecalledContentAndOfItsChildren(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Level = kernel.Observe })
	w.recall(nil)
	dial := func(pid uint32, to string) *kernel.Event {
		ev := event(kernel.Connect, pid, "", 0, 0)
		ev.File = kernel.File{}
		ev.Peer = netip.MustParseAddrPort(to)
		return ev
	}
	w.Handle(dial(20, "203.0.113.7:443")) // before
	w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
	w.Handle(dial(20, "127.0.0.1:5432"))
	w.Handle(dial(20, "203.0.113.7:443"))
	child := event(kernel.Fork, 30, "", 0, 0)
	child.PPID = 20
	w.Handle(child)
	w.Handle(event(kernel.Exec, 30, "/usr/bin/nc", kernel.OriginLower, 2))
	w.Handle(dial(30, "[2001:db8::1]:25"))
	w.expect("recalled-content observed "+bundle, "egress-recalled observed "+bundle, "egress-recalled observed "+bundle)
	if !strings.Contains(w.alerts[1].Sentence, "connected to 203.0.113.7:443 after loading `…/bundle.js` of `@acme/ui-kit 4.2.1`") {
		t.Error(w.alerts[1].Sentence)
	}
	if w.alerts[2].Peer != "[2001:db8::1]:25" || w.alerts[2].Process.Path != "/usr/bin/nc" {
		t.Errorf("%+v", w.alerts[2])
	}
}

func TestARecallByNameDoesNotReachFilesThatOnlyLookLikeTheRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Level = kernel.Observe })
	r := w.box.image.Releases[uiKit]
	r.ByContent = true
	w.box.image.Releases[uiKit] = r
	w.SetRecalls([]Recall{{Seq: 4, Components: []string{uiKit}, Reason: "mine"}})
	w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
	w.expect() // somebody published a copy of these files, and recalls that
	own := sum(strings.TrimPrefix(bundle, "/"))
	w.SetRecalls([]Recall{{Seq: 5, Components: []string{uiKit}, Files: []string{fmt.Sprintf("sha256:%x", own)}, Reason: "worm"}})
	w.Handle(event(kernel.Open, 21, bundle, kernel.OriginLower, 1))
	w.expect("recalled-content observed " + bundle)
}

func TestTheScopeOfARecallDecidesWhatIsStopped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config  func(*Config)
		recall  func(*Recall)
		outcome string
	}{
		"everywhere":                  {nil, nil, "enforced"},
		"in its canary":               {nil, func(r *Recall) { r.Canary = &evidence.WorkloadRef{Cluster: "prod", Namespace: "store"} }, "enforced"},
		"outside its canary":          {nil, func(r *Recall) { r.Canary = &evidence.WorkloadRef{Namespace: "staging"} }, "observed"},
		"a node that can only look":   {func(c *Config) { c.Level = kernel.Observe }, nil, "observed"},
		"a node that is told to look": {func(c *Config) { c.StopRecalled = false }, nil, "observed"},
		"a system namespace":          {func(c *Config) { c.SystemNamespaces = []string{"store"} }, nil, "observed"},
		"a system namespace, reached": {func(c *Config) { c.SystemNamespaces = []string{"store"} }, func(r *Recall) { r.System = true }, "enforced"},
		"by content": {nil, func(r *Recall) {
			r.Components = nil
			r.Subjects = nil
			r.Files = []string{string(digest.FromBytes([]byte(bundle[1:])))}
		}, "enforced"},
		"the image":       {nil, func(r *Recall) { r.Components = nil; r.Subjects = []string{string(d("image"))} }, "enforced"},
		"another release": {nil, func(r *Recall) { r.Components = []string{"pkg:npm/other@1"}; r.Subjects = nil }, "nothing here"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.config)
			w.recall(test.recall)
			w.recall(test.recall) // what is in force already is not carried out again
			if len(w.desk.urgent) != 1 {
				t.Fatalf("%d receipts", len(w.desk.urgent))
			}
			r := w.desk.urgent[0].Predicate.(evidence.Decision).Receipt
			if r == nil || r.Outcome != test.outcome || r.Recall != 3 || r.Receiver != "agent/node-7" {
				t.Errorf("receipt %+v, want %s", r, test.outcome)
			}
		})
	}
}

func TestARecallOfOtherGatesIsNotCarriedOutHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.recall(func(r *Recall) { r.Gates = []string{"pull", "admit"} })
	w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
	w.expect()
	if len(w.desk.urgent) != 0 {
		t.Errorf("%d receipts", len(w.desk.urgent))
	}
}

func TestALiftedRecallIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Level = kernel.Observe })
	w.recall(nil)
	w.SetRecalls(nil)
	w.Handle(event(kernel.Open, 20, bundle, kernel.OriginLower, 1))
	w.expect()
}

func TestDriftIsStoppedOnlyWhereItMayBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config func(*Config)
		want   bool
	}{
		"told to stop":                       {func(c *Config) { c.StopDrift = true }, true},
		"not told":                           {nil, false},
		"told, in a system namespace":        {func(c *Config) { c.StopDrift = true; c.SystemNamespaces = []string{"store"} }, false},
		"told, on a node that can only look": {func(c *Config) { c.StopDrift = true; c.Level = kernel.Observe }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.config)
			if got := w.eyes.follows[group].KillDrift; got != test.want {
				t.Errorf("drift is stopped: %v", got)
			}
		})
	}
}

func TestEventsWaitForTheirContainerAndAreNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.follow("/late", 8)
	ev := event(kernel.Exec, 50, "/tmp/x", kernel.OriginUpper, 0)
	ev.Cgroup = 8
	w.Handle(ev)
	w.expect()
	c := shop()
	c.ID = strings.Repeat("cd", 32)
	w.found("/late", c)
	w.expect("executed-drift observed /tmp/x")
}

func TestAContainerWhoseRuntimeDoesNotAnswerIsToldWithTheGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.follow("/late/"+strings.Repeat("cd", 32), 8)
	ev := event(kernel.Exec, 50, "/tmp/x", kernel.OriginUpper, 0)
	ev.Cgroup = 8
	for range maxHeld + 10 {
		w.Handle(ev)
	}
	w.now = w.now.Add(holdFor)
	w.expire()
	w.expect("executed-drift observed /tmp/x")
	if got := w.alerts[0].Gaps; !slices.Contains(got, "the container runtime has not answered yet") {
		t.Errorf("gaps %q", got)
	}
	if !slices.ContainsFunc(w.desk.aggregates, func(d evidence.Draft) bool {
		g, ok := d.Predicate.(evidence.Gap)
		return ok && strings.HasPrefix(g.Reason, "10 events of")
	}) {
		t.Error("what did not fit is not told")
	}
}

func TestWhatTheKernelLostIsAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.eyes.counters = kernel.Counters{DroppedBulk: 42}
	w.desk.aggregates = nil
	w.flush(false)
	w.flush(false)
	if len(w.desk.aggregates) != 1 {
		t.Fatalf("%d statements", len(w.desk.aggregates))
	}
	g := w.desk.aggregates[0].Predicate.(evidence.Gap)
	if g.What != "opened and mapped files" || !strings.HasPrefix(g.Reason, "42 events were lost") || w.desk.aggregates[0].Subjects[0].Name != "node:node-7" {
		t.Errorf("gap %+v about %+v", g, w.desk.aggregates[0].Subjects)
	}
}

func TestAContainerThatEndsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.Handle(event(kernel.Exec, 20, "/bin/sh", kernel.OriginLower, 2))
	w.gone("/shop")
	if len(w.boxes)+len(w.byGroup)+len(w.eyes.follows) != 0 {
		t.Errorf("left: %v %v %v", w.boxes, w.byGroup, w.eyes.follows)
	}
	var last evidence.Placement
	facts := 0
	for _, draft := range w.desk.aggregates {
		switch p := draft.Predicate.(type) {
		case evidence.Placement:
			last = p
		case evidence.Behaviour:
			facts++
		}
	}
	if last.Running || last.Container != strings.Repeat("ab", 32) || last.Node != "node-7" || facts != 1 {
		t.Errorf("the end is told as %+v, with %d facts", last, facts)
	}
}

// One event must cost well under a microsecond of the agent.
func BenchmarkHandleOpen(b *testing.B) {
	w := benchWorld(b)
	ev := event(kernel.Open, 20, bundle, kernel.OriginLower, 1)
	for b.Loop() {
		w.Handle(ev)
	}
}

func benchWorld(b *testing.B) *world {
	b.Helper()
	w := &world{eyes: &eyes{follows: map[uint64]kernel.Follow{}, blocked: map[uint64]bool{}}, desk: &desk{}}
	a, err := New(Config{
		Node: "n", Level: kernel.Kill, Proc: b.TempDir(), Tree: cgroup.Tree{Root: b.TempDir()}, Kernel: w.eyes, Reporter: w.desk,
		Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler), Random: func() string { return "" },
	})
	if err != nil {
		b.Fatal(err)
	}
	w.Agent = a
	a.follow("/shop", group)
	a.found("/shop", shop())
	return w
}
