package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/policy"
)

func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const requestText = `{"at": "2026-05-12T12:00:00Z", "namespace": "web", "kind": "Pod", "name": "shop", "operation": "CREATE",
 "images": [{"container": "web", "role": "container",
  "reference": "registry.example/acme/shop:1@sha256:1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b"}]}`

const recordText = `{"digest": "sha256:1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b", "known": true,
 "recalls": [{"seq": 3, "subject": "sha256:aa", "via": "app/x.js", "reason": "worm", "by": "carol"}]}`

const exceptionText = `{"id": 12, "policy": "*", "scope": {"namespace": "web"}, "approvedSeq": 5, "expires": "2026-05-12T13:00:00Z"}`

func TestPoliciesAreCheckedAndTriedWithoutAServer(t *testing.T) {
	t.Parallel()
	good := tempFile(t, "good.yaml", strings.Join(shippedText(t), "---\n"))
	bad := tempFile(t, "bad.yaml", strings.Replace(shippedText(t)[1], "record.known", "record.knwon", 1))
	request, record, exception := tempFile(t, "req.json", requestText), tempFile(t, "rec.json", recordText), tempFile(t, "exc.json", exceptionText)
	passes := tempFile(t, "case.yaml", "name: unknown\nshipped: [has-record]\nrequest: {at: 2026-05-12T12:00:00Z, images: [{reference: nginx}]}\nexpect: {allow: true, failures: [has-record/published]}\n")
	fails := tempFile(t, "case.yaml", "name: unknown\nshipped: [has-record]\nrequest: {at: 2026-05-12T12:00:00Z, images: [{reference: nginx}]}\nexpect: {allow: false}\n")
	odd := tempFile(t, "case.yaml", "name: odd\nrequest: {at: 2026-05-12T12:00:00Z, images: [{reference: 'a b'}]}\nexpect: {allow: false}\n")
	for _, c := range []struct {
		args      string
		code      int
		out, talk string
	}{
		{"policy check " + good, 0, "no-recalled-content", ""},
		{"policy check -o json " + good, 0, `"revision": "sha256:`, ""},
		{"policy check " + bad, 1, "", "line "},
		{"policy check " + bad + " " + good, 1, "minimum-age", "[policy-expression-invalid]"},
		{"policy check " + bad + " /nowhere.yaml", 1, "", "[policy-file-unreadable]"},
		{"policy check", 2, "", "expected one FILE or more"},
		{"policy check --nope", 2, "", "unknown flag"},
		{"policy", 2, "", "a subcommand is needed"},
		{"policy shipped", 0, "name: digest-pinned", ""},
		{"policy shipped minimum-age", 0, "imageHours: 0 #", ""},
		{"policy shipped nope", 1, "", "[policy-not-shipped]"},
		{"policy shipped a b", 2, "", "expected one NAME or none"},
		{"policy fields", 0, "record.contents.components[].age", ""},
		{"policy test " + good + " --request " + request + " --record " + record, 3, "what it has at app/x.js was recalled by carol: worm", "[policy-denies]"},
		{"policy test " + good + " --request " + request + " --record " + record + " --exception " + exception, 0, "exception #12", ""},
		{"policy test " + good + " --request " + request + " --record " + record + " --exception " + exception + " --at 2026-05-12T13:00:00Z", 3, "deny", "[policy-denies]"},
		{"policy test " + good + " --request " + request, 0, "has-record", ""},
		{"policy test " + good + " --request " + request + " --at noon", 2, "", "--at must look like"},
		{"policy test " + good + " --request " + record, 1, "", "[policy-case-malformed]"},
		{"policy test " + good + " --request /nowhere.json", 1, "", "[policy-file-unreadable]"},
		{"policy test " + good + " --record " + record, 2, "", "belong to --request"},
		{"policy test " + passes, 0, "ok", ""},
		{"policy test " + fails, 1, "did not expect has-record/published:warn", "[policy-case-failed]"},
		{"policy test " + odd, 1, "", "[image-reference-invalid]"},
		{"policy test " + good, 1, "", "holds no test case"},
		{"policy test", 2, "", "expected FILE"},
	} {
		code, out, talk := run(t.Context(), "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(talk, c.talk) {
			t.Errorf("hullmark %s: code %d, want %d\nout: %s\ntalk: %s", c.args, code, c.code, out, talk)
		}
	}
	if code, out, talk := run(t.Context(), strings.Join(shippedText(t), "---\n"), "policy", "check", "-"); code != 0 || !strings.Contains(out, "known-registry") {
		t.Errorf("from standard input: code %d\n%s%s", code, out, talk)
	}
}

func shippedText(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range policy.ShippedNames() {
		text, ok := policy.ShippedDocument(name)
		if !ok {
			t.Fatal(name)
		}
		out = append(out, string(text))
	}
	return out
}

func TestTheVerdictOfATriedRequestIsDataToo(t *testing.T) {
	t.Parallel()
	good := tempFile(t, "good.yaml", shippedText(t)[1])
	_, out, talk := run(t.Context(), "", "policy", "test", good, "--request", tempFile(t, "req.json", requestText), "-o", "json")
	var v policy.Verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.Allow || len(v.Findings) != 1 || v.Findings[0].Policy != "has-record" {
		t.Errorf("%v\n%s%s", err, out, talk)
	}
}

// TestTheCommandThatADenialNamesIsTaken runs what a denial tells people to paste: it must fail for want of a
// server, not because of how it is written.
func TestTheCommandThatADenialNamesIsTaken(t *testing.T) {
	t.Parallel()
	f := policy.Failure{Policy: "no-recalled-content", Namespace: "web", Image: "registry.example/acme/shop:1",
		Digest: "sha256:1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b", Component: "pkg:npm/%40acme/ui-kit@4.2.1"}
	args := strings.Fields(f.ExceptionCommand())[1:]
	if code, _, talk := run(t.Context(), "", args...); code != 1 || !strings.Contains(talk, "[server-unreachable]") {
		t.Errorf("%v: code %d: %s", args, code, talk)
	}
}
