// Package registry is the core that every ecosystem's protocol adapter shares: names with
// releases and tags, the publish gate in front of writes and the pull gate in front of downloads.
//
// A release is a version of a name, with one artifact (the bytes) and optional metadata (the
// ecosystem's own description of it). For OCI the version is the manifest digest. All state that
// an adapter can see is projected from the record: a write is a statement, and what it changes is
// visible exactly when that statement is durable, never in part.
//
// An adapter only translates: npm/ and oci/ parse their protocol, call this package and render
// its answer. What two of them do alike is here: an [Incoming] file is received and stored, a [Page]
// is rendered and kept, [Facts] are read, a [Sieve] decides what is offered, a [Guard] makes routes
// and [Core.ServeRelease] sends bytes. The core knows no ecosystem by name.
package registry

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/store"
)

// PolicyRevision names the rules that the publish and pull gates apply today. It changes with
// them, so that an old decision says which rules it followed.
const PolicyRevision = "builtin/2"

// Access says who a caller is and what they may do. The account package implements it.
type Access interface {
	// Authenticate returns the actor that the request's credential proves; a request without one
	// is the anonymous actor. A credential that is not valid is an Unauthenticated fault.
	Authenticate(r *http.Request) (evidence.Actor, error)
	// Authorize fails with Unauthenticated when logging in could help, else with Denied or NotFound.
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	Prover
}

// Core is the registry core. It is safe for concurrent use.
type Core struct {
	record *evidence.Record
	blobs  blob.Store
	access Access
	review Reviewer // nil: nothing is ever held
	owners Owners   // nil: a name is hosted when something was published under it

	cooldowns Cooldowns // nil: consumers get every version at once
	clock     clock.Clock

	upstreamCooldown time.Duration // for names that nobody here has; 0 is off
	exempt           atomic.Pointer[exemptions]

	pulls tally
	names names

	vulnerable Vulnerabilities // nil: nothing is known
	small      *Cache[*small]  // blobs that are sent from memory

	states sync.Map // of nameState, by "ecosystem name"
	known  atomic.Int64
}

// New returns a core. The registry schema must be migrated in the record's database.
func New(record *evidence.Record, blobs blob.Store, access Access) *Core {
	return &Core{record: record, blobs: blobs, access: access, small: NewCache[*small](smallCache)}
}

// Schema returns the tables of the core that are not projections: which blobs a name may serve
// before a manifest names them.
func Schema() store.Schema {
	return store.Schema{Owner: "registry", Steps: []string{`
		CREATE TABLE linked_blob (
			ecosystem TEXT NOT NULL,
			name      TEXT NOT NULL,
			digest    TEXT NOT NULL,
			size      INTEGER NOT NULL, -- bytes
			PRIMARY KEY (ecosystem, name, digest)
		) WITHOUT ROWID`, draftSchema, listedSchema}}
}

// Blobs returns the blob store that artifacts live in.
func (c *Core) Blobs() blob.Store { return c.blobs }

// Record returns the record that the core writes to.
func (c *Core) Record() *evidence.Record { return c.record }

// Access returns the authenticator and authoriser.
func (c *Core) Access() Access { return c.access }

// Package is a name in an ecosystem.
type Package struct {
	id        int64
	Ecosystem string
	Name      string
	Created   time.Time
	Modified  time.Time
	// Revision grows whenever anything that the name offers changes; equal revisions render equal.
	Revision int64
}

// State is whether a release may be downloaded.
type State string

// The states.
const (
	Active    State = "active"
	Held      State = "held" // waits for an approval; offered to nobody
	Withdrawn State = "withdrawn"
)

// Release is a version of a package, or one file of it: in an ecosystem whose versions consist of
// several files each of them is a Release with the same Version and PURL and with a File.
type Release struct {
	Version      string
	File         string // its name; empty where a version is one artifact
	PURL         purl.PURL
	Artifact     digest.Digest
	Size         int64 // bytes of the artifact
	MediaType    string
	Metadata     digest.Digest // blob; empty when the artifact describes itself
	Subject      digest.Digest // OCI subject; empty for none
	ArtifactType string
	State        State
	Recalled     string // the reason; empty when not recalled
	Deprecated   string // the message; empty when not deprecated
	Unlisted     string // why it is proposed to nobody; who asks for exactly it gets it
	Published    time.Time
	Publisher    string // account
	Seq          int64  // of the publication statement
	Approved     bool   // by a second person
	// Origin is where it came from; empty for what was published here.
	Origin string
}

// Upload is a release about to be published. The blobs it names must be durable.
type Upload struct {
	Ecosystem    string
	Name         string
	Version      string
	File         string // its name, in an ecosystem whose versions consist of several
	PURL         purl.PURL
	Tags         []string
	Artifact     digest.Digest
	Size         int64 // bytes
	MediaType    string
	Metadata     digest.Digest
	Subject      digest.Digest
	ArtifactType string
	// Inventory is what the artifact holds, with what it runs when it is installed; nil where that is
	// not known yet.
	Inventory *evidence.Inventory
	// OpenFor is how long files may be added to a version after its first one; zero is without end. Sole says
	// that a version has one file of this ArtifactType at most.
	OpenFor time.Duration
	Sole    bool
	// Made is what the artifact is put together from, as far as that is known: an image's layers and how it
	// runs. nil where it is one archive, which Inventory tells.
	Made *evidence.Contents
	// Order compares two versions as the ecosystem does; nil means by the time of their publication.
	Order func(a, b string) int
	// Contents are contents drafts about the artifact, appended after the publication.
	Contents []evidence.Draft
	// Stage asks for a release that waits for a person whatever it holds. It takes the permission Stage
	// and not Publish.
	Stage bool
}

// contentAddressed reports whether the version is the artifact's own digest, so that publishing
// it twice cannot mean two different things.
func (u Upload) contentAddressed() bool { return u.Version == string(u.Artifact) }
