package resource

import "time"

// Hold is a version that waits for a person. The fields from Added on are set where one is asked for.
type Hold struct {
	Subject    string       `json:"subject"` // purl
	Ecosystem  string       `json:"ecosystem"`
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	Artifact   string       `json:"artifact"`
	Publisher  string       `json:"publisher"`
	Credential string       `json:"credential,omitempty"`
	At         time.Time    `json:"at"`
	Seq        int64        `json:"seq"`
	Code       string       `json:"code"`
	Recalled   string       `json:"recalled,omitempty"`
	Tags       []string     `json:"tags"` // set when it is approved
	Against    string       `json:"against,omitempty"`
	Hooks      []HookChange `json:"hooks"`
	Added      int          `json:"added,omitempty"` // files
	Changed    int          `json:"changed,omitempty"`
	Removed    int          `json:"removed,omitempty"`
	Files      []FileChange `json:"files,omitempty"`
}

// HookChange is something that runs on install and differs from the version before.
type HookChange struct {
	Name    string   `json:"name"`
	Change  string   `json:"change"` // added, changed, removed
	Before  string   `json:"before,omitempty"`
	Command string   `json:"command,omitempty"`
	Files   []string `json:"files,omitempty"`
}

// FileChange is a file that differs from the version before.
type FileChange struct {
	Path   string `json:"path"`
	Change string `json:"change"` // added, changed, removed
	Before int64  `json:"before"` // bytes
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"`
}

// NewApproval asks for an approval.
type NewApproval struct {
	Subject string `json:"subject"` // a purl, or an image reference of this server
	Reason  string `json:"reason"`
}

// Approval says that somebody stands by a release that another account published.
type Approval struct {
	Subject  string    `json:"subject"`
	Account  string    `json:"account"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Seq      int64     `json:"seq"`
	Released bool      `json:"released"` // it was held and is offered now
}
