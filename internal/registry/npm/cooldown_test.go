package npm_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// reviewer is the publish stage, as internal/app wires it.
type reviewer struct{ *publish.Service }

func (r reviewer) Review(ctx context.Context, actor evidence.Actor, u registry.Upload) (*registry.Hold, error) {
	f, err := r.Service.Review(ctx, publish.Candidate{Actor: actor,
		Ecosystem: u.Ecosystem, Name: u.Name, Version: u.Version, PURL: u.PURL, Inventory: u.Inventory, Order: u.Order,
	})
	if f == nil || err != nil {
		return nil, err
	}
	return &registry.Hold{Code: f.Code, Summary: f.Summary, Reasons: f.Reasons, Input: f.Input}, nil
}

// cooled starts a registry with a cooldown of an hour on wbdemo, in which versions that gain a hook
// are held.
func cooled(t *testing.T) (*instance, *publish.Service) {
	t.Helper()
	in := start(t)
	service := publish.New(in.core.Record(), in.Accounts)
	now := in.Clock()
	in.core.WithReviewer(reviewer{service}).WithCooldowns(in.Accounts, now)
	accounttest.Check(t, in.Accounts.SetCooldown(t.Context(), in.actor(t, "alice"), purl.NPM, "wbdemo", time.Hour))
	return in, service
}

func (in *instance) actor(t *testing.T, user string) evidence.Actor {
	t.Helper()
	a, err := in.Accounts.AuthenticateSecret(t.Context(), user, in.Tokens[user], "127.0.0.1:1")
	accounttest.Check(t, err)
	return a
}

func (r reply) lacks(t *testing.T, texts ...string) reply {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(string(r.body), text) {
			t.Errorf("%s answered with %q: %s", r.Request.URL.Path, text, r.body)
		}
	}
	return r
}

func TestAVersionRipensInACachedPackumentWithoutAnyChange(t *testing.T) {
	t.Parallel()
	in, _ := cooled(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.do(t, "bob", "GET", "wbdemo", nil).want(t, 403, "release-too-young", "available from")
	in.Ahead(time.Hour)
	in.publish(t, "wbdemo", "1.1.0")
	forms := []string{"application/json", corgi}
	tags := map[string]string{}
	for _, accept := range forms {
		young := in.do(t, "", "GET", "wbdemo", nil, "Accept", accept).want(t, 200, `"1.0.0":{`, `"latest":"1.0.0"`).lacks(t, `"1.1.0"`)
		tags[accept] = young.Header.Get("Etag")
		in.do(t, "", "GET", "wbdemo", nil, "Accept", accept, "If-None-Match", tags[accept]).want(t, http.StatusNotModified)
	}
	head := in.core.Record().Head()
	in.Ahead(2*time.Hour + time.Second)
	for _, accept := range forms {
		ripe := in.do(t, "", "GET", "wbdemo", nil, "Accept", accept, "If-None-Match", tags[accept]).want(t, 200, `"1.1.0":{`, `"latest":"1.1.0"`)
		if ripe.Header.Get("Etag") == tags[accept] {
			t.Error("another document has the same tag")
		}
	}
	if in.core.Record().Head() != head {
		t.Error("something was appended in between: this proves nothing")
	}
}

func TestTheCooldownIsOnEveryWayToAVersion(t *testing.T) {
	t.Parallel()
	in, service := cooled(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.Ahead(time.Hour)
	in.publish(t, "wbdemo", "1.1.0")
	in.do(t, "bob", "GET", "wbdemo/1.1.0", nil).want(t, 403, "release-too-young")
	in.do(t, "bob", "GET", "wbdemo/latest", nil).want(t, 200, `"version":"1.0.0"`)
	in.do(t, "bob", "GET", "wbdemo/-/wbdemo-1.1.0.tgz", nil).want(t, 403, "release-too-young")
	in.do(t, "bob", "GET", "-/package/wbdemo/dist-tags", nil).want(t, 200, `{"latest":"1.0.0"}`)
	in.do(t, "bob", "GET", "-/v1/search?text=wbdemo", nil).want(t, 200, `"version":"1.0.0"`)
	in.do(t, "alice", "GET", "wbdemo/-/wbdemo-1.1.0.tgz", nil).want(t, 200) // whose it is
	_, err := service.Approve(t.Context(), in.actor(t, "bob"), purl.New(purl.NPM, "wbdemo", "1.1.0"), "read it")
	accounttest.Check(t, err)
	in.do(t, "", "GET", "wbdemo/-/wbdemo-1.1.0.tgz", nil).want(t, 200)
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"latest":"1.1.0"`)
}

func TestADocumentThatLacksYoungVersionsRemovesNone(t *testing.T) {
	t.Parallel()
	in, _ := cooled(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.publish(t, "wbdemo", "1.0.1")
	in.Ahead(time.Hour)
	in.publish(t, "wbdemo", "1.1.0")
	seen := in.do(t, "alice", "GET", "wbdemo", nil).want(t, 200).lacks(t, "1.1.0").json(t)["_rev"].(string)
	in.do(t, "alice", "PUT", "wbdemo/-rev/"+seen, strings.NewReader(`{"name":"wbdemo","versions":{"1.0.0":{}}}`)).want(t, 409, "revision-conflict")
	in.do(t, "", "GET", "wbdemo?write=true", nil).want(t, 200).lacks(t, "1.1.0")
	whole := in.do(t, "alice", "GET", "wbdemo?write=true", nil).want(t, 200, `"1.1.0":{`, `"latest":"1.1.0"`).json(t)["_rev"].(string)
	in.do(t, "alice", "PUT", "wbdemo/-rev/"+whole, strings.NewReader(`{"name":"wbdemo","versions":{"1.0.1":{},"1.1.0":{}}}`)).want(t, 201)
	in.Ahead(3 * time.Hour)
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"1.0.1":{`, `"1.1.0":{`).lacks(t, `"1.0.0":{`)
}

func TestAHeldVersionIsAcceptedAndLeftOut(t *testing.T) {
	t.Parallel()
	in, service := cooled(t)
	in.publish(t, "@acme/ui", "1.0.0")
	manifest := map[string]any{"name": "@acme/ui", "version": "1.1.0", "scripts": map[string]any{"postinstall": "echo \u00fc\r\n"}}
	body := publishBody(t, manifest, map[string]string{"package/package.json": `{"name":"@acme/ui","version":"1.1.0","scripts":{"postinstall":"echo \u00fc\r\n"}}`})
	r := in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, http.StatusAccepted)
	if n := r.Header.Get("Npm-Notice"); !strings.Contains(n, "hullmark approve pkg:npm/%40acme/ui@1.1.0") || !strings.Contains(n, "adds an install script (postinstall)") {
		t.Errorf("the notice is %q", n)
	}
	for _, path := range []string{"@acme%2fui", "@acme%2fui?write=true", "-/package/@acme%2fui/dist-tags"} {
		in.do(t, "alice", "GET", path, nil).want(t, 200).lacks(t, "1.1.0")
	}
	in.do(t, "carol", "GET", "@acme%2fui/-/ui-1.1.0.tgz", nil).want(t, 403, "release-held")
	in.do(t, "bob", "GET", "@acme%2fui/-/ui-1.1.0.tgz", nil).want(t, 200)
	in.do(t, "alice", "PUT", "-/package/@acme%2fui/dist-tags/next", strings.NewReader(`"1.1.0"`)).want(t, 403, "release-held")
	in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, 409, "version-exists")
	_, err := service.Approve(t.Context(), in.actor(t, "bob"), purl.New(purl.NPM, "@acme/ui", "1.1.0"), "read it")
	accounttest.Check(t, err)
	in.do(t, "", "GET", "@acme%2fui", nil).want(t, 200, `"latest":"1.1.0"`)
}
