package registry

import (
	"context"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Stages keeps what waits for a person in one ecosystem. The publish stage implements it.
type Stages interface {
	// List returns what waits and the actor may see, and how much that is without offset and limit.
	List(ctx context.Context, actor evidence.Actor, name string, offset, limit int) ([]Staged, int, error)
	// Find returns what waits under an id to who has perm on its name, else code stage-unknown.
	Find(ctx context.Context, actor evidence.Actor, perm evidence.Permission, id string) (Staged, error)
	// Approve returns how many approvals there are and how many it takes.
	Approve(ctx context.Context, actor evidence.Actor, s Staged, reason string) (have, needed int, err error)
	Reject(ctx context.Context, actor evidence.Actor, s Staged, reason string) error
}

// Staged is a version that waits.
type Staged struct {
	ID         string // a UUID
	Name       string
	Version    string
	PURL       purl.PURL
	Artifact   digest.Digest
	Tags       []string
	At         time.Time
	Publisher  string
	Credential string
	Code       string   // why it waits
	Findings   []string // what the rules say of it
	Approved   []string // accounts
	Needed     int      // approvals that it takes
}

// Exchanger makes tokens of ours for pipelines that names trust. The stage of trusted publishing
// implements it.
type Exchanger interface {
	// Audience is what a provider's token for an ecosystem must be for.
	Audience(ecosystem string) string
	// Exchange fails with codes identity-token-invalid, identity-token-used, issuer-unknown,
	// issuer-unreachable, publisher-unknown, publisher-mismatch.
	Exchange(ctx context.Context, r ExchangeRequest) (Minted, error)
}

// ExchangeRequest is a provider's token to be exchanged.
type ExchangeRequest struct {
	Ecosystem string
	// Name is what is to be published; empty, where the protocol does not say, means every name that has a
	// publisher which the token matches.
	Name       string
	Token      string
	RemoteAddr string // "ip:port" of who sends it
	// Single makes the token that is made good for one artifact.
	Single bool
}

// Minted is a token of ours for a pipeline.
type Minted struct {
	Secret           string
	Names            []string // that it may publish
	Created, Expires time.Time
}
