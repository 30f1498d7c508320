// Package resource holds the JSON shapes of the REST interface, one Go type per schema of
// api/openapi.yaml, shared by the server and its client. It converts nothing and decides nothing.
package resource

import (
	"encoding/json"
	"time"

	"github.com/hullmark/hullmark/internal/tlog"
)

// Problem is an error (RFC 9457 with the members code, kind and docs).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Kind   string `json:"kind"`
	Docs   string `json:"docs"`
	// AuthURL is where a person gives the second factor that was missing, DoneURL where the client then
	// fetches what it repeats the request with, in the header [OTPHeader].
	AuthURL string `json:"authUrl,omitempty"`
	DoneURL string `json:"doneUrl,omitempty"`
}

// Page is a part of a list. Next is the cursor of the following part, empty on the last.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Health says that the server answers.
type Health struct {
	Status string `json:"status"`
	Head   int64  `json:"head"`
}

// Version is which program answers.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Whoami is who a credential is.
type Whoami struct {
	Account    string `json:"account"`
	Credential string `json:"credential"`
	Method     string `json:"method"`
	Admin      bool   `json:"admin"`
}

// Checkpoint is a signed tree head.
type Checkpoint struct {
	Size int64     `json:"size"`
	Root tlog.Hash `json:"root"`
	Note string    `json:"note"`
}

// Proof is an inclusion or consistency proof. Size is of the tree that it leads to.
type Proof struct {
	Size   int64       `json:"size"`
	Hashes []tlog.Hash `json:"hashes"`
}

// Statement is a statement of the record, as it is in the log.
type Statement = json.RawMessage

// PackageSummary is a name in an ecosystem.
type PackageSummary struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

// Package is a name with what it offers.
type Package struct {
	Ecosystem string            `json:"ecosystem"`
	Name      string            `json:"name"`
	Created   time.Time         `json:"created"`
	Modified  time.Time         `json:"modified"`
	Revision  int64             `json:"revision"`
	Tags      map[string]string `json:"tags"` // version by tag
	Releases  []Release         `json:"releases"`
	Next      string            `json:"next,omitempty"`
}

// Release is a version of a package.
type Release struct {
	Version      string    `json:"version"`
	PURL         string    `json:"purl"`
	Artifact     string    `json:"artifact"`
	Size         int64     `json:"size"` // bytes
	MediaType    string    `json:"mediaType,omitempty"`
	ArtifactType string    `json:"artifactType,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	State        string    `json:"state"`
	Recalled     string    `json:"recalled,omitempty"`
	Deprecated   string    `json:"deprecated,omitempty"`
	Published    time.Time `json:"published"`
	Publisher    string    `json:"publisher"`
	Seq          int64     `json:"seq"`
	// Vulnerabilities are what the advisories that the server was given say of the version.
	Vulnerabilities []Vulnerability `json:"vulnerabilities,omitempty"`
}

// Vulnerability is an advisory that names a version.
type Vulnerability struct {
	ID       string   `json:"id"`
	Aliases  []string `json:"aliases,omitempty"`
	Summary  string   `json:"summary"`
	URL      string   `json:"url"`
	Severity string   `json:"severity"`
	Score    float64  `json:"score,omitempty"` // CVSS base score
	Fixed    []string `json:"fixed,omitempty"` // versions that repair it
}

// Upstream is how an upstream has answered since the server started.
type Upstream struct {
	Ecosystem string     `json:"ecosystem"`
	URL       string     `json:"url"`
	Answered  *time.Time `json:"answered,omitempty"` // last
	Failed    *time.Time `json:"failed,omitempty"`   // last
	Problem   string     `json:"problem,omitempty"`  // what it failed with then
}

// Image is an image with its layers and components.
type Image struct {
	Digest     string      `json:"digest"`
	Platform   string      `json:"platform,omitempty"`
	Incomplete string      `json:"incomplete,omitempty"`
	References []string    `json:"references"`
	Layers     []Layer     `json:"layers"`
	Components []Component `json:"components"`
}

// Layer is one layer of an image, the lowest at position 0.
type Layer struct {
	Position   int    `json:"position"`
	DiffID     string `json:"diffID"`
	Blob       string `json:"blob"`
	CreatedBy  string `json:"createdBy,omitempty"`
	Components int    `json:"components"`
	Files      int    `json:"files"`
	Incomplete string `json:"incomplete,omitempty"`
}

// Component is something that an image holds.
type Component struct {
	PURL     string `json:"purl"`
	Path     string `json:"path"`
	Position int    `json:"position"`
	Source   string `json:"source,omitempty"`
}
