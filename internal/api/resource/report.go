package resource

import "time"

// Report is what somebody says of a package.
type Report struct {
	ID          string     `json:"id"`
	Subject     string     `json:"subject"` // purl of a version, or of a name
	Reason      string     `json:"reason"`
	Account     string     `json:"account"`
	Weight      int        `json:"weight"`
	At          time.Time  `json:"at"`
	State       string     `json:"state"` // open, upheld, unfounded
	Closed      *time.Time `json:"closed,omitempty"`
	ClosedBy    string     `json:"closedBy,omitempty"`
	Note        string     `json:"note,omitempty"`
	Quarantined bool       `json:"quarantined,omitempty"`
}

// NewReport reports a package.
type NewReport struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
}

// ReportOutcome decides a report.
type ReportOutcome struct {
	Outcome string `json:"outcome"` // upheld, unfounded
	Note    string `json:"note,omitempty"`
}
