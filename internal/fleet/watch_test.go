package fleet_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

func TestAMembersTokenOpensTheFleetAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	for _, path := range []string{"/api/v1/whoami", "/api/v1/recalls", "/npm/@acme%2fui", "/v2/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+agent.token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d with an agent's token", path, answer.StatusCode)
		}
	}
	for _, token := range []string{"", w.app.AdminToken, "hmf_x", agent.token[:len(agent.token)-1] + "x"} {
		_, err := w.report(member{FleetClient: w.client(token)}, "b", placement(t, "c"))
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%.6s…: %v", token, err)
		}
	}
}

func TestARevokedMembersStreamEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	stream := w.watch(agent, &fleetv1.WatchRequest{None: true})
	if err := w.app.Accounts.RevokeEnrolment(t.Context(), w.admin, agent.id); err != nil {
		t.Fatal(err)
	}
	for stream.Receive() { // what was under way
	}
	if connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated {
		t.Errorf("the stream ended with %v", stream.Err())
	}
	if _, err := w.report(agent, "b", placement(t, "c")); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a report of a revoked member: %v", err)
	}
}

func TestAnAdmissionControllerIsToldEverythingAndThenWhatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := tracetest.NewBuilder(t.Context(), w.app.Record)
	layer := b.Layer("base", tracetest.Components(purl.New(purl.NPM, "left-pad", "1.0.0")), nil)
	first := b.Image("alice", "acme/app", "1", nil, layer)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	admission := w.enrol(account.AdmissionMember, "prod")
	stream, err := admission.Watch(t.Context(), connect.NewRequest(&fleetv1.WatchRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	synced := until(t, stream, func(u *fleetv1.Update) bool {
		switch c := u.Change.(type) {
		case *fleetv1.Update_Image:
			got = append(got, "image "+c.Image.Digest)
		case *fleetv1.Update_Tag:
			got = append(got, "tag "+c.Tag.Repository+":"+c.Tag.Tag+" "+c.Tag.Digest)
		case *fleetv1.Update_Policies:
			got = append(got, "policies")
		case *fleetv1.Update_Exceptions:
			got = append(got, "exceptions")
		case *fleetv1.Update_Recalls:
			got = append(got, "recalls")
		}
		return u.GetSynced()
	})
	slices.Sort(got)
	want := []string{"exceptions", "image " + string(first), "policies", "recalls", "tag acme/app:1 " + string(first)}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Another image takes the tag over, and is recalled by what is in it.
	second := b.Image("alice", "acme/app", "1", nil, layer, b.Layer("more", nil, nil))
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	until(t, stream, func(u *fleetv1.Update) bool { return u.GetTag().GetDigest() == string(second) })
	_, err = recall.New(w.app.Record, w.app.Accounts, nil).Recall(t.Context(), w.admin, recall.Order{Subject: "pkg:npm/left-pad@1.0.0", Reason: "worm"})
	if err != nil {
		t.Fatal(err)
	}
	u := until(t, stream, func(u *fleetv1.Update) bool {
		return u.GetImage().GetDigest() == string(second) && strings.Contains(string(u.GetImage().Record), "worm")
	})
	stream.Close()
	// Who comes back with what it had gets what has changed since, and no more.
	again, err := admission.Watch(t.Context(), connect.NewRequest(&fleetv1.WatchRequest{After: u.Head}))
	if err != nil {
		t.Fatal(err)
	}
	until(t, again, func(u *fleetv1.Update) bool {
		if u.GetReset_() || u.GetImage() != nil {
			t.Errorf("nothing has changed, and it is told %v", u)
		}
		return u.GetSynced()
	})
	again.Close()
	if synced.Head == 0 || u.Head <= synced.Head {
		t.Errorf("heads %d, %d", synced.Head, u.Head)
	}
	// Who kept what another server had forgets it.
	other, err := admission.Watch(t.Context(), connect.NewRequest(&fleetv1.WatchRequest{After: 1 << 40}))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	until(t, other, func(u *fleetv1.Update) bool { return u.GetReset_() })
}

func TestARecallSurvivesTheServersRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	stream := w.watch(agent, &fleetv1.WatchRequest{None: true})
	made, err := recall.New(w.app.Record, w.app.Accounts, nil).Recall(t.Context(), w.admin, recall.Order{Subject: "pkg:npm/left-pad@1.0.0", Reason: "worm"})
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	for stream.Receive() {
	}
	if code := connect.CodeOf(stream.Err()); code != connect.CodeUnavailable && code != connect.CodeUnknown {
		t.Errorf("the stream ended with %v", stream.Err())
	}
	agent.FleetClient = w.client(agent.token)
	back, err := agent.Watch(t.Context(), connect.NewRequest(&fleetv1.WatchRequest{None: true, After: made.Seq}))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	until(t, back, func(u *fleetv1.Update) bool { return len(u.GetRecalls().GetRecalls()) == 1 })
	if got, err := w.report(agent, "r", receipt(t, made.Seq)); err != nil || len(got.Seqs) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAnAgentWatchesNoRecordsOfEveryImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.enrol(account.AgentMember, "node-1")
	for _, req := range []*fleetv1.WatchRequest{{}, {Images: []string{"acme/app:1"}}} {
		stream, err := agent.Watch(t.Context(), connect.NewRequest(req))
		if err == nil {
			for stream.Receive() {
			}
			err = stream.Err()
		}
		if code := connect.CodeOf(err); code != connect.CodePermissionDenied && code != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
}

func TestAnImagesFilesAreTheirComponents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := tracetest.NewBuilder(t.Context(), w.app.Record)
	ui := b.Release("alice", "@acme/ui", "1.0.0", tracetest.Files(map[string]string{"package/index.js": "ui index"}, 100))
	named := purl.New(purl.NPM, "left-pad", "1.0.0")
	layer := b.Layer("app", tracetest.Components(named), tracetest.Files(map[string]string{
		"srv/vendor/ui.js": "ui index", "app/node_modules/left-pad/lib/x.js": "pad", "etc/passwd": "passwd",
	}, 100))
	image := b.Image("alice", "acme/app", "1", nil, layer)
	if err := b.Append(); err != nil {
		t.Fatal(err)
	}
	agent := w.enrol(account.AgentMember, "node-1")
	want := map[string]string{"srv/vendor/ui.js": string(ui), "app/node_modules/left-pad/lib/x.js": string(named), "etc/passwd": ""}
	for _, req := range []*fleetv1.ImageRequest{{Digest: string(image)}, {Digest: "acme/app:1"}, {DiffIds: []string{string(layer.DiffID)}}} {
		stream, err := agent.Image(t.Context(), connect.NewRequest(req))
		if err != nil {
			t.Fatal(err)
		}
		var about *fleetv1.Image
		files := map[string]string{}
		for stream.Receive() {
			if i := stream.Msg().GetImage(); i != nil {
				about = i
			}
			for _, f := range stream.Msg().GetFiles().GetFiles() {
				files[f.Path] = ""
				if f.Component >= 0 {
					files[f.Path] = about.Components[f.Component].Purl
				}
			}
		}
		if stream.Err() != nil || len(files) != len(want) || about.Digest != string(image) {
			t.Fatalf("%v: %v, %v, %v", req, about, files, stream.Err())
		}
		for path, purl := range want {
			if files[path] != purl {
				t.Errorf("%v: %s belongs to %q, want %q", req, path, files[path], purl)
			}
		}
		for _, c := range about.Components {
			if c.Purl == string(ui) && (c.Publisher != "alice" || c.Credential != "token:tok_alice" || c.Grounds != "content" || c.Approved) {
				t.Errorf("%v", c)
			}
		}
	}
	stream, err := agent.Image(t.Context(), connect.NewRequest(&fleetv1.ImageRequest{Digest: string(tracetest.Digest("none"))}))
	if err == nil {
		for stream.Receive() {
		}
		err = stream.Err()
	}
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an image that is not here: %v", err)
	}
}
