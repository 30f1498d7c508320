package fleet

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	maxDrafts    = 500
	maxPredicate = 64 << 10 // bytes
	maxBatchName = 64       // bytes
)

func (s *Service) report(ctx context.Context, req *connect.Request[fleetv1.ReportRequest]) (*connect.Response[fleetv1.ReportResponse], error) {
	c := callerOf(ctx)
	_ = c.conn.SetReadDeadline(time.Time{})
	b, err := s.batchOf(c, req.Msg)
	if err == nil {
		err = s.commits.commit(ctx, b)
	}
	if err != nil {
		return nil, s.answer(err)
	}
	return connect.NewResponse(&fleetv1.ReportResponse{Head: b.head, Seqs: b.seqs}), nil
}

// batchOf checks what a member reports, whole: one draft that is not right refuses the batch, and the
// answer names it.
func (s *Service) batchOf(c caller, m *fleetv1.ReportRequest) (*batch, error) {
	if m.Batch == "" || len(m.Batch) > maxBatchName {
		return nil, fault.New(fault.Invalid, "report-invalid", "a batch has a name of 1 to %d bytes, unique to the caller", maxBatchName)
	}
	if len(m.Drafts) > maxDrafts {
		return nil, fault.New(fault.TooLarge, "report-invalid", "a batch takes at most %d statements; send more batches", maxDrafts)
	}
	b := &batch{member: c.ID, name: m.Batch}
	for i, d := range m.Drafts {
		draft, err := s.draft(c.Enrolment, d)
		if err != nil {
			return nil, fault.New(fault.Invalid, "report-invalid", "statement %d of the batch: %s", i, fault.As(err).Text).Because(err)
		}
		b.drafts = append(b.drafts, draft)
	}
	return b, nil
}
