package fleet

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

func TestAWatcherThatFallsTooFarBehindStartsAgain(t *testing.T) {
	t.Parallel()
	h := newHub(Config{Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler)})
	tell := func() {
		f, err := h.frame(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.publish(1, f)
	}
	tell()
	place := int64(0)
	if frames, _, ok := h.after(place, 0, false); !ok || len(frames) != 1 {
		t.Fatalf("%d updates, %v", len(frames), ok)
	}
	for range backlog {
		tell()
	}
	if _, _, ok := h.after(place, 0, false); ok {
		t.Error("the queue reaches back further than it holds")
	}
	if len(h.queue) > backlog {
		t.Errorf("%d updates are kept, %d at most", len(h.queue), backlog)
	}
	if frames, _, ok := h.after(h.first, 0, true); !ok || len(frames) != atOnce {
		t.Errorf("%d updates at a time, %v", len(frames), ok)
	}
	h.startAgain()
	if _, _, ok := h.after(h.first, 0, true); ok {
		t.Error("who watches records goes on with old ones")
	}
	if _, _, ok := h.after(h.first, 0, false); !ok {
		t.Error("who watches none starts again for nothing")
	}
}

func TestSharedBytesAreNotWrittenInto(t *testing.T) {
	t.Parallel()
	f, err := newFrame(&fleetv1.Update{Head: 7, Change: &fleetv1.Update_Synced{Synced: true}})
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(f.wire)
	sent, err := protoFrames{}.MarshalAppend(make([]byte, 0, 100), f)
	if err != nil {
		t.Fatal(err)
	}
	clear(sent)
	var u fleetv1.Update
	if !bytes.Equal(f.wire, before) || proto.Unmarshal(f.wire, &u) != nil || u.Head != 7 || !u.GetSynced() {
		t.Errorf("%x became %x", before, f.wire)
	}
	text, err := jsonFrames{}.Marshal(f)
	if err != nil || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
}

// FuzzDraft looks for a report that is taken and that the record then cannot append, or panics on.
func FuzzDraft(f *testing.F) {
	record, _ := tracetest.Open(f)
	s := &Service{Config: Config{Record: record, Clock: clock.System{}}}
	for kind, raw := range map[string]string{
		evidence.DecisionType:  `{"gate":"run","verdict":"deny","workload":{"namespace":"x"},"event":{"a":1}}`,
		evidence.PlacementType: `{"container":"c","running":true}`,
		evidence.BehaviourType: `{"fact":"executed","first":"2026-01-01T00:00:00Z","last":"2026-01-01T00:00:00Z","count":1}`,
		evidence.GapType:       `{"what":"x","reason":"y"}`,
	} {
		f.Add(kind, []byte(raw), "name", string(tracetest.Digest("x")))
	}
	f.Fuzz(func(t *testing.T, kind string, raw []byte, name, digest string) {
		for _, e := range []account.Enrolment{{Kind: account.AgentMember, Name: "node"}, {Kind: account.AdmissionMember, Name: "prod"}} {
			d, err := s.draft(e, &fleetv1.Draft{
				Subjects: []*fleetv1.Subject{{Name: name, Digest: digest}}, PredicateType: kind, Predicate: raw,
			})
			if err != nil {
				continue
			}
			if err := record.Rehearse(t.Context(), nil, d); err != nil {
				t.Errorf("%s %s of %q %q is taken, and then: %v", kind, raw, name, digest, err)
			}
		}
	})
}
