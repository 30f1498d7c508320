package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	maxSubjects = 32
	maxText     = 1024 // bytes of a name or a reason
	maxList     = 64   // reasons and exceptions of a decision
	// ahead is how far a member's clock may be before the server's.
	ahead = time.Hour
)

// draft turns what a member reports into a statement under its name, or says what is wrong with it.
func (s *Service) draft(e account.Enrolment, d *fleetv1.Draft) (evidence.Draft, error) {
	subjects, err := subjectsOf(d.Subjects)
	if err != nil {
		return evidence.Draft{}, err
	}
	if len(d.Predicate) > maxPredicate {
		return evidence.Draft{}, wrong("its predicate is longer than %d bytes", maxPredicate)
	}
	p, err := s.predicate(e, d, subjects)
	if err != nil {
		return evidence.Draft{}, err
	}
	out := evidence.Draft{Subjects: subjects, Predicate: p, Issuer: e.Issuer(), Assurance: evidence.Observed}
	return out, out.Fits()
}

// wrong says what is wrong with one statement of a report.
func wrong(format string, args ...any) error {
	return fault.New(fault.Invalid, "report-invalid", "%s", fmt.Sprintf(format, args...))
}

// predicate decodes what a member of its kind may say, with what is said about the member itself put right.
func (s *Service) predicate(e account.Enrolment, d *fleetv1.Draft, subjects []evidence.Subject) (evidence.Predicate, error) {
	agent := e.Kind == account.AgentMember
	switch {
	case d.PredicateType == evidence.DecisionType:
		return decoded(d.Predicate, func(p *evidence.Decision) error { return s.decision(e, p) })
	case d.PredicateType == evidence.GapType:
		return decoded(d.Predicate, gap)
	case agent && d.PredicateType == evidence.PlacementType:
		return decoded(d.Predicate, func(p *evidence.Placement) error { return placement(e, p, subjects[0]) })
	case agent && d.PredicateType == evidence.BehaviourType:
		return decoded(d.Predicate, func(p *evidence.Behaviour) error { return s.behaviour(e, p) })
	}
	return nil, wrong("%s does not report statements of type %q", e.Kind, clip(d.PredicateType))
}

// decoded reads a predicate strictly: a field that is not known would be lost from the record.
func decoded[T evidence.Predicate](raw []byte, check func(*T) error) (evidence.Predicate, error) {
	var p T
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, wrong("its predicate cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, wrong("something follows its predicate")
	}
	if err := check(&p); err != nil {
		return nil, err
	}
	return p, nil
}

func subjectsOf(in []*fleetv1.Subject) ([]evidence.Subject, error) {
	if len(in) == 0 || len(in) > maxSubjects {
		return nil, wrong("a statement has 1 to %d subjects", maxSubjects)
	}
	out := make([]evidence.Subject, len(in))
	for i, s := range in {
		if s.Name == "" && s.Digest == "" {
			return nil, wrong("a subject has a name or a digest")
		}
		if err := texts(s.Name); err != nil {
			return nil, err
		}
		out[i].Name = s.Name
		if s.Digest == "" {
			continue
		}
		d, err := digest.Parse(s.Digest)
		if err != nil {
			return nil, wrong("%q is not a digest", clip(s.Digest))
		}
		out[i].Digest = map[string]string{d.Algorithm(): d.Hex()}
	}
	return out, nil
}

// texts refuses what would be a burden or a trick to whoever reads it later.
func texts(all ...string) error {
	for _, t := range all {
		if len(t) > maxText || !utf8.ValidString(t) || strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return wrong("%q is longer than %d bytes or holds control characters", clip(t), maxText)
		}
	}
	return nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 100)], "") }

func (s *Service) decision(e account.Enrolment, p *evidence.Decision) error {
	if p.Gate != e.Gate() {
		return wrong("an %s decides at the %s gate, not at %q", e.Kind, e.Gate(), clip(p.Gate))
	}
	if p.Verdict != "allow" && p.Verdict != "deny" {
		return wrong("a verdict is allow or deny, not %q", clip(p.Verdict))
	}
	if len(p.Reasons) > maxList || len(p.Exceptions) > maxList {
		return wrong("a decision takes at most %d reasons and %[1]d exceptions", maxList)
	}
	if p.Count < 0 || p.Head < 0 || p.Head > s.Record.Head() {
		return wrong("a decision has a count from 0 on, and a head that the record has reached")
	}
	if err := texts(append([]string{p.Action, p.Code, p.Policy, p.ID}, p.Reasons...)...); err != nil {
		return err
	}
	p.Actor = evidence.Actor{} // nobody whom the server has authenticated
	if p.Workload != nil {
		if err := workload(e, p.Workload); err != nil {
			return err
		}
	}
	return s.receipt(e, p)
}

func (s *Service) receipt(e account.Enrolment, p *evidence.Decision) error {
	r := p.Receipt
	if r == nil {
		return nil
	}
	if r.Outcome != "enforced" && r.Outcome != "observed" && r.Outcome != "nothing here" {
		return wrong("the outcome of a receipt is enforced, observed or \"nothing here\", not %q", clip(r.Outcome))
	}
	if r.Stopped < 0 || r.Recall < 0 || r.Recall >= s.Record.Head() {
		return wrong("a receipt names a recall of the record")
	}
	r.Receiver = e.Receiver()
	return nil
}

func workload(e account.Enrolment, w *evidence.WorkloadRef) error {
	w.Cluster = e.Cluster
	return texts(w.Namespace, w.Kind, w.Name)
}

func placement(e account.Enrolment, p *evidence.Placement, image evidence.Subject) error {
	if len(image.Digest) == 0 {
		return wrong("a placement is about an image by its digest")
	}
	if p.Container == "" {
		return wrong("a placement names the container")
	}
	p.Node = e.Name
	if err := workload(e, &p.WorkloadRef); err != nil {
		return err
	}
	return texts(p.Pod, p.Container)
}

func (s *Service) behaviour(e account.Enrolment, p *evidence.Behaviour) error {
	if p.Fact != "loaded" && p.Fact != "executed" {
		return wrong("a behaviour is loaded or executed, not %q", clip(p.Fact))
	}
	if p.Image != "" {
		if _, err := digest.Parse(string(p.Image)); err != nil {
			return wrong("%q is not a digest", clip(string(p.Image)))
		}
	}
	if p.Count < 1 || p.First.IsZero() || p.Last.Before(p.First) || p.Last.After(s.Clock.Now().Add(ahead)) {
		return wrong("a behaviour has a count from 1 on, and was seen first before it was seen last, and not in the future")
	}
	p.Node = e.Name
	return workload(e, &p.WorkloadRef)
}

func gap(p *evidence.Gap) error {
	if p.What == "" {
		return wrong("a gap says what could not be seen")
	}
	return texts(p.What, p.Reason)
}
