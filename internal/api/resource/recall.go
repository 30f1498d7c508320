package resource

import (
	"strings"
	"time"
)

// Recall is a recall in force.
type Recall struct {
	Subject []string  `json:"subject"`
	Reason  string    `json:"reason"`
	Cause   string    `json:"cause"`   // malware, vulnerability, defect
	Account string    `json:"account"` // none: the server quarantined it
	At      time.Time `json:"at"`
	Seq     int64     `json:"seq"`
	Known   bool      `json:"known"`            // the record knows something by one of the subjects
	Gates   []string  `json:"gates,omitempty"`  // none: all
	System  bool      `json:"system,omitempty"` // it reaches system namespaces too
	Canary  *Scope    `json:"canary,omitempty"` // processes are stopped here only
	Undo    string    `json:"undo,omitempty"`   // account that asked to lift it; a second person confirms
}

// Scope is a part of what runs: a cluster, a namespace, a workload.
type Scope struct {
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
}

// String is the scope as the command line takes it: "cluster/namespace/kind/name".
func (s Scope) String() string {
	return strings.TrimRight(strings.Join([]string{s.Cluster, s.Namespace, s.Kind, s.Name}, "/"), "/")
}

// ParseScope reads what String writes; parts may be missing at the end.
func ParseScope(text string) *Scope {
	parts := append(strings.SplitN(text, "/", 4), "", "", "")
	return &Scope{Cluster: parts[0], Namespace: parts[1], Kind: parts[2], Name: parts[3]}
}

// NewRecall asks for a recall.
type NewRecall struct {
	Subject string   `json:"subject"`
	Reason  string   `json:"reason"`
	Cause   string   `json:"cause,omitempty"` // none: malware
	Gates   []string `json:"gates,omitempty"`
	System  bool     `json:"system,omitempty"`
	Canary  *Scope   `json:"canary,omitempty"`
}

// RecallPreview is what a recall would do.
type RecallPreview struct {
	Subject   []string           `json:"subject"`
	Known     bool               `json:"known"`
	Releases  int                `json:"releases"`
	Images    int                `json:"images"`
	Named     []string           `json:"named"`
	Pulls     []Pulls            `json:"pulls"`
	Pods      int                `json:"pods"`
	Workloads []RecalledWorkload `json:"workloads"`
	Stuck     int                `json:"stuck"`
	System    int                `json:"system"`
	Executed  int                `json:"executed"`
	Receivers int                `json:"receivers"`
	Refusal   string             `json:"refusal,omitempty"`
}

// Pulls is how often something was downloaded in a day.
type Pulls struct {
	Day   string `json:"day"`
	Pulls int64  `json:"pulls"`
}

// RecalledWorkload runs an image that a recall reaches.
type RecalledWorkload struct {
	Scope
	Pods    int  `json:"pods"`
	Restart bool `json:"restart"`
	System  bool `json:"system,omitempty"`
}

// RecallReceipts are who carries a recall out, and who has not said so.
type RecallReceipts struct {
	Recall   Recall     `json:"recall"`
	Received []Receipt  `json:"received"`
	Missing  []Receiver `json:"missing"`
}

// Receipt says that a receiver carries a recall out.
type Receipt struct {
	Receiver     string    `json:"receiver"`
	Gate         string    `json:"gate"`
	Outcome      string    `json:"outcome"`
	Stopped      int64     `json:"stopped,omitempty"`
	At           time.Time `json:"at"`
	Milliseconds int64     `json:"milliseconds"` // since the recall
	Seq          int64     `json:"seq"`
}

// Receiver is a fleet member that a receipt is waited for from.
type Receiver struct {
	Receiver string     `json:"receiver"`
	Gate     string     `json:"gate"`
	Seen     *time.Time `json:"seen,omitempty"`
}
