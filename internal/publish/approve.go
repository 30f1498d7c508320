package publish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
	// Have and Needed are how many approvals a held version has and takes.
	Have, Needed int
}

// Approve records that the actor has looked at a release and stands by it. One that is held is
// offered from then on, under the tags that it was published with, when enough people have approved it,
// and no cooldown applies to an approved release. What it consists of and waits too, an index's images,
// is released with it. Approving what is offered already counts for policies that ask for a second
// person. Approving twice is approving once.
//
// The actor must be a person, allowed to publish the name, with the second factor that its settings ask
// for, and must not be an account that brought the version in. Codes: reason-invalid, version-unknown,
// version-withdrawn, release-recalled, person-required, approval-second-person and those of Authorize and
// MissingFactor.
func (s *Service) Approve(ctx context.Context, actor evidence.Actor, p purl.PURL, reason string) (Approval, error) {
	reason, err := checkReason(reason, "what you looked at")
	if err != nil {
		return Approval{}, err
	}
	r, err := s.find(ctx, actor, p)
	if err != nil {
		return Approval{}, err
	}
	if err := s.mayApprove(ctx, actor, r); err != nil {
		return Approval{}, err
	}
	return s.approve(ctx, actor, r, reason)
}

// mayApprove fails unless the actor may approve the release.
func (s *Service) mayApprove(ctx context.Context, actor evidence.Actor, r release) error {
	if err := s.access.Authorize(ctx, actor, evidence.Publish, r.ecosystem, r.name); err != nil {
		return err
	}
	asked, err := s.asked(ctx, s.record.DB().Query(), r)
	if err != nil {
		return err
	}
	if actor.Account == r.publisher || slices.Contains(asked.accounts, actor.Account) {
		return s.refuse(ctx, actor, r, fault.New(fault.Denied, "approval-second-person",
			"%s published %s, so somebody else has to approve it: anyone who may publish %s", actor.Account, r.purl, r.name))
	}
	return s.checkPerson(ctx, actor, r)
}

// checkPerson refuses whatever can act without somebody there.
func (s *Service) checkPerson(ctx context.Context, actor evidence.Actor, r release) error {
	bypasses := false
	var err error
	if s.people != nil && actor.Workload == nil {
		if bypasses, err = s.people.Bypasses(ctx, actor); err != nil {
			return err
		}
	}
	if actor.Workload != nil || bypasses {
		return s.refuse(ctx, actor, r, fault.New(fault.Denied, "person-required",
			"an approval is for a person to give; a pipeline or a token that skips the second factor cannot, so log in and approve %s yourself", r.purl))
	}
	settings, err := s.of(ctx, r.ecosystem, r.name)
	if err != nil {
		return err
	}
	return s.checkFactor(ctx, actor, settings.Factor)
}

// checkFactor fails unless the actor has proven the factor; "" is WebAuthn for who has a passkey.
func (s *Service) checkFactor(ctx context.Context, actor evidence.Actor, factor string) error {
	if s.people == nil {
		return nil
	}
	if factor == "" {
		has, err := s.people.HasPasskey(ctx, actor.Account)
		if err != nil {
			return err
		}
		if has {
			factor = string(evidence.WebAuthn)
		}
	}
	missing := factor == string(evidence.WebAuthn) && actor.Factor != evidence.WebAuthn || factor == "any" && actor.Factor == ""
	if missing {
		return s.people.MissingFactor(ctx, actor.Account, factor)
	}
	return nil
}

func (s *Service) approve(ctx context.Context, actor evidence.Actor, r release, reason string) (Approval, error) {
	result := Approval{PURL: r.purl, Account: actor.Account, Reason: reason}
	plan := &approvalPlan{release: r, account: actor.Account}
	if r.state == stateHeld {
		if err := s.planRelease(ctx, actor, r, plan); err != nil {
			return Approval{}, err
		}
		result.Have, result.Needed, result.Released = len(plan.standing)+1, plan.needed, plan.releases
	}
	drafts := []evidence.Draft{s.approval(actor, r, reason)}
	if plan.releases {
		drafts = append(drafts, s.release(actor, r, plan.tags, reason)...)
		for _, part := range plan.parts {
			drafts = append(drafts, s.release(actor, part.release, part.tags, "part of "+string(r.purl))...)
		}
	}
	made, err := s.record.Append(ctx, func(tx *sql.Tx) error { return s.checkPlan(ctx, tx, plan) }, drafts...)
	switch {
	case errors.Is(err, errApproved):
		before := plan.before
		before.Have, before.Needed = len(plan.standing), plan.needed
		return before, nil
	case errors.Is(err, errMoved):
		return s.again(ctx, actor, r, reason)
	case err != nil:
		return Approval{}, err
	}
	result.Seq, result.At = made[0].Seq, made[0].Time
	return result, nil
}

func (s *Service) approval(actor evidence.Actor, r release, reason string) evidence.Draft {
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(r.purl, r.artifact)},
		Predicate: evidence.Approval{Release: r.purl, Actor: actor, Reason: reason},
		Issuer:    actor.Issuer(), Assurance: evidence.Authenticated,
	}
}

// release is what lets a held release go.
func (s *Service) release(actor evidence.Actor, r release, tags []string, reason string) []evidence.Draft {
	return []evidence.Draft{
		s.event(actor, r, evidence.Publication{Event: evidence.Released, Tags: tags}),
		s.decision(actor, r, "approve", "allow", "", []string{"approved by " + actor.Account + ": " + reason}),
	}
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
	if err := s.mayApprove(ctx, actor, found[0]); err != nil {
		return Approval{}, err
	}
	return s.approve(ctx, actor, found[0], reason)
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
