package recall_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/recall"
)

func TestHistoryKeepsWhatWasLiftedAndWhatTookItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Recall(t.Context(), by("alice"), recall.Order{Subject: string(w.ui), Reason: "worm", Gates: []string{"pull"}})
	w.want(err, "")
	wider, err := w.Recall(t.Context(), by("alice"), recall.Order{Subject: string(w.ui), Reason: "worm everywhere", Cause: recall.Vulnerability})
	w.want(err, "")
	w.lift("alice", "root", string(w.ui))
	again, err := w.Recall(t.Context(), by("alice"), recall.Order{Subject: string(w.ui), Reason: "it is back"})
	w.want(err, "")
	all, err := w.History(t.Context())
	w.want(err, "")
	if len(all) != 3 || all[0].Seq != first.Seq || all[1].Seq != wider.Seq || all[2].Seq != again.Seq {
		t.Fatalf("%+v", all)
	}
	if all[0].Next != wider.Seq || !all[0].Ended.Equal(wider.At) || all[0].Cause != recall.Malware {
		t.Errorf("the one that another took the place of: %+v", all[0])
	}
	if all[1].Next != 0 || all[1].Ended.IsZero() || all[1].Why != "checked" || all[1].Cause != recall.Vulnerability {
		t.Errorf("the one that was lifted: %+v", all[1])
	}
	if !all[2].Ended.IsZero() || len(all[2].Targets) != 1 || all[2].Targets[0].Name != "@alice/ui" || all[2].Targets[0].Version != "1.0.0" {
		t.Errorf("the one in force: %+v", all[2])
	}
	_, err = w.Past(t.Context(), again.Seq+100)
	w.want(err, "recall-unknown")
	_, err = w.Recall(t.Context(), by("alice"), recall.Order{Subject: string(w.ui), Reason: "x", Cause: "mood"})
	w.want(err, "recall-cause-invalid")
}
