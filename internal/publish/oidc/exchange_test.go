package oidc_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
)

func TestAPipelineThatIsTrustedGetsATokenForItsPackageAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := w.issuer("github")
	p := w.trust(github(i.URL))
	token := i.Token(audience, oidctest.GitHub())
	m, err := w.exchange(token)
	must(t, err)
	actor := w.login(m.Secret)
	if actor.Account != p.ID || actor.Method != "oidc" || actor.Workload == nil || actor.Workload.Claims["repository"] != "acme/ui" {
		t.Errorf("the actor is %+v", actor)
	}
	must(t, w.accounts.Authorize(t.Context(), actor, evidence.Publish, purl.NPM, "@acme/ui"))
	wantCode(t, w.accounts.Authorize(t.Context(), actor, evidence.Publish, purl.NPM, "@acme/other"), "token-scope")
	wantCode(t, w.accounts.Authorize(t.Context(), actor, evidence.Own, purl.NPM, "@acme/ui"), "token-scope")

	all := w.decisions("@acme/ui")
	last := all[len(all)-1]
	if last.Action != "exchange" || last.Verdict != "allow" || last.Actor.Credential != m.Credential || last.Actor.Workload.Claims["run_id"] != "1520000001" {
		t.Errorf("the record says %+v", last)
	}
	raw, err := json.Marshal(all)
	must(t, err)
	for _, part := range append(strings.Split(token, "."), m.Secret) {
		if strings.Contains(string(raw), part) {
			t.Errorf("the record holds a part of a token: %s", part)
		}
	}
}
