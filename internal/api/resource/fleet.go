package resource

import "time"

// Enrolment is a fleet member without its secret.
type Enrolment struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // agent or admission
	Cluster  string     `json:"cluster,omitempty"`
	Name     string     `json:"name"`
	Receiver string     `json:"receiver"` // what it is called in the receipts of a recall
	MadeBy   string     `json:"madeBy"`
	Created  time.Time  `json:"created"`
	Seen     *time.Time `json:"seen,omitempty"` // none: never
}

// NewEnrolment asks for a fleet member.
type NewEnrolment struct {
	Kind    string `json:"kind"`
	Cluster string `json:"cluster,omitempty"`
	Name    string `json:"name"`
}

// CreatedEnrolment is a new fleet member with its secret, which is not shown again.
type CreatedEnrolment struct {
	Secret    string    `json:"secret"`
	Enrolment Enrolment `json:"enrolment"`
}
