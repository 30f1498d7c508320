package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/tlog"
)

const ui = "pkg:npm%2F%2540own%2Fui@1.0.0" // of the path segment's escape

func TestErrorsAreProblemDocumentsWithCodeAndPage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	long := `{"name": "` + strings.Repeat("a", 70000) + `"}`
	for title, c := range map[string]struct {
		role               authztest.Role
		method, path, body string
		status             int
		code, says         string
	}{
		"an unknown field":       {authztest.Owner, "POST", "/tokens", `{"permission": "read", "expries": "2030-01-01T00:00:00Z"}`, 400, "request-invalid", `"expries"`},
		"a wrong type":           {authztest.Owner, "POST", "/tokens", `{"permission": 1}`, 400, "request-invalid", "permission"},
		"two values":             {authztest.Owner, "POST", "/organisations", `{"name": "a"}{}`, 400, "request-invalid", "follows"},
		"half a value":           {authztest.Owner, "POST", "/organisations", `{"name":`, 400, "request-invalid", "unexpected EOF"},
		"a body that is too big": {authztest.Owner, "POST", "/organisations", long, 413, "request-too-large", "65536"},
		"a network that is none": {authztest.Owner, "POST", "/tokens", `{"permission": "read", "networks": ["x"]}`, 400, "request-invalid", `"x"`},
		"a path that is not":     {authztest.Owner, "GET", "/nothing", "", 404, "route-unknown", "openapi"},
		"another method":         {authztest.Owner, "PUT", "/tokens", `{}`, 405, "method-not-allowed", "GET, POST"},
		"no login":               {authztest.Anonymous, "GET", "/whoami", "", 401, "login-required", "log in"},
		"a query of nothing":     {authztest.Owner, "GET", "/trace?q=", "", 400, "trace-query-invalid", "purl"},
		"a made-up cursor":       {authztest.Owner, "GET", "/tokens?cursor=bm90aGluZw", "", 400, "request-invalid", "cursor"},
		"a cursor that decodes":  {authztest.Owner, "GET", "/packages?ecosystem=npm&cursor=zzz", "", 400, "request-invalid", "cursor"},
		"a package's old cursor": {authztest.Owner, "GET", "/packages?ecosystem=npm&cursor=bm90aGluZw", "", 400, "request-invalid", "cursor"},
		"a cursor of noise":      {authztest.Owner, "GET", "/recalls?cursor=!!", "", 400, "request-invalid", "cursor"},
		"too much at once":       {authztest.Owner, "GET", "/tokens?limit=501", "", 400, "request-invalid", "500"},
		"no index":               {authztest.Owner, "GET", "/log/inclusion", "", 400, "request-invalid", "index"},
		"an index past the end":  {authztest.Owner, "GET", "/log/inclusion?index=99999", "", 400, "log-range", ""},
	} {
		r := s.ask(c.role, c.method, c.path, c.body)
		var p resource.Problem
		if err := json.Unmarshal([]byte(text(t, r)), &p); err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		if r.StatusCode != c.status || p.Status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %d %+v", title, r.StatusCode, p)
		}
		if r.Header.Get("Content-Type") != "application/problem+json" || p.Docs != "docs/errors/"+c.code+".md" {
			t.Errorf("%s: %v %+v", title, r.Header, p)
		}
	}
}

func TestACredentialThatIsNotValidIsRefusedAlsoWhereNoneIsNeeded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.ask(authztest.Anonymous, "GET", "/version", "", "Authorization", "Bearer hm_wrong")
	if r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %d %v", r.StatusCode, r.Header)
	}
}

func TestASingleResourceAnswers304ToItsOwnETagUntilItChanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	path := "/packages/npm/%40own%2Fui"
	first := s.ask(authztest.Owner, "GET", path, "")
	tag := first.Header.Get("ETag")
	if first.StatusCode != 200 || len(tag) < 10 || tag[0] != '"' {
		t.Fatalf("got %d, ETag %q", first.StatusCode, tag)
	}
	for _, header := range []string{tag, `"other", ` + tag, "W/" + tag, "*"} {
		if r := s.ask(authztest.Owner, "GET", path, "", "If-None-Match", header); r.StatusCode != 304 || text(t, r) != "" {
			t.Errorf("%s: got %d", header, r.StatusCode)
		}
	}
	if r := s.ask(authztest.Owner, "POST", "/recalls", `{"subject": "pkg:npm/%40own/ui@1.0.0", "reason": "worm"}`); r.StatusCode != 201 {
		t.Fatal(text(t, r))
	}
	if r := s.ask(authztest.Owner, "GET", path, "", "If-None-Match", tag); r.StatusCode != 200 || !strings.Contains(text(t, r), `"recalled":"worm"`) {
		t.Errorf("got %d", r.StatusCode)
	}
}

func TestIfMatchRefusesAChangeThatWasDecidedFromAnOldState(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	path := "/namespaces/npm/@own"
	tag := s.ask(authztest.Owner, "GET", path, "").Header.Get("ETag")
	if r := s.ask(authztest.Owner, "PUT", path, `{"visibility": "public"}`, "If-Match", tag); r.StatusCode != 200 {
		t.Fatal(text(t, r))
	}
	if r := s.ask(authztest.Owner, "PUT", path, `{"visibility": "private"}`, "If-Match", tag); r.StatusCode != 409 {
		t.Errorf("got %d", r.StatusCode)
	}
	if r := s.ask(authztest.Anonymous, "GET", "/packages/npm/%40own%2Fui", ""); r.StatusCode != 200 {
		t.Errorf("a public package: got %d %s", r.StatusCode, text(t, r))
	}
}

func TestListsComeInPagesThatJoinToTheWhole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"c", "a", "b", "e", "d"} {
		if r := s.ask(authztest.Outsider, "POST", "/organisations", `{"name": "org-`+name+`"}`); r.StatusCode != 201 {
			t.Fatal(text(t, r))
		}
	}
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		var p resource.Page[resource.Organisation]
		must(t, json.Unmarshal([]byte(text(t, s.ask(authztest.Outsider, "GET", "/organisations?limit=2&cursor="+cursor, ""))), &p))
		for _, o := range p.Items {
			got = append(got, o.Name)
		}
		if cursor = p.Next; cursor == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
	}
	if strings.Join(got, " ") != "org-a org-b org-c org-d org-e" {
		t.Errorf("got %v", got)
	}
}

func TestAListOfPackagesWithoutAnEcosystemIsRefusedAndNotEmpty(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, err := s.connect(authztest.Admin).Packages(t.Context(), "", "")
	if f := fault.As(err); f.Code != "request-invalid" {
		t.Error(err)
	}
}

func TestPackagesAreListedToWhoMayReadThem(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for role, want := range map[authztest.Role]string{
		authztest.Anonymous: "public", authztest.Reader: "@own/recalled @own/ui public",
		authztest.Admin: "@other/recalled @other/ui @own/recalled @own/ui public",
	} {
		var p resource.Page[resource.PackageSummary]
		must(t, json.Unmarshal([]byte(text(t, s.ask(role, "GET", "/packages?ecosystem=npm", ""))), &p))
		var got []string
		for _, one := range p.Items {
			got = append(got, one.Name)
		}
		if strings.Join(got, " ") != want || p.Next != "" {
			t.Errorf("%s: got %v, next %q", role, got, p.Next)
		}
	}
}

func TestRecallsAreListedToWhoMayReadWhatTheyStop(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	elsewhere := "sha256:" + strings.Repeat("0", 64)
	for _, subject := range []string{"pkg:npm/%40own/ui@1.0.0", "pkg:npm/public@1.0.0", elsewhere} {
		if r := s.ask(authztest.Admin, "POST", "/recalls", `{"subject": "`+subject+`", "reason": "worm"}`); r.StatusCode != 201 {
			t.Fatal(text(t, r))
		}
	}
	for role, want := range map[authztest.Role]int{authztest.Outsider: 1, authztest.Reader: 2, authztest.Admin: 3} {
		var p resource.Page[resource.Recall]
		must(t, json.Unmarshal([]byte(text(t, s.ask(role, "GET", "/recalls", ""))), &p))
		if len(p.Items) != want {
			t.Errorf("%s: got %+v, want %d", role, p.Items, want)
		}
	}
}

func TestADigestInAPublicAndAPrivateNameShowsEachOnlyItsStatements(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.Digest(authztest.Own) // the image of own/app, pushed into a public repository too
	by := evidence.Actor{Account: "rival"}
	_, err := s.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(purl.Image("free/app", string(d)), d)},
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: purl.OCI, Name: "free/app", Version: string(d), Artifact: d, Size: 1, Actor: by,
		},
		Issuer: by.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	path := "/records/" + url.PathEscape(string(d))
	if body := text(t, s.ask(authztest.Outsider, "GET", path, "")); strings.Contains(body, "own%2Fapp") || !strings.Contains(body, "free%2Fapp") {
		t.Errorf("an outsider reads\n%s", body)
	}
	if body := text(t, s.ask(authztest.Reader, "GET", path, "")); !strings.Contains(body, "own%2Fapp") || !strings.Contains(body, "free%2Fapp") {
		t.Errorf("a reader reads\n%s", body)
	}
	if r := s.ask(authztest.Outsider, "GET", path+"/bundle", ""); r.StatusCode != 403 || !strings.Contains(text(t, r), "bundle-not-yours") {
		t.Errorf("an outsider's bundle: %d", r.StatusCode)
	}
}

func TestABundleFromTheServerVerifiesOffline(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.ask(authztest.Reader, "GET", "/records/"+ui+"/bundle", "")
	body := text(t, r)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != evidence.BundleType {
		t.Fatalf("%d %s", r.StatusCode, body)
	}
	verifier, err := note.NewVerifier(s.vkey)
	must(t, err)
	report, err := evidence.VerifyBundle(bytes.NewReader([]byte(body)), verifier)
	if err != nil || len(report.Statements) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestProofsFromTheServerCheckOut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var c resource.Checkpoint
	must(t, json.Unmarshal([]byte(text(t, s.ask(authztest.Anonymous, "GET", "/log/checkpoint", ""))), &c))
	verifier, err := note.NewVerifier(s.vkey)
	must(t, err)
	entries, err := s.Record.Entries(t.Context(), 1, 2)
	must(t, err)
	var p resource.Proof
	must(t, json.Unmarshal([]byte(text(t, s.ask(authztest.Anonymous, "GET", "/log/inclusion?index=1", ""))), &p))
	if err := tlog.VerifyInclusion(entries[0], 1, p.Hashes, []byte(c.Note), verifier); err != nil || p.Size != c.Size {
		t.Errorf("%+v: %v", p, err)
	}
}

func TestHEADHasTheHeadersOfGETAndNoBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.ask(authztest.Anonymous, "HEAD", "/version", "")
	if r.StatusCode != 200 || r.Header.Get("ETag") == "" || text(t, r) != "" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}
