// Package alert is what the agent tells people: one finding about one process, with the file, its layer,
// its package, its publisher and what was done about it. It counts repeats instead of repeating them, and
// carries alerts to where they are read.
//
// It decides nothing: whether something is an alert is the business of package sensor. It loses none
// silently: a route that cannot keep up says how many it left out.
package alert

import (
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// Code is what sort of finding an alert is.
type Code string

// The codes.
const (
	// ExecutedDrift: a file was executed that is in no layer of the image: written into the container,
	// in memory only, deleted, or an image's file that was changed.
	ExecutedDrift Code = "executed-drift"
	// RecalledContent: content that is recalled was executed, opened or mapped.
	RecalledContent Code = "recalled-content"
	// EgressRecalled: a process that has loaded recalled content, or one that it started, dialled out.
	EgressRecalled Code = "egress-recalled"
	// EgressExcepted: a process that has loaded content of a release which nobody approved, in an image that
	// was admitted under an exception, dialled out.
	EgressExcepted Code = "egress-excepted"
	// UnseenExec: a component was executed that the image was never seen executing while it was learnt.
	UnseenExec Code = "unseen-exec"
)

// Done is what was done about it.
type Done string

// What can be done.
const (
	Observed Done = "observed"
	Killed   Done = "killed"
	Denied   Done = "denied"
)

// Alert is one finding, as it is printed, posted and put on the record.
type Alert struct {
	ID   string    `json:"id"` // unique
	Code Code      `json:"code"`
	Time time.Time `json:"time"` // of the event, UTC
	// Sentence says it all in one line, for a person.
	Sentence string `json:"sentence"`
	// Action is "exec", "open" or "connect".
	Action string `json:"action"`
	// Level is the enforcement level that is proven on this node: "deny", "kill" or "observe".
	Level string `json:"level"`
	Done  Done   `json:"done"`

	Node      string    `json:"node"`
	Container Container `json:"container"`
	Process   Process   `json:"process"`
	File      File      `json:"file"`
	Release   *Release  `json:"release,omitempty"` // the component that the file belongs to; absent when not known
	// Recall is the number of the recall that the content falls under; 0 for none.
	Recall int64 `json:"recall,omitempty"`
	// Exception is the one that the image was admitted under; 0 for none.
	Exception int64  `json:"exception,omitempty"`
	Peer      string `json:"peer,omitempty"` // of a connect: address and port

	// Count is how many equal findings this stands for, this one included.
	Count int64 `json:"count"`
	// Gaps are what is not known about it, as sentences.
	Gaps []string `json:"gaps,omitempty"`
}

// Container is where it happened.
type Container struct {
	ID        string        `json:"id"`
	Name      string        `json:"container,omitempty"` // "name" is the workload's
	Runtime   string        `json:"runtime"`
	Pod       string        `json:"pod,omitempty"`
	Image     digest.Digest `json:"image,omitempty"`
	Reference string        `json:"reference,omitempty"`
	evidence.WorkloadRef
}

// Process is who did it.
type Process struct {
	PID       uint32             `json:"pid"`     // in the host's namespace
	Started   uint64             `json:"started"` // ns since boot
	Comm      string             `json:"comm"`
	Path      string             `json:"path,omitempty"`
	Args      string             `json:"args,omitempty"`
	UID       uint32             `json:"uid"`
	Ancestors []process.Ancestor `json:"ancestors,omitempty"` // nearest first
}

// File is what it was done with.
type File struct {
	Path string `json:"path"` // in the image
	// Origin is "layer", "changed" (an image's file, its content differs), "touched" (an image's file,
	// content not yet compared), "container" (written in the container), "memory", "host" or "unknown".
	Origin  string        `json:"origin"`
	Deleted bool          `json:"deleted,omitempty"`
	Layer   int           `json:"layer,omitempty"` // 1 is the topmost lower layer of the overlay
	DiffID  digest.Digest `json:"diffID,omitempty"`
	SHA256  digest.Digest `json:"sha256,omitempty"` // by the record, not by reading the file
}

// Release is what the record says about the component that the file belongs to.
type Release struct {
	PURL       string    `json:"purl"`
	Publisher  string    `json:"publisher,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Label      string    `json:"label,omitempty"`    // what its holder calls the credential
	Published  time.Time `json:"published,omitzero"` // zero when it was not published here
	Approved   bool      `json:"approved"`
	Approver   string    `json:"approver,omitempty"`
	Recalled   string    `json:"recalled,omitempty"` // reason
}

// Key is what makes two alerts equal: the same finding, by the same program, about the same content, in
// the same container.
func (a *Alert) Key() string {
	peer := a.Peer
	if a.Code != EgressRecalled && a.Code != EgressExcepted {
		peer = ""
	}
	return string(a.Code) + "\x00" + a.Container.ID + "\x00" + a.Process.Path + "\x00" + a.File.Path + "\x00" + string(a.File.DiffID) + "\x00" + peer + "\x00" + string(a.Done)
}
