package recall

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Fleet returns who is enrolled: the account service knows.
type Fleet func(ctx context.Context) ([]Member, error)

// Member is an enrolled agent or admission controller.
type Member struct {
	Receiver string // "agent/node-7", "admission/prod"
	Gate     string
	Seen     time.Time // zero: never
}

// Receipt says that a receiver carries a recall out.
type Receipt struct {
	Receiver, Gate, Outcome string
	Stopped                 int64 // processes or requests
	At                      time.Time
	Seq                     int64 // of the receipt's statement
}

// Receipts are who carries a recall out, in the order in which they said so, and who has not said it.
type Receipts struct {
	Recall
	Received []Receipt
	Missing  []Member
}

// Receipts returns the receipts of the recall with that number to whoever may recall what it stops. Codes:
// recall-unknown and those of [Service.Recall].
func (s *Service) Receipts(ctx context.Context, actor evidence.Actor, seq int64) (Receipts, error) {
	made, err := s.Made(ctx, seq)
	if err != nil {
		return Receipts{}, err
	}
	for _, key := range made.Subjects {
		if _, err := s.subjects(ctx, actor, key, s.access.MayStop); err != nil {
			return Receipts{}, err
		}
	}
	out := Receipts{Recall: made}
	if out.Received, err = s.received(ctx, seq); err != nil {
		return Receipts{}, err
	}
	out.Missing, err = s.missing(ctx, made, out.Received)
	return out, err
}

// Made returns the recall that the statement with that number made, whether or not it is in force still,
// or fails with code recall-unknown.
func (s *Service) Made(ctx context.Context, seq int64) (Recall, error) {
	var is bool
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM statement WHERE seq = $1 AND predicate_type = $2)`,
		seq, evidence.RecallType).Scan(&is)
	if err != nil {
		return Recall{}, fmt.Errorf("recall %d: %w", seq, err)
	}
	if !is {
		return Recall{}, fault.New(fault.NotFound, "recall-unknown", "statement %d is no recall; list the recalls to see their numbers", seq)
	}
	return s.at(ctx, seq)
}

func (s *Service) received(ctx context.Context, seq int64) ([]Receipt, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT receiver, gate, outcome, stopped, at, seq FROM receipt
		WHERE recall_seq = $1 ORDER BY seq`, seq)
	if err != nil {
		return nil, fmt.Errorf("receipts of recall %d: %w", seq, err)
	}
	defer rows.Close()
	var out []Receipt
	for rows.Next() {
		r, err := scanReceipt(rows)
		if err != nil {
			return nil, fmt.Errorf("receipts of recall %d: %w", seq, err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scanReceipt(rows *sql.Rows) (r Receipt, err error) {
	var at string
	if err := rows.Scan(&r.Receiver, &r.Gate, &r.Outcome, &r.Stopped, &at, &r.Seq); err != nil {
		return r, err
	}
	r.At, err = time.Parse(time.RFC3339Nano, at)
	return r, err
}

// missing are the enrolled members at the recall's gates that sent no receipt. The server's own gates
// answered with the recall itself.
func (s *Service) missing(ctx context.Context, made Recall, received []Receipt) ([]Member, error) {
	all, err := s.fleet(ctx)
	if err != nil {
		return nil, err
	}
	answered := map[string]bool{}
	for _, r := range received {
		answered[r.Receiver] = true
	}
	var out []Member
	for _, m := range all {
		if enforces(made.Gates, m.Gate) && !answered[m.Receiver] {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.Receiver, b.Receiver) })
	return out, nil
}

// policyRevision names the rules that the server's own gates follow.
const policyRevision = "builtin/1"

// ownReceipt is the receipt of a gate in this process: it reads the projection that the recall changes in
// the same commit, so that it enforces the recall from that instant on.
func (s *Service) ownReceipt(gate string) evidence.Draft {
	head := s.record.Head()
	return evidence.Draft{Follow: func(recall int64) evidence.Draft {
		return evidence.Draft{
			Subjects: []evidence.Subject{evidence.Receipts(recall)},
			Predicate: evidence.Decision{
				Gate: gate, Action: "recall", Verdict: "deny", Policy: policyRevision, Head: min(head, recall),
				Receipt: &evidence.Receipt{Recall: recall, Receiver: "server/" + gate, Outcome: "enforced"},
			},
			Issuer: evidence.Issuer{Kind: evidence.Gate, ID: gate}, Assurance: evidence.Observed,
		}
	}}
}
