package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
)

// Outcome is how a recomputation ended.
type Outcome string

// The outcomes.
const (
	Equal         Outcome = "equal"   // the same policies, record and exceptions give the same answer
	Nearby        Outcome = "nearby"  // they do at a head some seconds off the one that is named
	Differs       Outcome = "differs" // they do not: an integrity failure
	NotRecomputed Outcome = "not recomputed"
)

// Explanation is a decision with what it was decided from, and what comes out when it is decided again.
type Explanation struct {
	Seq      int64
	At       time.Time
	Issuer   evidence.Issuer
	Decision evidence.Decision
	Subjects []string // purls, digests and names

	Outcome     Outcome
	Differences []string // sentences; what differs
	// Notes say what it was decided from, and what of that cannot be recomputed and why.
	Notes      []string
	Recomputed *Verdict // nil when not recomputed
}

// Fault returns the integrity fault that a decision is which comes out differently; else nil.
func (e *Explanation) Fault() error { return FaultOf(e.Seq, e.Outcome, e.Differences) }

// FaultOf is [Explanation.Fault] for who has the parts.
func FaultOf(seq int64, outcome Outcome, differences []string) error {
	if outcome != Differs {
		return nil
	}
	return fault.New(fault.Integrity, "decision-differs", "decision %d is not what its policies, record and exceptions give: %s",
		seq, joined(differences))
}

func (e *Explanation) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

func (e *Explanation) differs(format string, args ...any) {
	e.Differences = append(e.Differences, fmt.Sprintf(format, args...))
}

// Explain returns why a gate decided as it did. id is what the gate called the decision (an admission
// review's uid), or its sequence number. A decision of the admit gate is made again, by the one evaluator, from
// the policy revision, the record head and the exceptions that it names; of the others it is said what they
// were made from. Who may publish one of the things decided on, and read the others, may ask, and site
// administrators. It fails with code decision-unknown.
func (s *Service) Explain(ctx context.Context, actor evidence.Actor, id string) (*Explanation, error) {
	st, err := s.decision(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.mayFollow(ctx, actor, id, st); err != nil {
		return nil, err
	}
	d, err := evidence.Decode[evidence.Decision](st)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Seq: st.Seq, At: st.Time, Issuer: st.Issuer, Decision: d, Subjects: subjectTexts(st), Outcome: NotRecomputed}
	if d.Count > 1 {
		e.note("the statement stands for %d equal decisions", d.Count)
	}
	switch {
	case d.Receipt != nil:
		e.note("it is the receipt of %s for recall %d: %s", d.Receipt.Receiver, d.Receipt.Recall, d.Receipt.Outcome)
	case d.Gate == "admit":
		return e, s.recompute(ctx, e)
	default:
		return e, s.elsewhere(ctx, e)
	}
	return e, nil
}

func subjectTexts(st evidence.Statement) []string {
	var out []string
	for _, subject := range st.Subject {
		if subject.Name != "" {
			out = append(out, subject.Name)
		}
		for algorithm, hex := range subject.Digest {
			out = append(out, algorithm+":"+hex)
		}
	}
	slices.Sort(out)
	return out
}

// recompute decides again.
func (s *Service) recompute(ctx context.Context, e *Explanation) error {
	d := e.Decision
	var request Request
	if len(d.Input) == 0 {
		e.note("it does not say what it was asked about, so it cannot be recomputed")
		return nil
	}
	if err := json.Unmarshal(d.Input, &request); err != nil {
		e.note("what it was asked about cannot be read by this version, so it cannot be recomputed")
		return nil
	}
	program, err := s.Program(ctx, d.Policy)
	if fault.KindOf(err) == fault.NotFound {
		e.note("its policies, revision %s, were never put in force here and are not those that this version ships, so it cannot be recomputed", d.Policy)
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.inForceThen(ctx, e, e.Decision.Head); err != nil {
		return err
	}
	again := recomputation{Service: s, request: request, program: program}
	verdict, inexact, err := again.at(ctx, d.Head)
	if err != nil {
		return err
	}
	e.Recomputed = &verdict
	e.note("decided again from policy revision %s, the record at head %d and %s in force then, by the clock of the request, %s",
		d.Policy, d.Head, counted(again.exceptions, "exception"), request.At.UTC().Format(time.RFC3339))
	e.compare(verdict)
	if len(e.Differences) > 0 && len(inexact) > 0 {
		e.Outcome = NotRecomputed
		e.Notes = append(e.Notes, inexact...)
		e.note("so the record at that head cannot be read exactly any more, and what differs proves nothing")
		return nil
	}
	if e.Outcome == Differs {
		return again.nearby(ctx, e)
	}
	return nil
}

// inForceThen looks whether the policies that decided were those in force.
func (s *Service) inForceThen(ctx context.Context, e *Explanation, head int64) error {
	then, err := s.SetBefore(ctx, head)
	if err != nil {
		return err
	}
	if then.Revision != e.Decision.Policy && then.Seq >= 0 {
		e.differs("at head %d policy revision %s was in force, and %s decided", head, then.Revision, e.Decision.Policy)
	} else if then.Revision != e.Decision.Policy {
		e.note("no policy set had been put by head %d: the shipped one of the version that decided was in force, %s", head, e.Decision.Policy)
	}
	return nil
}

// unreadableReference is the check that the admission gate makes before any policy is asked.
const unreadableReference = "policy image-reference:"

// compare holds the verdict against the decision.
func (e *Explanation) compare(v Verdict) {
	d := e.Decision
	e.Outcome = Differs
	if d.Verdict == "deny" && slices.ContainsFunc(d.Reasons, func(r string) bool { return strings.Contains(r, unreadableReference) }) {
		e.note("it was denied before any policy was asked, because no runtime could read an image reference; no policy comes into that")
		v.Allow = false
	}
	again := "deny"
	if v.Allow {
		again = "allow"
	}
	if again != d.Verdict {
		e.differs("it was %s, and is %s when it is decided again", d.Verdict, again)
	}
	if used := v.Exceptions; !slices.Equal(used, d.Exceptions) {
		e.differs("it was made under %s, and is made under %s when it is decided again", numbered(d.Exceptions), numbered(used))
	}
	if len(e.Differences) == 0 {
		e.Outcome = Equal
	}
}

func joined(sentences []string) string { return strings.Join(sentences, "; ") }

func numbered(ids []int64) string {
	if len(ids) == 0 {
		return "no exception"
	}
	var parts []string
	for _, id := range ids {
		parts = append(parts, fmt.Sprintf("#%d", id))
	}
	return "exception " + strings.Join(parts, ", ")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// elsewhere says what the gates that decide without a policy document decided from.
func (s *Service) elsewhere(ctx context.Context, e *Explanation) error {
	d := e.Decision
	switch d.Gate {
	case "publish":
		e.note("the publish gate decides by rules of the program, revision %s, from the caller's account and credential, what was sent, and the record at head %d", d.Policy, d.Head)
		e.note("rules of the program and what was refused are not kept, so it cannot be recomputed; a publication that was let in is on the record beside it")
	case "pull":
		e.note("the pull gate decides by rules of the program, revision %s, from the state of the release; equal decisions are counted and written down about once a minute", d.Policy)
		e.note("so it cannot be recomputed for each download: head %d is that of the writing down", d.Head)
	case "run":
		e.note("the node decided at once, from what its kernel saw (the event of the statement) and the recalls, policies and profiles that it had then; the event cannot happen again, so it cannot be recomputed")
		return nil
	default:
		e.note("this version does not know the gate %q", d.Gate)
		return nil
	}
	return s.recalledThen(ctx, e)
}

// recalledThen says, for each subject, whether a recall was in force at the head that the decision names.
func (s *Service) recalledThen(ctx context.Context, e *Explanation) error {
	return s.reader.read(ctx, e.Decision.Head, func(r *session) error {
		if err := r.book.recalls.catchUp(r.Reader); err != nil {
			return err
		}
		for _, subject := range e.Subjects {
			key := strings.TrimPrefix(subject, "pulls:")
			seq, ok := r.book.recalls.inForce(key, e.Decision.Head)
			if ok {
				e.note("at that head recall %d of %s was in force", seq, key)
			} else {
				e.note("at that head no recall of %s was in force", key)
			}
		}
		return nil
	})
}

// decision returns the statement of a decision by its id or sequence number.
func (s *Service) decision(ctx context.Context, id string) (st evidence.Statement, err error) {
	err = s.reader.read(ctx, inside.Newest, func(r *session) error {
		body, err := inside.One[[]byte](r.Reader, `SELECT s.body FROM decision_id d JOIN statement s ON s.seq = d.seq WHERE d.id = $1`, id)
		if err == nil && body == nil {
			body, err = inside.One[[]byte](r.Reader, `SELECT s.body FROM decision d JOIN statement s ON s.seq = d.seq WHERE d.seq = $1`, seqOf(id))
		}
		if err != nil {
			return err
		}
		if body == nil {
			return errDecision(id)
		}
		st, err = evidence.DecodeStatement(body)
		return err
	})
	return st, err
}

func seqOf(id string) int64 {
	var seq int64
	if _, err := fmt.Sscanf(id, "%d", &seq); err != nil || fmt.Sprint(seq) != id {
		return -1
	}
	return seq
}

func errDecision(id string) error {
	return fault.New(fault.NotFound, "decision-unknown",
		"there is no decision %.100q here, or you may not see it; give the uid from the message, or the sequence number", id)
}
