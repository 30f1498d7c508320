package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/recall"
)

// changes makes the updates of the statements from from to to-1.
func (h *hub) changes(ctx context.Context, from, to int64, images bool) ([]*frame, error) {
	kinds, err := h.kinds(ctx, from, to)
	if err != nil {
		return nil, err
	}
	var frames []*frame
	for _, step := range []func(context.Context, map[string]bool, int64) ([]*frame, error){
		h.recallChanges, h.policyChanges, h.exceptionChanges, h.tagChanges,
	} {
		some, err := step(ctx, kinds, to)
		if err != nil {
			return nil, err
		}
		frames = append(frames, some...)
	}
	if !images || !h.loaded {
		return frames, nil
	}
	records, err := h.imageChanges(ctx, from, to)
	return append(frames, records...), err
}

// kinds are the predicate types of the statements from from to to-1.
func (h *hub) kinds(ctx context.Context, from, to int64) (map[string]bool, error) {
	kinds := map[string]bool{}
	if !h.loaded {
		return kinds, nil // everything is read anyway
	}
	rows, err := h.Record.DB().Query().QueryContext(ctx, `SELECT DISTINCT predicate_type FROM statement WHERE seq >= $1 AND seq < $2`, from, to)
	if err != nil {
		return nil, fmt.Errorf("look for changes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			return nil, fmt.Errorf("look for changes: %w", err)
		}
		kinds[kind] = true
	}
	return kinds, rows.Err()
}

// recallChanges tells the recalls anew when one was made or lifted and, now and then, when something came
// that they may reach.
func (h *hub) recallChanges(ctx context.Context, kinds map[string]bool, head int64) ([]*frame, error) {
	now := h.Clock.Now()
	h.reachStale = h.reachStale || kinds[evidence.ContentsType] || kinds[evidence.PublicationType]
	due := h.reachStale && now.Sub(h.reached) >= reachEvery
	if h.loaded && !kinds[evidence.RecallType] && !due {
		return nil, nil
	}
	h.reachStale, h.reached = false, now
	all, err := h.Recalls.InForce(ctx)
	if err != nil {
		return nil, err
	}
	out := &fleetv1.Recalls{}
	for _, r := range all {
		one, err := h.recall(ctx, r)
		if err != nil {
			return nil, err
		}
		out.Recalls = append(out.Recalls, one)
	}
	return h.whole(head, &h.toldRecalls, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Recalls{Recalls: out} })
}

func (h *hub) recall(ctx context.Context, r recall.Recall) (*fleetv1.Recall, error) {
	reach, err := h.Recalls.Reach(ctx, r)
	if err != nil {
		return nil, err
	}
	out := &fleetv1.Recall{
		Seq: r.Seq, Subjects: r.Subjects, Reason: r.Reason, Account: r.Account, At: timestamppb.New(r.At), Gates: r.Gates,
		System: r.System, Components: reach.Components,
	}
	for _, d := range reach.Files {
		out.Files = append(out.Files, string(d))
	}
	for _, d := range reach.Images {
		out.Images = append(out.Images, string(d))
	}
	if c := r.Canary; c != nil {
		out.Canary = &fleetv1.Scope{Cluster: c.Cluster, Namespace: c.Namespace, Kind: c.Kind, Name: c.Name}
	}
	return out, nil
}

func (h *hub) policyChanges(ctx context.Context, kinds map[string]bool, head int64) ([]*frame, error) {
	if h.loaded && !kinds[evidence.PolicySetType] {
		return nil, nil
	}
	set, err := h.Policies.Set(ctx)
	if err != nil {
		return nil, err
	}
	return h.whole(head, &h.toldPolicies, func(u *fleetv1.Update) {
		u.Change = &fleetv1.Update_Policies{Policies: &fleetv1.PolicySet{Revision: set.Revision, Document: set.Document}}
	})
}

// exceptionChanges tells the exceptions anew when one was approved or revoked and, now and then, when
// one was used.
func (h *hub) exceptionChanges(ctx context.Context, kinds map[string]bool, head int64) ([]*frame, error) {
	now := h.Clock.Now()
	h.usesStale = h.usesStale || kinds[evidence.DecisionType]
	due := h.usesStale && now.Sub(h.used) >= againEvery
	if h.loaded && !kinds[evidence.ExceptionType] && !due {
		return nil, nil
	}
	h.usesStale, h.used = false, now
	all, err := h.Records.Exceptions(ctx, inside.Newest)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(current(all, now))
	if err != nil {
		return nil, fmt.Errorf("encode exceptions: %w", err)
	}
	return h.whole(head, &h.toldExceptions, func(u *fleetv1.Update) {
		u.Change = &fleetv1.Update_Exceptions{Exceptions: &fleetv1.Exceptions{Exceptions: raw}}
	})
}

// current leaves out exceptions that expired more than a day ago: a clock that is wrong is not that wrong.
func current(all []policy.Exception, now time.Time) []policy.Exception {
	out := []policy.Exception{}
	for _, x := range all {
		if x.Expires.After(now.Add(-24 * time.Hour)) {
			out = append(out, x)
		}
	}
	return out
}

// whole makes an update that says the whole of something, unless it says what was told last.
func (h *hub) whole(head int64, told *string, change func(*fleetv1.Update)) ([]*frame, error) {
	u := &fleetv1.Update{}
	change(u)
	bare, err := newFrame(u)
	if err != nil || *told == string(bare.wire) && h.loaded {
		return nil, err
	}
	f, err := h.frame(head, change)
	if err != nil {
		return nil, err
	}
	*told = string(bare.wire)
	return []*frame{f}, nil
}

// imageChanges tells the records that may have changed.
func (h *hub) imageChanges(ctx context.Context, from, to int64) ([]*frame, error) {
	touched, err := h.Records.Touched(ctx, from, to)
	if err != nil {
		return nil, err
	}
	if len(touched) > backlog/2 {
		h.startAgain() // more has changed than the queue should hold
		return nil, nil
	}
	var frames []*frame
	for _, d := range touched {
		f, err := h.image(ctx, string(d))
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// startAgain makes everybody who watches records read them all anew.
func (h *hub) startAgain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch++
}

// image is one image's record as of now, with the head that it was read at.
func (h *hub) image(ctx context.Context, digest string) (*frame, error) {
	record, err := h.Records.Record(ctx, digest, inside.Newest)
	if err != nil {
		return nil, err
	}
	out := &fleetv1.ImageRecord{Digest: digest}
	if record.Known || len(record.Recalls) > 0 || len(record.References) > 0 {
		if out.Record, err = json.Marshal(record); err != nil {
			return nil, fmt.Errorf("encode record of %s: %w", digest, err)
		}
	}
	return h.frame(record.Head, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Image{Image: out} })
}
