package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

var noon = time.Date(2026, 5, 12, 12, 0, 0, 0, time.UTC)

const shopDigest = "sha256:1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b"

// shop is a request for one image that every shipped policy is content with, given shopRecord.
func shop() Request {
	return Request{
		ID: "r1", Gate: "admit", Cluster: "prod", Namespace: "web", Labels: map[string]string{"kubernetes.io/metadata.name": "web", "team": "a"},
		Kind: "Deployment", Name: "shop", Operation: "CREATE", User: "system:serviceaccount:ci:deployer", At: noon,
		Images: []Image{{Container: "web", Role: "container", Reference: "registry.k8s.io/acme/shop:1@" + shopDigest,
			Registry: "registry.k8s.io", Repository: "acme/shop", Tag: "1", Digest: shopDigest, Pinned: true}},
	}
}

func shopRecord() Record {
	old := noon.Add(-100 * time.Hour)
	return Record{
		Digest: shopDigest, Known: true, Head: 40, References: []string{"acme/shop:1"},
		Publication: Publication{Publisher: "alice", Credential: "token:tok_1", Method: "token", At: old, Seq: 10},
		Approval:    Approval{Approved: true, By: "bob", At: old, Seq: 11},
		Contents: Contents{Complete: true, Platform: "linux/amd64", Layers: []string{"sha256:aa", "sha256:bb"},
			Components: []Component{
				{PURL: "pkg:deb/debian/libc6@2.41", Path: "var/lib/dpkg/status", Grounds: "metadata"},
				{PURL: "pkg:npm/%40acme/ui-kit@4.2.1", Layer: 1, Path: "app/vendor/bundle.js", Grounds: "content", Release: true, Artifact: "sha256:ee",
					Published: Publication{Publisher: "ci-7", At: old, Seq: 5}, Approval: Approval{Approved: true, By: "bob", At: old, Seq: 6}},
			}},
	}
}

func compiled(t testing.TB, document string) *Program {
	t.Helper()
	set, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// one is a policy with one check.
func one(stage Stage, spec string) string {
	return fmt.Sprintf("apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  stage: %s\n%s", stage, spec)
}

func always(r Record) func(string) Record { return func(string) Record { return r } }

func names(v Verdict) []string {
	var out []string
	for _, f := range v.Findings {
		out = append(out, f.Policy+"/"+f.Check)
	}
	return out
}

func TestAGoodImageMeetsEveryShippedPolicy(t *testing.T) {
	t.Parallel()
	p, err := Compile(Shipped())
	if err != nil {
		t.Fatal(err)
	}
	v := p.Decide(shop(), always(shopRecord()), nil)
	if !v.Allow || len(v.Findings) > 0 || v.Head != 40 || v.Revision != p.Revision() {
		t.Errorf("got %+v", v)
	}
}

func TestEachShippedPolicyFindsWhatItIsFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Request, *Record)
		want   string
		says   []string
	}{
		{"an unknown registry", func(q *Request, _ *Record) { q.Images[0].Registry = "evil.example" }, "known-registry/registry", []string{"evil.example"}},
		{"a registry that only begins like a known one", func(q *Request, _ *Record) { q.Images[0].Registry = "registry.k8s.io.evil.example" }, "known-registry/registry", nil},
		{"an image that nobody published here", func(_ *Request, r *Record) { r.Known = false }, "has-record/published", []string{"no publication"}},
		{"a tag without a digest", func(q *Request, r *Record) { q.Images[0].Digest = "" }, "has-record/published", []string{"could not be resolved"}},
		{"a layer that was not read", func(_ *Request, r *Record) { r.Contents.Complete = false }, "has-record/read", nil},
		{"a recalled image", func(_ *Request, r *Record) {
			r.Recalls = []Recall{{Seq: 39, Subject: shopDigest, Reason: "worm", By: "carol"}}
		}, "no-recalled-content/recalled", []string{"it was recalled by carol: worm"}},
		{"a recalled component", func(_ *Request, r *Record) {
			r.Recalls = []Recall{{Seq: 39, Subject: "pkg:npm/%40acme/ui-kit@4.2.1", Via: "pkg:npm/%40acme/ui-kit@4.2.1", Reason: "worm", By: "carol"}}
		}, "no-recalled-content/recalled", []string{"@acme/ui-kit 4.2.1", "published by ci-7", "worm"}},
		{"an image without approval", func(_ *Request, r *Record) { r.Approval = Approval{} }, "publisher-approved/image", []string{"hullmark approve " + shopDigest}},
		{"a release without approval", func(_ *Request, r *Record) { r.Contents.Components[1].Approval = Approval{} }, "publisher-approved/releases", []string{"@acme/ui-kit 4.2.1", "published by ci-7"}},
		{"a young release", func(_ *Request, r *Record) {
			r.Contents.Components[1].Published.At = noon.Add(-23*time.Hour - 59*time.Minute)
		},
			"minimum-age/releases", []string{"2026-05-11T12:01:00Z, less than 24 hours ago"}},
		{"a release of unknown age", func(_ *Request, r *Record) { r.Contents.Components[1].Published.At = time.Time{} }, "minimum-age/releases", []string{"not known when it was published"}},
		{"a tag in the object", func(q *Request, _ *Record) { q.Images[0].Pinned = false }, "digest-pinned/pinned", []string{"the tag 1", "@" + shopDigest}},
		{"a shell on an unknown base", func(_ *Request, r *Record) { r.Contents.Shell = true }, "minimal-or-approved-base/base", []string{"a shell or a package manager"}},
		{"a package manager on a base that is not on the list", func(_ *Request, r *Record) {
			r.Contents.PackageManager, r.Contents.Base = true, Base{Digest: "sha256:cc", References: []string{"acme/base:1"}}
		}, "minimal-or-approved-base/base", []string{"not one of those that are approved"}},
	} {
		for _, stage := range strictness {
			t.Run(c.name+" at stage "+string(stage), func(t *testing.T) {
				t.Parallel()
				set := Shipped()
				for i := range set.Policies {
					set.Policies[i].Spec.Stage = stage
				}
				p, err := Compile(set)
				if err != nil {
					t.Fatal(err)
				}
				req, rec := shop(), shopRecord()
				c.change(&req, &rec)
				v := p.Decide(req, always(rec), nil)
				if !slices.Contains(names(v), c.want) {
					t.Fatalf("findings %v; want %s", names(v), c.want)
				}
				if v.Allow != (stage != Enforce) {
					t.Errorf("allow is %v at stage %s", v.Allow, stage)
				}
				f := v.Findings[slices.Index(names(v), c.want)]
				if f.Stage != stage || f.Container != "web" || f.Error != "" || f.Missing == "" {
					t.Errorf("finding %+v", f)
				}
				for _, word := range append(c.says, "registry.k8s.io/acme/shop", "hullmark exception request --policy "+f.Policy) {
					if !strings.Contains(f.Sentence(), word) {
						t.Errorf("the sentence does not say %q: %s", word, f.Sentence())
					}
				}
			})
		}
	}
}

func TestParametersOfShippedPoliciesWidenThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy string
		params Params
		change func(*Request, *Record)
	}{
		{"known-registry", Params{"registries": []string{"reg.example/team"}}, func(q *Request, _ *Record) { q.Images[0].Registry, q.Images[0].Repository = "reg.example", "team/shop" }},
		{"publisher-approved", Params{"publishers": []string{"alice", "ci-7"}}, func(_ *Request, r *Record) { r.Approval, r.Contents.Components[1].Approval = Approval{}, Approval{} }},
		{"minimum-age", Params{"hours": int64(1), "imageHours": int64(0)}, func(_ *Request, r *Record) { r.Contents.Components[1].Published.At = noon.Add(-time.Hour) }},
		{"minimal-or-approved-base", Params{"bases": []string{"acme/base"}}, func(_ *Request, r *Record) {
			r.Contents.Shell, r.Contents.Base = true, Base{Digest: "sha256:cc", References: []string{"acme/base:1"}}
		}},
	} {
		t.Run(c.policy, func(t *testing.T) {
			t.Parallel()
			set := Shipped()
			set.Policies = slices.DeleteFunc(set.Policies, func(d Document) bool { return d.Metadata.Name != c.policy })
			req, rec := shop(), shopRecord()
			c.change(&req, &rec)
			for _, want := range []bool{true, false} {
				p, err := Compile(set)
				if err != nil {
					t.Fatal(err)
				}
				if v := p.Decide(req, always(rec), nil); (len(v.Findings) > 0) != want {
					t.Errorf("with %v: %v", set.Policies[0].Spec.Params, v.Findings)
				}
				set.Policies[0].Spec.Params = c.params
			}
		})
	}
}

func TestAnErrorIsAFailureWithTheEffectOfItsStage(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"in a check":                 "  checks: [{name: c, expression: 'record.references[7] == \"x\"', message: m}]",
		"an age that is not known":   "  checks: [{name: c, expression: 'record.age > duration(\"1h\")', message: m}]",
		"a time that is not known":   "  checks: [{name: c, expression: 'now - record.publication.at > duration(\"1h\")', message: m}]",
		"in a precondition":          "  preconditions: ['image.role.size() / 0 == 1']\n  checks: [{name: c, expression: 'false', message: m}]",
		"a selector without labels":  "  match: {namespaceSelector: {matchLabels: {a: b}}}\n  checks: [{name: c, expression: 'true', message: m}]",
		"an exclusion without them":  "  exclude: {namespaceSelector: {matchLabels: {a: b}}}\n  checks: [{name: c, expression: 'true', message: m}]",
		"more than its cost allows":  "  checks: [{name: c, expression: 'record.contents.layers.all(a, record.contents.layers.all(b, record.contents.layers.all(c, a + b + c != \"\")))', message: m}]",
		"a message that has no text": "  checks: [{name: c, expression: 'false', message: '{record.references[9]}'}]",
	} {
		for _, stage := range strictness {
			req, rec := shop(), shopRecord()
			req.Labels, rec.Publication.At = nil, time.Time{}
			rec.Contents.Layers = slices.Repeat([]string{"sha256:aa"}, 300)
			v := compiled(t, one(stage, spec)).Decide(req, always(rec), nil)
			if len(v.Findings) != 1 || v.Allow != (stage != Enforce) {
				t.Errorf("%s at %s: %+v", name, stage, v)
				continue
			}
			if f := v.Findings[0]; f.Error == "" && name != "a message that has no text" || f.Stage != stage {
				t.Errorf("%s at %s: %+v", name, stage, f)
			}
		}
	}
}

func TestTheLastRolloutEntryThatMatchesWins(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Audit, `
  params: {limit: 1}
  rollout:
    - {match: {clusters: [prod]}, stage: warn}
    - {match: {clusters: [prod], namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a]}]}}, stage: enforce, params: {limit: 2}}
    - {match: {namespaces: ["sandbox-*"]}, stage: simulate}
  checks: [{name: c, expression: 'false', message: 'limit {params.limit}'}]`))
	for _, c := range []struct {
		cluster, namespace string
		labels             map[string]string
		want               Stage
		says               string
	}{
		{"dev", "web", map[string]string{"team": "a"}, Audit, "limit 1"},
		{"prod", "web", map[string]string{"team": "b"}, Warn, "limit 1"},
		{"prod", "web", map[string]string{"team": "a"}, Enforce, "limit 2"},
		{"prod", "sandbox-7", map[string]string{"team": "a"}, Simulate, "limit 1"},
		{"prod", "web", nil, Enforce, "limit 2"}, // not known: the stricter
	} {
		req := shop()
		req.Cluster, req.Namespace, req.Labels = c.cluster, c.namespace, c.labels
		f := p.Decide(req, always(shopRecord()), nil).Findings[0]
		if f.Stage != c.want || f.Message != c.says {
			t.Errorf("%+v: stage %s, %q", c, f.Stage, f.Message)
		}
	}
}

func TestARecallReachesTheGatesAndNamespacesThatItNames(t *testing.T) {
	t.Parallel()
	p, err := Compile(Shipped())
	if err != nil {
		t.Fatal(err)
	}
	ui := "pkg:npm/%40acme/ui-kit@4.2.1"
	for _, c := range []struct {
		name      string
		recall    Recall
		gate      string
		namespace string
		allow     bool
	}{
		{"all gates", Recall{}, "admit", "web", false},
		{"this gate among others", Recall{Gates: []string{"pull", "admit"}}, "admit", "web", false},
		{"other gates", Recall{Gates: []string{"pull"}}, "admit", "web", true},
		{"the gate of a request that names none", Recall{Gates: []string{"admit"}}, "", "web", false},
		{"a system namespace", Recall{}, "admit", "kube-system", true},
		{"a system namespace, expressly", Recall{System: true}, "admit", "kube-system", false},
	} {
		req, rec := shop(), shopRecord()
		req.Gate, req.Namespace = c.gate, c.namespace
		c.recall.Subject, c.recall.Via, c.recall.Reason = ui, ui, "worm"
		rec.Recalls, rec.Contents.Components[1].Recalled = []Recall{c.recall}, "worm"
		if v := p.Decide(req, always(rec), nil); v.Allow != c.allow {
			t.Errorf("%s: allow is %v: %v", c.name, v.Allow, v.Findings)
		}
		own := compiled(t, one(Enforce, `  checks: [{name: c, foreach: components, expression: 'component.recalled == ""', message: m}]`))
		if v := own.Decide(req, always(rec), nil); v.Allow != c.allow {
			t.Errorf("%s: component.recalled says otherwise: %v", c.name, v.Findings)
		}
	}
}

func TestAnExceptionLetsPastWithoutHiding(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Enforce, `  checks: [{name: c, expression: 'false', message: m}]`))
	e := Exception{ID: 12, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, ApprovedSeq: 3, Expires: noon.Add(time.Minute)}
	req := shop()
	v := p.Decide(req, always(shopRecord()), []Exception{e})
	if !v.Allow || len(v.Findings) != 1 || v.Findings[0].Exception != 12 || !slices.Equal(v.Exceptions, []int64{12}) {
		t.Fatalf("got %+v", v)
	}
	req.At = e.Expires
	if v := p.Decide(req, always(shopRecord()), []Exception{e}); v.Allow || v.Findings[0].Exception != 0 || len(v.Exceptions) != 0 {
		t.Errorf("at its minute it still works: %+v", v)
	}
}

// crowd is a record of n components that were published here this minute.
func crowd(n int) Record {
	r := shopRecord()
	r.Contents.Components = nil
	for i := range n {
		r.Contents.Components = append(r.Contents.Components, Component{PURL: fmt.Sprintf("pkg:npm/c%d@1", i), Release: true, Published: Publication{Publisher: "ci", At: noon}})
	}
	return r
}

func TestAThousandFailuresAreListedAsAFewAndAllCount(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Enforce, `  checks: [{name: c, foreach: components, expression: 'component.age.getHours() > 1', message: m}]`))
	all := Exception{ID: 5, Policy: "p", Scope: evidence.ExceptionScope{Namespace: "web"}, ApprovedSeq: 3, Expires: noon.Add(time.Hour)}
	var each []Exception
	for i := range 999 { // all but the last
		e := all
		e.ID, e.Scope.Component = int64(i+1), fmt.Sprintf("pkg:npm/c%d", i)
		each = append(each, e)
	}
	for _, c := range []struct {
		name       string
		exceptions []Exception
		allow      bool
		findings   int
		used       int
	}{
		{"none excepted", nil, false, maxReported, 0},
		{"all excepted", []Exception{all}, true, maxReported, 1},
		{"all but the last excepted", each, false, maxReported + 1, 999},
	} {
		v := p.Decide(shop(), always(crowd(1000)), c.exceptions)
		if v.Allow != c.allow || len(v.Findings) != c.findings || len(v.Exceptions) != c.used {
			t.Errorf("%s: allow %v, %d findings, %d exceptions", c.name, v.Allow, len(v.Findings), len(v.Exceptions))
		}
		if last := v.Findings[maxReported-1].Message; !strings.Contains(last, "not listed") {
			t.Errorf("%s: the last one listed says %q", c.name, last)
		}
	}
}

func TestPoliciesThatLoopOverEverythingAreStoppedTogether(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Enforce, `  checks: [{name: c, foreach: components, expression: 'record.contents.components.all(a, a.purl != "x" && a.purl != "y")', message: m}]`))
	v := p.Decide(shop(), always(crowd(1200)), nil)
	if v.Allow || len(v.Findings) != maxReported || !strings.Contains(v.Findings[0].Error, "too many steps") {
		t.Errorf("allow %v, %d findings: %+v", v.Allow, len(v.Findings), v.Findings[:min(1, len(v.Findings))])
	}
	if v := p.Decide(shop(), always(crowd(30)), nil); !v.Allow {
		t.Errorf("a small image is denied: %+v", v.Findings)
	}
}

func TestADefectIsAFailureOfThePolicyThatMetIt(t *testing.T) {
	t.Parallel()
	p := compiled(t, one(Warn, "  rollout: [{match: {namespaces: [web]}, stage: enforce}]\n  checks: [{name: c, expression: 'true', message: m}]")+"\n---\n"+
		strings.Replace(one(Audit, `  checks: [{name: c, expression: 'false', message: m}]`), "name: p", "name: q", 1))
	p.policies[0].Checks[0].Holds.Eval = nil
	v := p.Decide(shop(), always(shopRecord()), nil)
	if v.Allow || len(v.Findings) != 2 || !strings.Contains(v.Findings[0].Error, "defect") || v.Findings[0].Stage != Enforce || v.Findings[1].Policy != "q" {
		t.Errorf("got %+v", v)
	}
}

func TestProgramsAreUsedConcurrently(t *testing.T) {
	t.Parallel()
	p, err := Compile(Shipped())
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if v := p.Decide(shop(), always(shopRecord()), nil); !v.Allow || len(v.Findings) > 0 {
					t.Errorf("got %+v", v)
				}
			}
		})
	}
	group.Wait()
}
