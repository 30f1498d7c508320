package npm_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

func TestWebLoginHandsTheTokenToTheClientThatWaits(t *testing.T) {
	t.Parallel()
	in := start(t)
	urls := in.do(t, "", "POST", "-/v1/login", strings.NewReader("{}")).want(t, 200).json(t)
	code, ours := strings.CutPrefix(urls["loginUrl"].(string), "http://pages.test/login/")
	done := strings.TrimPrefix(urls["doneUrl"].(string), in.url)
	if !ours || code == "" {
		t.Fatalf("the page to log in on is %s", urls["loginUrl"])
	}
	if r := in.do(t, "", "GET", done, nil).want(t, 202); r.Header.Get("Retry-After") != "1" {
		t.Errorf("headers are %v", r.Header)
	}
	accounttest.Check(t, in.Accounts.CompleteLogin(t.Context(), code, in.actor(t, "alice")))
	token := in.do(t, "", "GET", done, nil).want(t, 200, `"token":"hm_`).json(t)["token"].(string)
	in.do(t, "", "GET", done, nil).want(t, 404, "login-unknown")
	in.do(t, "", "GET", "-/whoami", nil, "Authorization", "Bearer "+token).want(t, 200, `{"username":"alice"}`)
	in.do(t, "", "DELETE", "-/user/token/"+token, nil, "Authorization", "Bearer "+token).want(t, 200)
	in.do(t, "", "GET", "-/whoami", nil, "Authorization", "Bearer "+token).want(t, 401)
}

func TestLegacyLoginTakesAPasswordOrAToken(t *testing.T) {
	t.Parallel()
	in := start(t)
	login := func(address, name, password string) reply {
		body := `{"_id":"org.couchdb.user:` + name + `","name":"` + name + `","password":"` + password + `","type":"user","roles":[]}`
		return in.do(t, "", "PUT", "-/user/org.couchdb.user:"+address, strings.NewReader(body))
	}
	for _, secret := range []string{"correct horse bob", in.Tokens["bob"]} {
		token := login("bob", "bob", secret).want(t, 201, `"ok":true`).json(t)["token"].(string)
		in.do(t, "", "GET", "-/whoami", nil, "Authorization", "Bearer "+token).want(t, 200, "bob")
	}
	login("bob", "bob", "wrong").want(t, 401)
	login("alice", "bob", "correct horse bob").want(t, 400)
	login("ghost", "ghost", "correct horse ghost").want(t, 401)
}

func TestTokensAreMadeAsAsked(t *testing.T) {
	t.Parallel()
	in := start(t)
	made := in.do(t, "alice", "POST", "-/npm/v1/tokens", strings.NewReader(
		`{"name":"ci","password":"x","packages":["wbdemo"],"packages_and_scopes_permission":"read-write","expires":1}`)).want(t, 201, `"readonly":false`).json(t)
	bearer := []string{"Authorization", "Bearer " + made["token"].(string)}
	in.do(t, "", "PUT", "@acme%2fui", strings.NewReader("{}"), bearer...).want(t, 403, "token-scope")
	in.do(t, "", "PUT", "wbdemo", strings.NewReader("{}"), bearer...).want(t, 404)
	in.do(t, "", "DELETE", "wbdemo/-rev/1-0", nil, bearer...).want(t, 403, "token-scope")
	list := in.do(t, "alice", "GET", "-/npm/v1/tokens", nil).want(t, 200, made["key"].(string), `"urls":{}`)
	if strings.Contains(string(list.body), made["token"].(string)) {
		t.Error("the list gives the secret away")
	}
	for _, body := range []string{`{"packages_and_scopes_permission":"all"}`, `{"cidr_whitelist":["x"]}`, `{"orgs":["acme"]}`} {
		in.do(t, "alice", "POST", "-/npm/v1/tokens", strings.NewReader(body)).want(t, 400, "token-unfit")
	}
	in.do(t, "alice", "POST", "-/npm/v1/tokens", strings.NewReader("[")).want(t, 400, "body-malformed")
	in.do(t, "", "GET", "-/npm/v1/tokens", nil).want(t, 401, "login-required")
}

func TestEveryRouteSaysWhoItIsFor(t *testing.T) {
	t.Parallel()
	in := start(t)
	key := newKey(t)
	reg, err := npm.New(in.core, npm.Config{PublicURL: in.url, Signer: key, Accounts: in.front})
	accounttest.Check(t, err)
	seen := map[string]bool{}
	for _, r := range reg.Routes() {
		if seen[r.Method+r.Pattern] || r.Handler == nil {
			t.Errorf("%s %s is there twice or has no handler", r.Method, r.Pattern)
		}
		seen[r.Method+r.Pattern] = true
		byName := strings.Contains(r.Pattern, "{name}") || strings.Contains(r.Pattern, "{release}")
		byOrganisation := !byName && strings.Contains(r.Pattern, "{org}")
		if byName != (r.Access == registry.AccessNamespace) || byOrganisation != (r.Access == registry.AccessOrganisation) ||
			(byName || byOrganisation) != (r.Permission != "") {
			t.Errorf("%s %s is for %q with permission %q", r.Method, r.Pattern, r.Access, r.Permission)
		}
		if byName && r.Method != http.MethodGet && r.Permission == evidence.Read {
			t.Errorf("%s %s writes and asks for the right to read", r.Method, r.Pattern)
		}
	}
}

func TestConfigurationsThatCannotWorkFailWhenBuilt(t *testing.T) {
	t.Parallel()
	for _, cfg := range []npm.Config{
		{PublicURL: "http://127.0.0.1/npm", Signer: newKey(t)}, {PublicURL: "/npm/", Signer: newKey(t)}, {PublicURL: "http://127.0.0.1/npm/"},
	} {
		if _, err := npm.New(nil, cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
