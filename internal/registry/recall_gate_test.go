package registry_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// recall puts a recall in force.
func (w *world) recall(subject evidence.Subject, gates ...string) {
	w.t.Helper()
	_, err := w.Record().Append(w.t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{subject}, Predicate: evidence.Recall{Reason: "worm", Gates: gates, Actor: w.admin, Admin: true},
		Issuer: w.admin.Issuer(), Assurance: evidence.Authenticated,
	})
	accounttest.Check(w.t, err)
}

func TestWhatIsRecalledIsNotPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	byName, byDigest, byFile := upload("@acme/a", "1.0.0"), upload("@acme/b", "1.0.0"), upload("@acme/c", "1.0.0")
	payload := digest.FromBytes([]byte("payload"))
	inventory, err := w.Record().StoreInventory(t.Context(), &evidence.Inventory{
		Analyser: "release/1", Files: []evidence.File{{Path: "package/p.js", Size: 7, Mode: 0o644, SHA256: payload}},
	})
	accounttest.Check(t, err)
	byFile.Contents = []evidence.Draft{{
		Subjects:  []evidence.Subject{evidence.About(byFile.PURL, byFile.Artifact)},
		Predicate: evidence.Contents{Of: "release", Analyser: "release/1", Inventory: inventory, Files: 1},
		Issuer:    w.admin.Issuer(), Assurance: evidence.Authenticated,
	}}
	w.recall(evidence.Subject{Name: string(byName.PURL)})
	w.recall(evidence.About("", byDigest.Artifact), "publish", "run")
	w.recall(evidence.About("", payload))
	for _, u := range []struct {
		name string
		err  error
	}{
		{"by its name", w.Publish(t.Context(), w.admin, byName)}, {"by its digest", w.Publish(t.Context(), w.admin, byDigest)},
		{"by a file", w.Publish(t.Context(), w.admin, byFile)},
	} {
		if u.err == nil {
			t.Errorf("what is recalled %s is published", u.name)
		}
		wantCode(t, u.err, "release-recalled")
	}
	if got := w.decisions(byFile.PURL); len(got) != 1 || got[0] != "publish deny release-recalled 0" {
		t.Errorf("the refusal is not on the record: %q", got)
	}
	// The publish gate lets through what only the others stop.
	other := upload("@acme/d", "1.0.0")
	w.recall(evidence.Subject{Name: string(other.PURL)}, "pull", "run")
	accounttest.Check(t, w.Publish(t.Context(), w.admin, other))
	r, err := w.Release(t.Context(), other.Ecosystem, other.Name, other.Version)
	accounttest.Check(t, err)
	wantCode(t, w.MayDownload(t.Context(), w.admin, other.Ecosystem, other.Name, r), "release-recalled")
}
