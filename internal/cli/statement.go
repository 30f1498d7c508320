package cli

import (
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// kindOf is the short name of a statement's predicate.
func kindOf(s evidence.Statement) string {
	return strings.TrimSuffix(strings.TrimPrefix(s.PredicateType, "https://hullmark.dev/"), "/v1")
}

// summary is one sentence about a statement.
func summary(s evidence.Statement) string {
	switch s.PredicateType {
	case evidence.PublicationType:
		return say(s, func(p evidence.Publication) string {
			credential := p.Actor.Credential
			if p.Actor.Label != "" {
				credential += " (" + p.Actor.Label + ")"
			}
			if p.Origin != nil {
				return fmt.Sprintf("%s %s of %s from %s", p.Event, p.Version, p.Name, p.Origin.URL)
			}
			return fmt.Sprintf("%s %s of %s by %s with %s", p.Event, p.Version, p.Name, p.Actor.Account, credential)
		})
	case evidence.ContentsType:
		return say(s, contentsSummary)
	case evidence.DecisionType:
		return say(s, decisionSummary)
	case evidence.ApprovalType:
		return say(s, func(a evidence.Approval) string { return fmt.Sprintf("approved by %s: %s", a.Actor.Account, a.Reason) })
	case evidence.RecallType:
		return say(s, func(r evidence.Recall) string {
			if r.Lifted {
				return fmt.Sprintf("recall lifted by %s: %s", r.Actor.Account, r.Reason)
			}
			return fmt.Sprintf("recalled by %s: %s", r.Actor.Account, r.Reason)
		})
	case evidence.PolicySetType:
		return say(s, func(p evidence.PolicySet) string {
			return fmt.Sprintf("policies %s put in force by %s: %s", p.Revision, p.Actor.Account, strings.Join(p.Policies, ", "))
		})
	case evidence.PlacementType:
		return say(s, func(p evidence.Placement) string {
			verb := "ended"
			if p.Running {
				verb = "runs"
			}
			return fmt.Sprintf("%s in %s/%s %s on node %s", verb, p.Namespace, p.Kind, p.Name, p.Node)
		})
	case evidence.BehaviourType:
		return say(s, func(b evidence.Behaviour) string {
			return fmt.Sprintf("%s %d times in %s/%s %s on node %s", b.Fact, b.Count, b.Namespace, b.Kind, b.Name, b.Node)
		})
	case evidence.GapType:
		return say(s, func(g evidence.Gap) string { return fmt.Sprintf("not known: %s: %s", g.What, g.Reason) })
	case evidence.ExceptionType:
		return say(s, func(x evidence.Exception) string { return exceptionSummary(s, x) })
	}
	return s.PredicateType
}

// decisionSummary has a line for each further reason: an admission decision has many.
func decisionSummary(d evidence.Decision) string {
	text := d.Gate + " gate: " + d.Verdict + " " + d.Action
	if d.Policy != "" {
		text += " (" + d.Policy + ")"
	}
	for i, reason := range d.Reasons {
		separator := " "
		if i > 0 {
			separator = "\n  "
		}
		text += separator + reason
	}
	return text
}

func exceptionSummary(s evidence.Statement, x evidence.Exception) string {
	number := x.ID
	if x.Event == evidence.Requested {
		number = s.Seq
	}
	text := fmt.Sprintf("exception #%d from %s %s by %s", number, x.Policy, x.Event, x.Actor.Account)
	if x.Reason != "" {
		text += ": " + x.Reason
	}
	return text
}

func say[T evidence.Predicate](s evidence.Statement, sentence func(T) string) string {
	p, err := evidence.Decode[T](s)
	if err != nil {
		return "(a predicate that this version cannot read)"
	}
	return sentence(p)
}

func contentsSummary(c evidence.Contents) string {
	text := fmt.Sprintf("%s: %d components, %d files, read by %s", c.Of, c.Components, c.Files, c.Analyser)
	switch c.Of {
	case "image":
		text = fmt.Sprintf("image of %d layers, %s", len(c.Layers), c.Platform)
	case "index":
		text = fmt.Sprintf("index of %d manifests", len(c.Manifests))
	}
	if c.Incomplete != "" {
		text += "; incomplete: " + c.Incomplete
	}
	return text
}
