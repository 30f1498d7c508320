package authztest

import (
	"fmt"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// hold makes a version that waits, published by nobody in the matrix. For nobody's namespace there is
// none.
func (a *API) hold(t *testing.T, target Target) purl.PURL {
	t.Helper()
	name, version := "@"+string(target)+"/ui", fmt.Sprintf("2.0.%d", a.n)
	p := purl.New(purl.NPM, name, version)
	if target == None {
		return p
	}
	by := evidence.Actor{Account: string(target) + "-ci", Credential: "token:tok_ci", Method: "token"}
	d := digest.FromBytes([]byte(p))
	about := []evidence.Subject{evidence.About(p, d)}
	_, err := a.Record.Append(t.Context(), nil, evidence.Draft{
		Subjects: about, Issuer: by.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Publication{
			Event: evidence.Held, Ecosystem: purl.NPM, Name: name, Version: version, Tags: []string{"latest"}, Artifact: d, Size: 1, Actor: by,
		},
	}, evidence.Draft{
		Subjects: about, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
		Predicate: evidence.Decision{
			Gate: "publish", Action: "publish", Verdict: "hold", Code: "install-script-new", Policy: "test", Actor: by,
			Input: []byte(`{"against": "1.0.0", "hooks": [{"name": "postinstall", "change": "added", "command": "node x.js"}]}`),
		},
	})
	must(t, err)
	return p
}
