package publish_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

// file does what the registry core does with one file of a version, brought in by a member.
func (w *world) file(who, version, file, sort string, inv *evidence.Inventory) *publish.Finding {
	w.t.Helper()
	actor := w.people[who]
	f, err := w.Review(w.t.Context(), publish.Candidate{
		Actor: actor, Ecosystem: purl.NPM, Name: name, Version: version, File: file, Type: sort, PURL: ui(version), Inventory: inv,
	})
	check(w.t, err)
	stored, err := w.record.StoreInventory(w.t.Context(), inv)
	check(w.t, err)
	event, decision := evidence.Published, evidence.Decision{Gate: "publish", Action: "publish", Verdict: "allow", Actor: actor}
	if f.Waits() {
		event, decision.Verdict, decision.Code, decision.Input, decision.ID = evidence.Held, "hold", f.Code, f.Input, f.ID
	}
	d := digest.FromBytes([]byte(file))
	var drafts []evidence.Draft
	for _, p := range []evidence.Predicate{
		evidence.Publication{Event: event, Ecosystem: purl.NPM, Name: name, Version: version, File: file, ArtifactType: sort, Artifact: d, Size: 7, Actor: actor},
		decision, evidence.Contents{Of: "release", Analyser: "test", Inventory: stored, Files: len(inv.Files)},
	} {
		drafts = append(drafts, evidence.Draft{
			Subjects: []evidence.Subject{evidence.About(ui(version), d)}, Predicate: p, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
		})
	}
	_, err = w.record.Append(w.t.Context(), nil, drafts...)
	check(w.t, err)
	return f
}

// states returns the state of each file of a version.
func (w *world) states(version string) map[string]string {
	w.t.Helper()
	rows, err := w.record.DB().Query().Query(`SELECT file, state FROM release WHERE version = $1`, version)
	check(w.t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var file, state string
		check(w.t, rows.Scan(&file, &state))
		out[file] = state
	}
	return out
}

func TestTheFilesOfAVersionWaitTogether(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	check(t, w.accounts.SetMember(ctx, w.people["alice"], "acme", "carol", account.Maintainer))
	w.file("alice", "0.9", "a-0.9.whl", "wheel", holding(""))
	w.wantHeld(w.file("alice", "1.0", "a-1.0.whl", "wheel", holding("")), "")
	w.wantHeld(w.file("alice", "1.0", "a-1.0.tar.gz", "sdist", holding("build: python setup.py", "setup.py=a")), publish.HookNew)
	w.wantHeld(w.file("carol", "1.0", "a-1.0-win.whl", "wheel", holding("")), publish.Staged)

	holds, _, _, err := w.Holds(ctx, w.people["bob"], -1, 10)
	check(t, err)
	if len(holds) != 1 || holds[0].PURL != ui("1.0") {
		t.Fatalf("%d holds: %+v", len(holds), holds)
	}
	h, err := w.Show(ctx, w.people["bob"], ui("1.0"))
	check(t, err)
	if len(h.Diff.Files) != 1 || h.Diff.Files[0].Path != "sdist: setup.py" {
		t.Errorf("%+v", h.Diff.Files)
	}
	for _, who := range []string{"alice", "carol"} {
		_, err = w.Approve(ctx, w.people[who], ui("1.0"), "mine")
		wantCode(t, err, "approval-second-person")
	}
	made, err := w.Approve(ctx, w.people["bob"], ui("1.0"), "read it")
	check(t, err)
	for file, state := range w.states("1.0") {
		if state != "active" || !made.Released {
			t.Errorf("%s is %s", file, state)
		}
	}
}

func TestAFileThatComesAfterAnApprovalWasNotApproved(t *testing.T) {
	t.Parallel()
	w, _ := withPeople(t)
	ctx := t.Context()
	check(t, w.accounts.SetMember(ctx, w.people["alice"], "acme", "carol", account.Maintainer))
	w.set(publish.Settings{Approvals: 2})
	w.file("alice", "1.0", "a-1.0.whl", "wheel", holding(""))
	w.wantHeld(w.file("alice", "1.1", "a-1.1.whl", "wheel", holding("startup: import x", "x.pth=a")), publish.HookNew)
	_, err := w.Approve(ctx, w.people["bob"], ui("1.1"), "read it")
	check(t, err)
	w.wantHeld(w.file("alice", "1.1", "a-1.1.tar.gz", "sdist", holding("")), publish.Staged)
	made, err := w.Approve(ctx, w.people["carol"], ui("1.1"), "read it")
	check(t, err)
	if made.Released || made.Have != 1 {
		t.Errorf("bob's approval counts for what he has not seen: %+v", made)
	}
	made, err = w.Approve(ctx, w.people["bob"], ui("1.1"), "read the other one, too")
	check(t, err)
	if !made.Released || w.states("1.1")["a-1.1.tar.gz"] != "active" {
		t.Errorf("%+v, %v", made, w.states("1.1"))
	}
}
