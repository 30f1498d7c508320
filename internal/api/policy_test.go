package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/purl"
)

// say appends a statement about subjects.
func (s *server) say(p evidence.Predicate, subjects ...evidence.Subject) int64 {
	s.t.Helper()
	made, err := s.Record.Append(s.t.Context(), nil, evidence.Draft{
		Subjects: subjects, Predicate: p, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "test"}, Assurance: evidence.Observed,
	})
	must(s.t, err)
	return made[0].Seq
}

func TestWhereAnImageRunsIsForThoseWhoPublishIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.Digest(authztest.Own)
	about := evidence.About("", d)
	where := evidence.WorkloadRef{Cluster: "prod", Namespace: "payments", Kind: "Deployment", Name: "ledger"}
	s.say(evidence.Placement{WorkloadRef: where, Running: true}, about)
	s.say(evidence.Decision{Gate: "admit", Action: "create", Verdict: "allow", Workload: &where}, about)
	for role, sees := range map[authztest.Role]bool{
		authztest.Reader: false, authztest.Maintainer: true, authztest.Owner: true, authztest.Admin: true,
	} {
		r := s.ask(role, "GET", "/records/"+string(d), "")
		if body := text(t, r); r.StatusCode != 200 || strings.Contains(body, "ledger") != sees {
			t.Errorf("%s: status %d, %s", role, r.StatusCode, body)
		}
	}
	if r := s.ask(authztest.Reader, "GET", "/records/"+string(d)+"/bundle", ""); r.StatusCode != 403 {
		t.Errorf("a reader gets a bundle with it: %d", r.StatusCode)
	}
}

func TestARecordCountsWhatItsReaderMayNotRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	secret := purl.New(purl.NPM, "@own/secret", "1.0.0")
	artifact := s.Digest("secret archive")
	by := evidence.Actor{Account: "own-ci"}
	s.say(evidence.Publication{
		Event: evidence.Published, Ecosystem: purl.NPM, Name: "@own/secret", Version: "1.0.0", Artifact: artifact, Actor: by,
	}, evidence.About(secret, artifact))
	files := []evidence.File{{Path: "package/x.js", Size: 500, Mode: 0o644, SHA256: s.Digest("secret file")}}
	inventory, err := s.Record.StoreInventory(t.Context(), &evidence.Inventory{Analyser: "release/1", Files: files})
	must(t, err)
	s.say(evidence.Contents{Of: "release", Analyser: "release/1", Inventory: inventory}, evidence.About(secret, artifact))
	files[0].Path = "app/vendor/x.js"
	layer := s.Digest("layer")
	inventory, err = s.Record.StoreInventory(t.Context(), &evidence.Inventory{Analyser: "layer/1", DiffID: layer, Files: files})
	must(t, err)
	s.say(evidence.Contents{Of: "layer", Analyser: "layer/1", Inventory: inventory, Blob: layer}, evidence.About("", layer))
	image := s.Digest("free image")
	about := evidence.About(purl.Image("free/app", string(image)), image)
	s.say(evidence.Publication{
		Event: evidence.Published, Ecosystem: purl.OCI, Name: "free/app", Version: string(image), Tags: []string{"1"}, Artifact: image,
		Actor: evidence.Actor{Account: "rival"},
	}, about)
	s.say(evidence.Contents{Of: "image", Layers: []evidence.ImageLayer{{DiffID: layer, Blob: layer}}}, about)
	s.say(evidence.Recall{Reason: "stolen key", Actor: by}, evidence.Subject{Name: string(secret)})
	if body := text(t, s.ask(authztest.Outsider, "GET", "/images/"+string(image)+"/record", "")); strings.Contains(body, "secret") {
		t.Errorf("an outsider reads %s", body)
	}
	s.say(evidence.Recall{Reason: "stolen key", Actor: by, Admin: true}, evidence.Subject{Name: string(secret)})

	for role, sees := range map[authztest.Role]bool{authztest.Outsider: false, authztest.Reader: true, authztest.Admin: true} {
		body := text(t, s.ask(role, "GET", "/images/"+string(image)+"/record", ""))
		var r policy.Record
		must(t, json.Unmarshal([]byte(body), &r))
		if strings.Contains(body, "secret") != sees || strings.Contains(body, "own-ci") != sees {
			t.Errorf("%s reads %s", role, body)
		}
		if len(r.Recalls) != 1 || r.Recalls[0].Reason != "stolen key" || r.Publication.Publisher != "rival" {
			t.Errorf("%s reads %s", role, body)
		}
		if counted := strings.Contains(strings.Join(r.Gaps, " "), "1 component in namespaces"); counted == sees {
			t.Errorf("%s reads the gaps %q", role, r.Gaps)
		}
	}
	before := s.Record.Head() - 1
	body := text(t, s.ask(authztest.Admin, "GET", fmt.Sprintf("/images/%s/record?head=%d", image, before), ""))
	if !strings.Contains(body, `"recalls":[]`) {
		t.Errorf("as of before the recall: %s", body)
	}
}

func TestAnExceptionIsSeenByWhomItConcerns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := fmt.Sprintf(`{"policy": "digest-pinned", "scope": {"image": %q}, "reason": "hotfix", "ticket": "OPS-7", "expires": "%s"}`,
		s.Digest(authztest.Own), in(t, 24))
	made := s.ask(authztest.Maintainer, "POST", "/exceptions", body)
	var x resource.Exception
	must(t, json.Unmarshal([]byte(text(t, made)), &x))
	if made.StatusCode != 201 || x.State != "requested" || x.Requester != "maintainer" || x.Ticket != "OPS-7" {
		t.Fatalf("%d %+v", made.StatusCode, x)
	}
	path := fmt.Sprintf("/exceptions/%d", x.Number)
	for role, status := range map[authztest.Role]int{authztest.Maintainer: 403, authztest.Outsider: 404, authztest.Rival: 404} {
		if r := s.ask(role, "POST", path+"/approval", ""); r.StatusCode != status {
			t.Errorf("%s approves: %d %s", role, r.StatusCode, text(t, r))
		}
	}
	if r := s.ask(authztest.Owner, "POST", path+"/approval", ""); r.StatusCode != 200 || !strings.Contains(text(t, r), `"state":"approved"`) {
		t.Errorf("the owner approves: %d", r.StatusCode)
	}
	for role, sees := range map[authztest.Role]bool{
		authztest.Outsider: false, authztest.Rival: false, authztest.Maintainer: true, authztest.Owner: true, authztest.Admin: true,
	} {
		if got := text(t, s.ask(role, "GET", "/exceptions", "")); strings.Contains(got, "OPS-7") != sees {
			t.Errorf("%s reads %s", role, got)
		}
	}
	if r := s.ask(authztest.Maintainer, "DELETE", path+"?reason=done", ""); r.StatusCode != 204 {
		t.Errorf("who asked takes it back: %d %s", r.StatusCode, text(t, r))
	}
}

func TestPoliciesAreReplacedOnlyByWhoHasReadThem(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	have := s.ask(authztest.Outsider, "GET", "/policies", "")
	tag := have.Header.Get("ETag")
	put := func(name, tag string) int {
		document := "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: {name: " + name + "}\nspec:\n  stage: audit\n" +
			"  checks: [{name: known, expression: record.known, message: unknown, missing: a record}]\n"
		body, err := json.Marshal(resource.NewPolicySet{Document: document})
		must(t, err)
		return s.ask(authztest.Admin, "PUT", "/policies", string(body), "If-Match", tag).StatusCode
	}
	if code := put("a", tag); code != 200 {
		t.Errorf("the first: %d", code)
	}
	if code := put("b", tag); code != 409 {
		t.Errorf("decided from a state that is gone: %d", code)
	}
	var was resource.PolicySet
	must(t, json.Unmarshal([]byte(text(t, have)), &was))
	if r := s.ask(authztest.Outsider, "GET", "/policies/"+was.Revision, ""); r.StatusCode != 200 {
		t.Errorf("the set before is not found again: %d", r.StatusCode)
	}
}

// in returns the time in some hours.
func in(t *testing.T, hours int) string {
	t.Helper()
	return time.Now().Add(time.Duration(hours) * time.Hour).UTC().Format(time.RFC3339)
}
