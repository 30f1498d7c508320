package policy

import (
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// Record is what the record says about one image at one head: the `record` variable of policies. Every
// field is present in an expression, also when the record does not know: then Known is false, lists
// are empty and texts are "". Times are RFC 3339; package policy adds `age` fields when it evaluates.
type Record struct {
	Digest     string   `json:"digest"`     // manifest; "" when the reference could not be resolved
	Known      bool     `json:"known"`      // the record has a publication of this digest
	Head       int64    `json:"head"`       // size of the record that this was read at
	References []string `json:"references"` // "acme/shop:1", without host

	Publication   Publication    `json:"publication"`
	Approval      Approval       `json:"approval"`
	Verifications []Verification `json:"verifications"`
	Contents      Contents       `json:"contents"`
	Findings      []Finding      `json:"findings"` // advisories that match
	Recalls       []Recall       `json:"recalls"`  // of the image itself, and of what is in it
	Gaps          []string       `json:"gaps"`     // what is not known, as sentences
}

// Publication is who published something and how they had authenticated. At is zero, and the rest
// empty, when nobody published it here.
type Publication struct {
	Publisher  string    `json:"publisher"`
	Credential string    `json:"credential"` // "token:tok_…", never a secret
	Method     string    `json:"method"`
	At         time.Time `json:"at"`
	Seq        int64     `json:"seq"`
}

// Approval is the newest approval by somebody else than the publisher.
type Approval struct {
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Seq      int64     `json:"seq"`
}

// Verification is a proof that was checked.
type Verification struct {
	Proof    string `json:"proof"`
	Identity string `json:"identity"`
	Holds    bool   `json:"holds"`
	Seq      int64  `json:"seq"`
}

// Contents is what is inside an image.
type Contents struct {
	Complete       bool        `json:"complete"` // every layer was read to its end
	Platform       string      `json:"platform"`
	Layers         []string    `json:"layers"` // diffIDs, lowest first
	Base           Base        `json:"base"`
	Shell          bool        `json:"shell"`          // an executable named sh, bash, dash, ash or busybox
	PackageManager bool        `json:"packageManager"` // dpkg, apt, apk, rpm, dnf, yum, pacman
	Components     []Component `json:"components"`
}

// Base is the image whose layers are the lowest of this one's, the one with the most layers if there
// are several; Digest is "" when none in the record is.
type Base struct {
	Digest     string   `json:"digest"`
	References []string `json:"references"`
	Layers     int      `json:"layers"`
}

// Component is a package in an image.
type Component struct {
	PURL    string `json:"purl"`
	Layer   int    `json:"layer"`   // position of the layer that brought it, 0 is the lowest
	Path    string `json:"path"`    // a file of it
	Grounds string `json:"grounds"` // metadata, content or both
	// Release is how it came to be published here; its Publication.At is zero for a component that was not.
	Release   bool        `json:"release"`
	Artifact  string      `json:"artifact"` // digest of the release's archive
	Published Publication `json:"publication"`
	Approval  Approval    `json:"approval"`
	Recalled  string      `json:"recalled"` // reason, "" when it is not
}

// Finding is an advisory that matches a component.
type Finding struct {
	Advisory  string `json:"advisory"`
	Component string `json:"component"`
	Severity  string `json:"severity"`
}

// Recall is a recall in force that reaches the image.
type Recall struct {
	Seq     int64    `json:"seq"`
	Subject string   `json:"subject"` // the purl or digest that was recalled
	Via     string   `json:"via"`     // the component or file by which it reaches the image; "" for the image itself
	Reason  string   `json:"reason"`
	By      string   `json:"by"`
	Gates   []string `json:"gates"` // that enforce it; none means all
	System  bool     `json:"system"`
}

// Request is what a decision is asked about: one object with the images that it would run.
type Request struct {
	ID        string            `json:"id"` // unique; an admission review's uid
	Gate      string            `json:"gate"`
	Cluster   string            `json:"cluster"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"namespaceLabels,omitempty"`
	Kind      string            `json:"kind"` // of the object, or of the owner that made it where that is known
	Name      string            `json:"name"`
	Operation string            `json:"operation"` // CREATE, UPDATE
	User      string            `json:"user"`
	DryRun    bool              `json:"dryRun,omitempty"`
	At        time.Time         `json:"at"` // the decision's clock: ages and expiries are taken against it
	Images    []Image           `json:"images"`
}

// Image is one image that an object would run.
type Image struct {
	Container  string `json:"container"` // name of the container or volume
	Role       string `json:"role"`      // container, init, ephemeral, volume
	Reference  string `json:"reference"` // as the object has it
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"` // decided on: from the reference, or what the tag points at in the snapshot
	// Pinned reports whether the object itself names the digest, before any mutation of ours.
	Pinned bool `json:"pinned"`
}

// Exception is an approved exception, as the evaluator and the agents need it.
type Exception struct {
	ID        int64                   `json:"id"`
	Policy    string                  `json:"policy"` // name, or "*"
	Scope     evidence.ExceptionScope `json:"scope"`
	Reason    string                  `json:"reason"`
	Ticket    string                  `json:"ticket"`
	Requester string                  `json:"requester"`
	Approver  string                  `json:"approver"`
	Expires   time.Time               `json:"expires"`
	// ApprovedSeq and RevokedSeq are the statements that put it in force and out of it; RevokedSeq 0: not revoked.
	ApprovedSeq int64 `json:"approvedSeq"`
	RevokedSeq  int64 `json:"revokedSeq,omitempty"`
	// Uses are the newest, for agents to tell under which exception something was admitted.
	Uses []ExceptionUse `json:"uses,omitempty"`
	// Count is how many decisions were made under it.
	Count int64 `json:"count"`
}

// ExceptionUse is an admission under an exception.
type ExceptionUse struct {
	evidence.WorkloadRef
	Images []string `json:"images"` // digests
}

// Verdict is the answer to a request.
type Verdict struct {
	Allow    bool   `json:"allow"`
	Revision string `json:"revision"` // of the policy set
	Head     int64  `json:"head"`     // of the record that was decided from
	// Findings are all checks that did not hold, also those that did not deny: of a lower stage, or excepted.
	Findings   []Failure `json:"findings"`
	Exceptions []int64   `json:"exceptions"` // those used, ascending
}

// Stage is how far a policy is rolled out.
type Stage string

// The stages, in the order of rollout.
const (
	Simulate Stage = "simulate" // evaluated and counted; nobody is told
	Audit    Stage = "audit"    // on the record
	Warn     Stage = "warn"     // the client is warned
	Enforce  Stage = "enforce"  // denied
)

// Failure is one check that did not hold for one image.
type Failure struct {
	Policy    string `json:"policy"`
	Check     string `json:"check"`
	Stage     Stage  `json:"stage"`
	Namespace string `json:"namespace,omitempty"` // of the request
	Container string `json:"container"`
	Image     string `json:"image"` // reference as the object has it
	Digest    string `json:"digest"`
	Component string `json:"component,omitempty"` // purl, when one is to blame
	Release   string `json:"release,omitempty"`   // "@acme/ui-kit 4.2.1"
	Publisher string `json:"publisher,omitempty"`
	Message   string `json:"message"` // one sentence: what is wrong
	Missing   string `json:"missing"` // one sentence: what would make it right
	// Exception is the one that lets it past; 0 for none.
	Exception int64 `json:"exception,omitempty"`
	// Error says that the check could not be evaluated; an error is a failure, never "not matched".
	Error string `json:"error,omitempty"`
}
