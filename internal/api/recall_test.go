package api_test

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestARecallOfADigestDoesNotTellWhichPrivateNamesHaveIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.Digest(authztest.Own) // the image of own/app, which outsiders do not see
	by := evidence.Actor{Account: "rival"}
	_, err := s.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(purl.Image("free/app", string(d)), d)},
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: purl.OCI, Name: "free/app", Version: string(d), Artifact: d, Size: 1, Actor: by,
		},
		Issuer: by.Issuer(), Assurance: evidence.Authenticated,
	})
	must(t, err)
	if r := s.ask(authztest.Admin, "POST", "/recalls", `{"subject": "`+string(d)+`", "reason": "worm"}`); r.StatusCode != 201 {
		t.Fatal(text(t, r))
	}
	for role, seesOwn := range map[authztest.Role]bool{
		authztest.Anonymous: false, authztest.Outsider: false, authztest.Reader: true, authztest.Admin: true,
	} {
		body := text(t, s.ask(role, "GET", "/recalls", ""))
		if !strings.Contains(body, "free%2Fapp") || strings.Contains(body, "own%2Fapp") != seesOwn {
			t.Errorf("%s reads %s", role, body)
		}
	}
}
