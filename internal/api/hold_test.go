package api_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestAnImageIsApprovedByAnyOfItsNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.Digest(authztest.Own)
	by := evidence.Actor{Account: "own-ci"}
	_, err := s.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(purl.Image("own/app", string(d)), d)}, Issuer: by.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Publication{Event: evidence.Tagged, Ecosystem: purl.OCI, Name: "own/app", Version: string(d), Tags: []string{"1"}, Actor: by},
	})
	must(t, err)
	c := s.connect(authztest.Maintainer)
	image := string(purl.Image("own/app", string(d)))
	var first int64
	for _, subject := range []string{"own/app:1", "own/app@" + string(d), "localhost:4873/own/app:1", image} {
		made, err := c.Approve(t.Context(), subject, "checklist done")
		if err != nil || made.Subject != image || made.Account != "maintainer" || made.Released {
			t.Errorf("%s: %+v, %v", subject, made, err)
		}
		if first == 0 {
			first = made.Seq
		}
		if made.Seq != first {
			t.Errorf("%s: approved again in statement %d", subject, made.Seq)
		}
	}
	for subject, code := range map[string]string{
		"registry.example/own/app:1": "trace-unknown", "own/app:2": "version-unknown", string(d): "subject-invalid",
		"other/app:1": "name-unknown", "": "subject-invalid", "pkg:npm/%40own/ui@9": "version-unknown", "publisher:alice": "subject-invalid",
	} {
		if _, err := c.Approve(t.Context(), subject, "x"); fault.As(err).Code != code {
			t.Errorf("%q: %v, want %s", subject, err, code)
		}
	}
}

func TestAHeldVersionIsListedToWhoMayPublishTheName(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	by := evidence.Actor{Account: "own-ci"}
	p, d := purl.New(purl.NPM, "@own/ui", "1.1.0"), digest.FromBytes([]byte("1.1.0"))
	_, err := s.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)}, Issuer: by.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Publication{Event: evidence.Held, Ecosystem: purl.NPM, Name: "@own/ui", Version: "1.1.0", Artifact: d, Size: 1, Actor: by},
	})
	must(t, err)
	for role, sees := range map[authztest.Role]bool{authztest.Reader: false, authztest.Maintainer: true, authztest.Admin: true} {
		if body := text(t, s.ask(role, "GET", "/packages/npm/%40own%2Fui", "")); strings.Contains(body, `"state":"held"`) != sees {
			t.Errorf("%s reads %s", role, body)
		}
		if body := text(t, s.ask(role, "GET", "/holds", "")); strings.Contains(body, string(p)) != sees {
			t.Errorf("%s reads %s", role, body)
		}
	}
	if r := s.ask(authztest.Maintainer, "DELETE", "/holds/"+url.PathEscape(string(p)), ""); r.StatusCode != 400 {
		t.Errorf("rejected without a reason: %d", r.StatusCode)
	}
}

func TestACooldownIsSetAndShownWithItsNamespace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	path := "/namespaces/npm/@own"
	for body, want := range map[string]string{
		`{"cooldown": "24h"}`: `"cooldown":"24h0m0s"`, `{"cooldown": "-1h"}`: "cooldown-invalid", `{"cooldown": "2161h"}`: "cooldown-invalid",
		`{"cooldown": "soon"}`: "cooldown-invalid", `{}`: "request-invalid", `{"cooldown": "1ms"}`: "cooldown-invalid",
	} {
		if got := text(t, s.ask(authztest.Owner, "PUT", path, body)); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
	if got := text(t, s.ask(authztest.Reader, "GET", path, "")); !strings.Contains(got, `"cooldown":"24h0m0s"`) || !strings.Contains(got, `"visibility":"private"`) {
		t.Errorf("shown as %s", got)
	}
	if got := text(t, s.ask(authztest.Owner, "PUT", path, `{"cooldown": "0", "visibility": "public"}`)); strings.Contains(got, "cooldown") || !strings.Contains(got, "public") {
		t.Errorf("turned off: %s", got)
	}
}
