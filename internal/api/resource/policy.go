package resource

import (
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy"
)

// PolicySet is a set of policies that is or was in force.
type PolicySet struct {
	Revision string     `json:"revision"`
	Document string     `json:"document"`
	Policies []string   `json:"policies"`
	Account  string     `json:"account,omitempty"` // empty: the program ships it
	At       *time.Time `json:"at,omitempty"`
	Seq      *int64     `json:"seq,omitempty"`
}

// NewPolicySet asks for a set to be put in force.
type NewPolicySet struct {
	Document string `json:"document"`
}

// Exception is an exception with its life so far.
type Exception struct {
	Number    int64                   `json:"number"`
	Policy    string                  `json:"policy"`
	Scope     evidence.ExceptionScope `json:"scope"`
	Reason    string                  `json:"reason"`
	Ticket    string                  `json:"ticket"`
	Requester string                  `json:"requester"`
	Requested time.Time               `json:"requested"`
	Expires   time.Time               `json:"expires"`
	Approver  string                  `json:"approver,omitempty"`
	State     string                  `json:"state"`
	Uses      int64                   `json:"uses"`
	LastUse   *time.Time              `json:"lastUse,omitempty"`
}

// NewExemption lets a release, or every release of a name, past the cooldown.
type NewExemption struct {
	Component string    `json:"component"` // a purl, with or without version
	Reason    string    `json:"reason"`
	Expires   time.Time `json:"expires"`
}

// NewException asks for an exception.
type NewException struct {
	Policy  string                  `json:"policy"`
	Scope   evidence.ExceptionScope `json:"scope"`
	Reason  string                  `json:"reason"`
	Ticket  string                  `json:"ticket"`
	Expires time.Time               `json:"expires"`
}

// Explanation is a decision with what it was decided from, and what comes out when it is decided again.
type Explanation struct {
	Seq         int64             `json:"seq"`
	At          time.Time         `json:"at"`
	Issuer      evidence.Issuer   `json:"issuer"`
	Subjects    []string          `json:"subjects"`
	Decision    evidence.Decision `json:"decision"`
	Outcome     string            `json:"outcome"`
	Differences []string          `json:"differences"`
	Notes       []string          `json:"notes"`
	Recomputed  *policy.Verdict   `json:"recomputed,omitempty"`
}
