package browser

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestAHeldReleaseIsReadAndApprovedWithAPasskey(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := s.acme(t, "bob")
	publish(t, s.project(t, tokens["alice"], "1.0.0", nil))
	second := s.project(t, tokens["alice"], "1.1.0", map[string]any{"scripts": map[string]string{"postinstall": "node collect.js"}})
	second.write("collect.js", "fetch('https://collect.example/x')\n")
	publish(t, second)
	if out, err := second.npm("view", "@acme/ui", "version"); err != nil || strings.TrimSpace(out) != "1.0.0" {
		t.Fatalf("what is held is offered: %v %s", err, out)
	}

	b := s.browse(t)
	b.do("authenticator", nil)
	b.signIn("bob")
	enrol(b, "bob's key")
	b.do("forget", nil)
	b.signIn("bob")
	b.press("Use a passkey")
	b.follow("Releases that wait for somebody to look at them")
	b.follow("@acme/ui 1.1.0")
	b.see("node collect.js")
	b.see("collect.js")
	b.see("postinstall")
	b.accessible()
	b.picture("stage")
	if text := b.text(); !strings.Contains(text, "What is different from 1.0.0") || !strings.Contains(text, "alice") {
		t.Errorf("the page says: %s", text)
	}
	b.fill("What you looked at", "the script phones home, as agreed")
	b.press("Approve")
	b.see("is approved and offered from now on")
	if out, err := second.npm("view", "@acme/ui", "version", "--prefer-online"); err != nil || strings.TrimSpace(out) != "1.1.0" {
		t.Fatalf("what was approved is not offered: %v %s", err, out)
	}
	statements, err := s.Record.About(t.Context(), purl.New(purl.NPM, "@acme/ui", "1.1.0").String(), -1, 100)
	must(t, err)
	approved := slices.ContainsFunc(statements, func(st evidence.Statement) bool {
		var a evidence.Approval
		return st.PredicateType == evidence.ApprovalType && json.Unmarshal(st.Predicate, &a) == nil && a.Actor.Account == "bob" && a.Actor.Factor == evidence.WebAuthn && strings.HasPrefix(a.Actor.Credential, "session:")
	})
	if !approved {
		t.Errorf("no statement says that bob approved it with a passkey: %+v", statements)
	}
}

func TestWhoPublishedAReleaseDoesNotApproveIt(t *testing.T) {
	t.Parallel()
	s := start(t)
	tokens := s.acme(t)
	publish(t, s.project(t, tokens["alice"], "1.0.0", nil))
	publish(t, s.project(t, tokens["alice"], "1.1.0", map[string]any{"scripts": map[string]string{"postinstall": "node index.js"}}))
	b := s.browse(t)
	b.signIn("alice")
	b.follow("Releases that wait for somebody to look at them")
	b.follow("@acme/ui 1.1.0")
	b.see("somebody else has to approve it")
	b.fill("What is wrong with it", "it should have no script")
	b.press("Reject for good")
	b.see("is rejected")
	b.open("/stage/", 200)
	b.see("Nothing waits for you")
}

func publish(t *testing.T, p *project) {
	t.Helper()
	if out, err := p.npm("publish"); err != nil {
		t.Fatalf("npm publish: %v\n%s", err, out)
	}
}
