package resource

import "time"

// Hold is a version that waits for a person. The fields from Added on are set where one is asked for.
type Hold struct {
	Subject    string       `json:"subject"` // purl
	ID         string       `json:"id,omitempty"`
	Ecosystem  string       `json:"ecosystem"`
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	Artifact   string       `json:"artifact"`
	Publisher  string       `json:"publisher"`
	Credential string       `json:"credential,omitempty"`
	At         time.Time    `json:"at"`
	Seq        int64        `json:"seq"`
	Code       string       `json:"code"`
	Points     []HoldPoint  `json:"points,omitempty"`
	Approved   []string     `json:"approved"` // accounts whose approval counts
	Needed     int          `json:"needed"`   // approvals
	Expires    *time.Time   `json:"expires,omitempty"`
	Recalled   string       `json:"recalled,omitempty"`
	Tags       []string     `json:"tags"` // set when it is approved
	Against    string       `json:"against,omitempty"`
	Hooks      []HookChange `json:"hooks"`
	Made       []MadeChange `json:"made,omitempty"`  // of a container image, say
	Added      int          `json:"added,omitempty"` // files
	Changed    int          `json:"changed,omitempty"`
	Removed    int          `json:"removed,omitempty"`
	Files      []FileChange `json:"files,omitempty"`
	// What is news of what the reader noticed.
	Programs     []Mark       `json:"programs,omitempty"`
	Hosts        []Mark       `json:"hosts,omitempty"`
	Opaque       []Mark       `json:"opaque,omitempty"`
	Dependencies []Dependency `json:"dependencies,omitempty"`
}

// HoldPoint is what one rule found in a version.
type HoldPoint struct {
	Rule    string   `json:"rule"`
	Stage   string   `json:"stage"` // audit, warn, hold
	Summary string   `json:"summary"`
	Details []string `json:"details,omitempty"`
}

// Mark is something noticed in a file.
type Mark struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Dependency is what a version newly depends on.
type Dependency struct {
	Name      string `json:"name"`
	Range     string `json:"range,omitempty"`
	Elsewhere bool   `json:"elsewhere,omitempty"` // fetched from an address and not by its name
}

// HoldSettings are how the publish gate treats what is published under some names. What is left out comes
// from the settings around.
type HoldSettings struct {
	Rules         map[string]string `json:"rules,omitempty"` // rule to off, audit, warn or hold
	Staged        *bool             `json:"staged,omitempty"`
	Approvals     int               `json:"approvals,omitempty"`
	Factor        string            `json:"factor,omitempty"`        // webauthn, any, none
	DependencyAge string            `json:"dependencyAge,omitempty"` // like 72h
	SizeFactor    int               `json:"sizeFactor,omitempty"`
	SizeGrowth    int64             `json:"sizeGrowth,omitempty"` // bytes
	Burst         *Burst            `json:"burst,omitempty"`
	StageLife     string            `json:"stageLife,omitempty"` // like 720h
}

// Burst is how many publications over how many names within which time are many.
type Burst struct {
	Publications int    `json:"publications"`
	Names        int    `json:"names"`
	Within       string `json:"within"` // like 10m
}

// HoldSettingsInForce are a scope's own settings and those that hold there.
type HoldSettingsInForce struct {
	Own     HoldSettings `json:"own"`
	InForce HoldSettings `json:"inForce"`
	// TokensAllowed is set for a name: an owner lets tokens publish it beside its trusted publisher.
	TokensAllowed bool `json:"tokensAllowed,omitempty"`
}

// TokensAllowed lets tokens publish a name beside its trusted publisher, or ends this.
type TokensAllowed struct {
	Allowed bool `json:"allowed"`
}

// HookChange is something that runs on install and differs from the version before.
type HookChange struct {
	Name    string   `json:"name"`
	Change  string   `json:"change"` // added, changed, removed
	Before  string   `json:"before,omitempty"`
	Command string   `json:"command,omitempty"`
	Files   []string `json:"files,omitempty"`
}

// MadeChange is a difference of what the version is put together from.
type MadeChange struct {
	Sort   string `json:"sort"`   // layer, component, setting, setuid, programs
	Change string `json:"change"` // added, changed, removed
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
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
	// Have and Needed count the approvals of a held version.
	Have   int `json:"have,omitempty"`
	Needed int `json:"needed,omitempty"`
}
