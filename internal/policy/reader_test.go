package policy_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

// shop is a record with a base image and an application on it, which installs one release by its package
// manager and vendors another, malicious one without any metadata.
type shop struct {
	*tracetest.Builder
	t      *testing.T
	record *evidence.Record
	reader *policy.Reader

	ui, worm            purl.PURL
	base, app, innocent digest.Digest
	vendored            evidence.ImageLayer
}

const payload = "the payload"

func newShop(t *testing.T) *shop {
	t.Helper()
	record, db := tracetest.Open(t)
	s := &shop{Builder: tracetest.NewBuilder(t.Context(), record), t: t, record: record, reader: policy.NewReader(db)}
	s.ui = s.Release("alice", "@acme/ui", "1.0.0", tracetest.Files(map[string]string{"package/ui.js": "ui"}, 500))
	clean := map[string]string{"package/util.js": "util"}
	s.Release("alice", "@acme/kit", "4.2.0", tracetest.Files(clean, 500))
	clean["package/bundle.js"] = payload
	s.worm = s.Release("mallory", "@acme/kit", "4.2.1", tracetest.Files(clean, 500))

	busybox := tracetest.Files(map[string]string{"bin/busybox": "busybox"}, 9000)
	busybox[0].Mode = 0o755
	lower := s.Layer("base", tracetest.Components("pkg:deb/debian/libc6@2.36"), busybox)
	install := s.Layer("install", tracetest.Components(s.ui), tracetest.Files(map[string]string{"app/node_modules/@acme/ui/ui.js": "ui"}, 500))
	s.vendored = s.Layer("vendor", nil, tracetest.Files(map[string]string{"app/dist/util.js": "util", "app/dist/x.js": payload}, 500))
	s.base = s.Image("ops", "base/alpine", "3", nil, lower)
	s.innocent = s.Image("alice", "acme/site", "1", nil, lower, install)
	s.app = s.Image("alice", "acme/shop", "1", nil, lower, install, s.vendored)
	s.save()
	return s
}

func (s *shop) save() {
	s.t.Helper()
	if err := s.Append(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) say(p evidence.Predicate, subjects ...evidence.Subject) int64 {
	s.t.Helper()
	made, err := s.record.Append(s.t.Context(), nil, evidence.Draft{
		Subjects: subjects, Predicate: p, Issuer: evidence.Issuer{Kind: evidence.Account, ID: "someone"}, Assurance: evidence.Authenticated,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return made[0].Seq
}

func (s *shop) recall(lifted bool, subject string) int64 {
	p := evidence.Recall{Reason: "worm", Lifted: lifted, Actor: tracetest.By("root"), Admin: true}
	if d, err := digest.Parse(subject); err == nil {
		return s.say(p, evidence.About("", d))
	}
	return s.say(p, evidence.Subject{Name: subject})
}

func (s *shop) of(d digest.Digest, head int64) policy.Record {
	s.t.Helper()
	r, err := s.reader.Record(s.t.Context(), string(d), head)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) now(d digest.Digest) policy.Record { s.t.Helper(); return s.of(d, inside.Newest) }

func component(r policy.Record, p purl.PURL) policy.Component {
	for _, c := range r.Contents.Components {
		if c.PURL == string(p) {
			return c
		}
	}
	return policy.Component{}
}

func TestARecordTellsWhereAnImageComesFromAndWhatIsInIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := s.now(s.app)
	if !r.Known || r.Publication.Publisher != "alice" || r.Publication.Credential != "token:tok_alice" || r.Publication.Method != "token" || r.Publication.At.IsZero() {
		t.Errorf("publication %+v", r.Publication)
	}
	if !slices.Contains(r.References, "acme/shop:1") || !slices.Contains(r.References, "acme/shop@"+string(s.app)) {
		t.Errorf("references %v", r.References)
	}
	if !r.Contents.Complete || r.Contents.Platform != "linux/amd64" || len(r.Contents.Layers) != 3 || !r.Contents.Shell || r.Contents.PackageManager {
		t.Errorf("contents %+v", r.Contents)
	}
	if b := r.Contents.Base; b.Digest != string(s.innocent) || b.Layers != 2 {
		t.Errorf("base %+v, want the image with the most of its layers", b)
	}
	if b := s.now(s.innocent).Contents.Base; b.Digest != string(s.base) || !slices.Contains(b.References, "base/alpine:3") {
		t.Errorf("base %+v", b)
	}
	ui := component(r, s.ui)
	if !ui.Release || ui.Grounds != "both" || ui.Layer != 1 || ui.Published.Publisher != "alice" || ui.Artifact != string(tracetest.Digest("@acme/ui@1.0.0")) {
		t.Errorf("installed component %+v", ui)
	}
	if libc := component(r, "pkg:deb/debian/libc6@2.36"); libc.Release || libc.Grounds != "metadata" || libc.Path == "" {
		t.Errorf("component from elsewhere %+v", libc)
	}
}

func TestAVendoredCopyIsAComponentThoughNoMetadataNamesIt(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := s.now(s.app)
	worm := component(r, s.worm)
	if worm.Grounds != "content" || worm.Layer != 2 || !strings.HasPrefix(worm.Path, "app/dist/") || worm.Published.Publisher != "mallory" {
		t.Errorf("vendored copy %+v", worm)
	}
	if c := component(r, "pkg:npm/%40acme/kit@4.2.0"); c.PURL != "" {
		t.Errorf("the version before shares a file with what is there, and explains less: %+v", c)
	}
}

func TestARecallReachesTheVendoredCopy(t *testing.T) {
	t.Parallel()
	for name, subject := range map[string]func(*shop) string{
		"by purl":                      func(s *shop) string { return string(s.worm) },
		"by the digest of its bytes":   func(*shop) string { return string(tracetest.Digest("@acme/kit@4.2.1")) },
		"by the SHA-256 of one file":   func(*shop) string { return string(tracetest.Digest(payload)) },
		"by the layer":                 func(s *shop) string { return string(s.vendored.DiffID) },
		"by the layer as it is pulled": func(s *shop) string { return string(s.vendored.Blob) },
		"by the image":                 func(s *shop) string { return string(s.app) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			before := s.now(s.app)
			seq := s.recall(false, subject(s))
			r := s.now(s.app)
			if len(r.Recalls) != 1 || r.Recalls[0].Seq != seq || r.Recalls[0].Reason != "worm" || r.Recalls[0].By != "root" {
				t.Fatalf("recalls %+v", r.Recalls)
			}
			if n := len(s.now(s.innocent).Recalls); n != 0 {
				t.Errorf("it reaches an image without it: %d", n)
			}
			if reached := component(r, s.worm).Recalled; (reached == "worm") != !strings.Contains(name, "layer") && !strings.Contains(name, "image") {
				t.Errorf("the component is recalled: %q", reached)
			}
			touched, err := s.reader.Touched(t.Context(), seq, seq+1)
			if err != nil || !slices.Contains(touched, s.app) || slices.Contains(touched, s.base) {
				t.Errorf("touched %v, %v", touched, err)
			}
			lifted := s.recall(true, subject(s))
			after := s.now(s.app)
			after.Head = before.Head
			if !reflect.DeepEqual(before, after) {
				t.Errorf("lifted, the record is not as it was:\n%+v\n%+v", before, after)
			}
			if touched, err = s.reader.Touched(t.Context(), lifted, lifted+1); err != nil || !slices.Contains(touched, s.app) {
				t.Errorf("the lifting touched %v, %v", touched, err)
			}
			if r := s.of(s.app, seq+1); len(r.Recalls) != 1 {
				t.Error("as of the time before it was lifted, the recall is not in force")
			}
		})
	}
}

func TestWhatARecalledVersionSharesWithGoodOnesStopsNobody(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	// the files of 4.2.0 and of a later good version that has nothing of its own
	s.Release("alice", "@acme/kit", "4.2.2", tracetest.Files(map[string]string{"package/util.js": "util"}, 500))
	copied := s.Layer("copied", nil, tracetest.Files(map[string]string{"lib/util.js": "util"}, 500))
	d := s.Image("alice", "acme/copied", "1", nil, copied)
	s.save()
	good := "pkg:npm/%40acme/kit@4.2.0"
	s.recall(false, string(s.worm))
	if r := s.now(d); len(r.Recalls) != 0 {
		t.Errorf("a file that the recalled version shares with good ones: %+v", r.Recalls)
	}
	if r := s.now(s.app); len(r.Recalls) != 1 {
		t.Errorf("the payload is told apart: %+v", r.Recalls)
	}
	s.recall(false, good)
	r := s.now(d)
	if len(r.Recalls) != 0 || !strings.Contains(strings.Join(r.Gaps, " "), "which of them it is cannot be told") {
		t.Errorf("one of two versions with the same files: %+v %q", r.Recalls, r.Gaps)
	}
	s.recall(false, "pkg:npm/%40acme/kit@4.2.2")
	if r := s.now(d); len(r.Recalls) != 3 {
		t.Errorf("every version that it can be is recalled: %+v", r.Recalls)
	}
}

func TestAnOwnerWhoRecallsFilesThatOthersHaveStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	theirs := s.Layer("theirs", nil, tracetest.Files(map[string]string{"app/framework.js": "a framework from elsewhere"}, 500))
	d := s.Image("alice", "acme/framework", "1", nil, theirs)
	p := s.Release("mallory", "@mallory/mine", "1.0.0", tracetest.Files(map[string]string{"package/x.js": "a framework from elsewhere"}, 500))
	named := s.Image("mallory", "mallory/app", "1", nil, s.Layer("named", tracetest.Components(p), nil))
	s.save()
	s.say(evidence.Recall{Reason: "mine", Actor: tracetest.By("mallory")}, evidence.Subject{Name: string(p)})
	if r := s.now(d); len(r.Recalls) != 0 || !strings.Contains(strings.Join(r.Gaps, " "), "only an administrator's recall") {
		t.Errorf("%+v %q", r.Recalls, r.Gaps)
	}
	if r := s.now(named); len(r.Recalls) != 1 {
		t.Errorf("what names the release is reached: %+v", r.Recalls)
	}
}

func TestACopyThatSomebodyElsePublishesTakesNothingOutOfARecall(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.Release("mallory", "@mallory/innocent", "1.0.0", tracetest.Files(map[string]string{"package/x.js": payload, "package/util.js": "util"}, 500))
	s.save()
	s.recall(false, string(s.worm))
	if r := s.now(s.app); len(r.Recalls) != 1 {
		t.Errorf("%+v", r.Recalls)
	}
}

func TestAFileThatAnUpperLayerRemovedIsNotReachedByItsRecall(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	clean := s.Removal("clean", []string{"app/dist"}, nil, nil)
	d := s.Image("alice", "acme/clean", "1", nil, s.vendored, clean)
	s.save()
	s.recall(false, string(tracetest.Digest(payload)))
	s.recall(false, string(s.worm))
	if r := s.now(d); len(r.Recalls) != 0 || component(r, s.worm).PURL != "" {
		t.Errorf("%+v", r.Recalls)
	}
}

func TestAShellThatAnUpperLayerRemovedIsNotThere(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	files := tracetest.Files(map[string]string{"usr/bin/bash": "bash", "usr/bin/apt-get": "apt", "opt/sh/readme.sh": "readme"}, 900)
	for i := range files {
		files[i].Mode = 0o755
	}
	full := s.Layer("full", nil, files)
	d := s.Image("alice", "acme/full", "1", nil, full)
	bare := s.Image("alice", "acme/bare", "1", nil, full, s.Removal("bare", []string{"usr/bin/bash"}, nil, nil))
	s.save()
	if c := s.now(d).Contents; !c.Shell || !c.PackageManager {
		t.Errorf("%+v", c)
	}
	if c := s.now(bare).Contents; c.Shell || !c.PackageManager {
		t.Errorf("%+v", c)
	}
}

func TestTheRecordOfAnOlderHeadIsWhatItWas(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := s.app
	heads := []int64{s.record.Head()}
	was := []policy.Record{s.of(d, heads[0])}
	later := []func(){
		func() { s.recall(false, string(s.worm)) },
		func() {
			s.say(evidence.Approval{Release: purl.Image("acme/shop", string(d)), Actor: tracetest.By("bob"), Reason: "seen"}, evidence.About(purl.Image("acme/shop", string(d)), d))
		},
		func() {
			s.say(evidence.Approval{Release: s.ui, Actor: tracetest.By("bob")}, evidence.Subject{Name: string(s.ui)})
		},
		func() { s.recall(true, string(s.worm)) },
		func() {
			s.say(evidence.Verification{Proof: "signature", Identity: "ci", Verdict: "holds"}, evidence.About("", d))
		},
		func() {
			s.say(evidence.Findings{Source: "osv", Advisories: []string{"GHSA-1"}}, evidence.Subject{Name: string(s.ui)})
		},
		func() {
			s.say(evidence.Gap{What: "its signatures", Reason: "the registry was away"}, evidence.About("", d))
		},
		func() { // the tag moves on
			s.Image("alice", "acme/shop", "1", nil, s.Layer("other", nil, nil))
			s.save()
		},
		func() { // a release is published whose file the vendored layer has
			s.Release("eve", "@eve/copy", "1.0.0", tracetest.Files(map[string]string{"package/a.js": payload}, 500))
			s.save()
		},
		func() { // the tag of its base moves on
			s.Image("alice", "acme/site", "1", nil, s.Layer("new site", nil, nil))
			s.save()
		},
		func() { // the image is withdrawn
			p := purl.Image("acme/shop", string(d))
			s.say(evidence.Publication{Event: evidence.Withdrawn, Ecosystem: purl.OCI, Name: "acme/shop", Version: string(d), Actor: tracetest.By("alice")}, evidence.About(p, d))
		},
	}
	for i, step := range later {
		from := s.record.Head()
		step()
		heads = append(heads, s.record.Head())
		was = append(was, s.of(d, s.record.Head()))
		changed := was[i+1]
		changed.Head = was[i].Head
		touched, err := s.reader.Touched(t.Context(), from, s.record.Head())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(changed, was[i]) && !slices.Contains(touched, d) {
			t.Errorf("step %d changed the record and did not touch it\n%+v\n%+v", i, was[i], changed)
		}
		if reflect.DeepEqual(changed, was[i]) {
			t.Errorf("step %d changed nothing: the test proves nothing", i)
		}
	}
	for i, head := range heads {
		if got := s.of(d, head); !reflect.DeepEqual(got, was[i]) {
			t.Errorf("at head %d the record was\n%+v\nand is now\n%+v", head, was[i], got)
		}
	}
	if err := s.record.Rebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for i, head := range heads {
		if got := s.of(d, head); !reflect.DeepEqual(got, was[i]) {
			t.Errorf("at head %d the rebuilt record was\n%+v\nand is now\n%+v", head, was[i], got)
		}
	}
}

func TestAnApprovalByThePublisherIsNone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := purl.Image("acme/shop", string(s.app))
	s.say(evidence.Approval{Release: p, Actor: tracetest.By("alice")}, evidence.About(p, s.app))
	if a := s.now(s.app).Approval; a.Approved {
		t.Errorf("%+v", a)
	}
	s.say(evidence.Approval{Release: p, Actor: tracetest.By("bob"), Reason: "read it"}, evidence.About(p, s.app))
	s.say(evidence.Approval{Release: p, Actor: tracetest.By("alice")}, evidence.About(p, s.app))
	if a := s.now(s.app).Approval; !a.Approved || a.By != "bob" || a.Reason != "read it" {
		t.Errorf("%+v", a)
	}
}

func TestAnImageThatNothingIsKnownOfIsUnknownAndCanBeRecalledAllTheSame(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := digest.FromBytes([]byte("elsewhere"))
	seq := s.recall(false, string(d))
	r := s.now(d)
	if r.Known || len(r.Gaps) == 0 || len(r.Recalls) != 1 {
		t.Errorf("%+v", r)
	}
	touched, err := s.reader.Touched(t.Context(), seq, seq+1)
	if err != nil || !slices.Equal(touched, []digest.Digest{d}) {
		t.Errorf("touched %v, %v", touched, err)
	}
}

func TestTheRecordOfWhatIsUnknownIsTheOneThatEveryGateTakes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	d := digest.FromBytes([]byte("nothing"))
	if got, want := s.of(d, 7), policy.Unknown(string(d), 7); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\n%+v", got, want)
	}
}

func TestAnIndexIsTheWorstOfWhatItLists(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.Index("alice", "acme/multi", "1", s.innocent, s.app)
	s.save()
	d, err := s.reader.Resolve(t.Context(), "acme/multi", "1")
	if err != nil || d == "" {
		t.Fatal(d, err)
	}
	seq := s.recall(false, string(s.worm))
	r := s.now(d)
	if !r.Known || r.Publication.Publisher != "alice" || !r.Contents.Complete || len(r.Recalls) != 1 || r.Recalls[0].Seq != seq {
		t.Errorf("%+v", r)
	}
	if component(r, s.worm).Recalled != "worm" || component(r, s.ui).PURL == "" {
		t.Errorf("components %+v", r.Contents.Components)
	}
	touched, err := s.reader.Touched(t.Context(), seq, seq+1)
	if err != nil || !slices.Contains(touched, d) {
		t.Errorf("the index was not touched: %v, %v", touched, err)
	}
	all, err := s.reader.Images(t.Context())
	if err != nil || len(all) != 4 {
		t.Errorf("images %v, %v", all, err)
	}
}

func TestAnIndexThatListsWhatIsNotKnownIsNotKnown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.Index("alice", "acme/half", "1", s.innocent, digest.FromBytes([]byte("missing")))
	s.save()
	d, err := s.reader.Resolve(t.Context(), "acme/half", "1")
	if err != nil {
		t.Fatal(err)
	}
	if r := s.now(d); r.Known || r.Contents.Complete || len(r.Gaps) == 0 {
		t.Errorf("%+v", r)
	}
}

func TestThousandsOfRecalledFilesAreHeldAgainstAnImageAsOneIs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	drafts := make([]evidence.Draft, 3000)
	for i := range drafts {
		drafts[i] = evidence.Draft{
			Subjects:  []evidence.Subject{evidence.About("", digest.FromBytes([]byte(fmt.Sprint("malware ", i))))},
			Predicate: evidence.Recall{Reason: "malware", Actor: tracetest.By("root")},
			Issuer:    evidence.Issuer{Kind: evidence.Account, ID: "root"}, Assurance: evidence.Authenticated,
		}
	}
	if _, err := s.record.Append(t.Context(), nil, drafts...); err != nil {
		t.Fatal(err)
	}
	s.recall(false, string(tracetest.Digest(payload)))
	r := s.now(s.app)
	if len(r.Recalls) != 1 || r.Recalls[0].Via != "app/dist/x.js" || component(r, s.worm).Recalled != "worm" {
		t.Errorf("%+v", r.Recalls)
	}
}
