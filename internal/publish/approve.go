package publish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Approval is what an approval came to.
type Approval struct {
	Seq     int64
	PURL    purl.PURL
	Account string
	Reason  string
	At      time.Time
	// Released says that the version was held and is offered now.
	Released bool
}

// Approve records that the actor has looked at a release and stands by it. One that is held is
// offered from then on, under the tags that it was published with, and no cooldown applies to an
// approved release. Approving what is offered already counts for policies that ask for a second person.
// Approving twice is approving once.
//
// The actor must be allowed to publish the name and must not be the account that published the
// version. Codes: reason-invalid, version-unknown, version-withdrawn, release-recalled,
// approval-second-person and those of Authorize.
func (s *Service) Approve(ctx context.Context, actor evidence.Actor, p purl.PURL, reason string) (Approval, error) {
	reason, err := checkReason(reason, "what you looked at")
	if err != nil {
		return Approval{}, err
	}
	r, err := s.find(ctx, actor, p)
	if err != nil {
		return Approval{}, err
	}
	if err := s.access.Authorize(ctx, actor, evidence.Publish, r.ecosystem, r.name); err != nil {
		return Approval{}, err
	}
	if actor.Account == r.publisher {
		return Approval{}, s.refuse(ctx, actor, r, fault.New(fault.Denied, "approval-second-person",
			"%s published %s, so somebody else has to approve it: anyone who may publish %s", actor.Account, p, r.name))
	}
	return s.approve(ctx, actor, r, reason)
}

func (s *Service) approve(ctx context.Context, actor evidence.Actor, r release, reason string) (Approval, error) {
	approval := evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(r.purl, r.artifact)},
		Predicate: evidence.Approval{Release: r.purl, Actor: actor, Reason: reason},
		Issuer:    actor.Issuer(), Assurance: evidence.Authenticated,
	}
	drafts := []evidence.Draft{approval}
	if r.state == stateHeld {
		h, _, err := s.hold(ctx, r)
		if err != nil {
			return Approval{}, err
		}
		drafts = append(drafts, s.event(actor, r, evidence.Publication{Event: evidence.Released, Tags: h.Tags}),
			s.decision(actor, r, "approve", "allow", "", []string{"approved by " + actor.Account + ": " + reason}))
	}
	before := Approval{PURL: r.purl, Account: actor.Account}
	made, err := s.record.Append(ctx, func(tx *sql.Tx) error { return mayApprove(ctx, tx, r, &before) }, drafts...)
	switch {
	case errors.Is(err, errApproved):
		return before, nil
	case errors.Is(err, errMoved):
		return s.again(ctx, actor, r, reason)
	case err != nil:
		return Approval{}, err
	}
	return Approval{
		Seq: made[0].Seq, PURL: r.purl, Account: actor.Account, Reason: reason, At: made[0].Time, Released: r.state == stateHeld,
	}, nil
}

// again approves a release whose state changed between the look and the append.
func (s *Service) again(ctx context.Context, actor evidence.Actor, r release, reason string) (Approval, error) {
	found, err := s.releases(ctx, `r.seq = $1`, r.seq)
	if err != nil {
		return Approval{}, err
	}
	if len(found) == 0 {
		return Approval{}, fmt.Errorf("release of statement %d is gone", r.seq)
	}
	return s.approve(ctx, actor, found[0], reason)
}

var (
	errMoved    = errors.New("the release changed in between")
	errApproved = errors.New("the account has approved it already")
)

// mayApprove checks, with every other append excluded, that the release still is what the approval
// was made for. When the account has approved it already, before is filled in.
func mayApprove(ctx context.Context, tx *sql.Tx, r release, before *Approval) error {
	state, recalled, err := stateOf(ctx, tx, r)
	switch {
	case err != nil:
		return err
	case recalled != "":
		return fault.New(fault.Policy, "release-recalled", "%s was recalled: %s; lift the recall first", r.purl, recalled)
	case state == stateWithdrawn:
		return fault.New(fault.NotFound, "version-withdrawn", "%s was withdrawn or rejected; publish a new version", r.purl)
	case state != r.state:
		return errMoved
	}
	var at string
	err = tx.QueryRowContext(ctx, `SELECT seq, reason, at FROM approval WHERE purl = $1 AND account = $2 ORDER BY seq LIMIT 1`,
		r.purl, before.Account).Scan(&before.Seq, &before.Reason, &at)
	if errors.Is(err, sql.ErrNoRows) || err == nil && state == stateHeld {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an approval: %w", err)
	}
	if before.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return err
	}
	return errApproved
}

// Reject withdraws a held release: nobody ever gets it, and its version is not free again. Who may
// publish the name may, its publisher included. Codes: reason-invalid, hold-unknown and those of
// Authorize.
func (s *Service) Reject(ctx context.Context, actor evidence.Actor, p purl.PURL, reason string) error {
	reason, err := checkReason(reason, "what is wrong with the version")
	if err != nil {
		return err
	}
	r, err := s.held(ctx, actor, p)
	if err != nil {
		return err
	}
	if err := s.access.Authorize(ctx, actor, evidence.Publish, r.ecosystem, r.name); err != nil {
		return err
	}
	guard := func(tx *sql.Tx) error {
		state, _, err := stateOf(ctx, tx, r)
		if err == nil && state != stateHeld {
			err = fault.New(fault.NotFound, "hold-unknown", "%s is not held any more; see its record with: hullmark record show '%s'", p, p)
		}
		return err
	}
	_, err = s.record.Append(ctx, guard,
		s.event(actor, r, evidence.Publication{Event: evidence.Withdrawn, Message: reason}),
		s.decision(actor, r, "reject", "deny", "hold-rejected", []string{"rejected by " + actor.Account + ": " + reason}))
	return err
}

// event is a publication event about an existing release.
func (s *Service) event(actor evidence.Actor, r release, p evidence.Publication) evidence.Draft {
	p.Ecosystem, p.Name, p.Version, p.Actor = r.ecosystem, r.name, r.version, actor
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(r.purl, r.artifact)},
		Predicate: p, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	}
}

func (s *Service) decision(actor evidence.Actor, r release, action, verdict, code string, reasons []string) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(r.purl, r.artifact)},
		Predicate: evidence.Decision{
			Gate: "publish", Action: action, Verdict: verdict, Code: code, Reasons: reasons,
			Policy: Revision, Head: s.record.Head(), Actor: actor,
		},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

// refuse records that the gate said no, and returns why: who tries to approve their own version is
// worth a line.
func (s *Service) refuse(ctx context.Context, actor evidence.Actor, r release, f *fault.Error) error {
	if _, err := s.record.Append(ctx, nil, s.decision(actor, r, "approve", "deny", f.Code, []string{f.Text})); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	return f
}
