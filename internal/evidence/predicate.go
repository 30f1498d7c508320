package evidence

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
)

// The predicate types. A type's meaning never changes; a new meaning is a new version.
const (
	PublicationType  = "https://hullmark.dev/publication/v1"
	ApprovalType     = "https://hullmark.dev/approval/v1"
	VerificationType = "https://hullmark.dev/verification/v1"
	ContentsType     = "https://hullmark.dev/contents/v1"
	FindingsType     = "https://hullmark.dev/findings/v1"
	DecisionType     = "https://hullmark.dev/decision/v1"
	PlacementType    = "https://hullmark.dev/placement/v1"
	BehaviourType    = "https://hullmark.dev/behaviour/v1"
	ExceptionType    = "https://hullmark.dev/exception/v1"
	RecallType       = "https://hullmark.dev/recall/v1"
	GapType          = "https://hullmark.dev/gap/v1"
	PolicySetType    = "https://hullmark.dev/policy-set/v1"
)

// Actor is who did something and how they proved to be it.
type Actor struct {
	// Account is the user or workload name; empty for an anonymous caller.
	Account string `json:"account,omitempty"`
	// Credential names the credential, never its secret: "token:tok_ab12".
	Credential string `json:"credential,omitempty"`
	// Label is what the credential's holder called it: "ci-7". It is theirs to choose and proves nothing.
	Label string `json:"label,omitempty"`
	// Method is how they authenticated: "token", "password"; "session", "oidc".
	Method string `json:"method,omitempty"`
	// AddressHash is a keyed hash of the caller's network address: equal addresses compare
	// equal within one server, and the record discloses none.
	AddressHash string `json:"addressHash,omitempty"`
	// Factor is the second factor that was proven for the request; empty for none.
	Factor Factor `json:"factor,omitempty"`
	// Workload is the pipeline run that acts by a trusted publisher; nil for an account.
	Workload *WorkloadIdentity `json:"workload,omitempty"`
}

// Factor is a proof beside the credential that a person is there.
type Factor string

// The factors. Only WebAuthn cannot be relayed by a page that looks like ours.
const (
	TOTP         Factor = "totp"
	RecoveryCode Factor = "recovery"
	WebAuthn     Factor = "webauthn"
)

// WorkloadIdentity is a run of a pipeline that proved itself by its provider's OpenID Connect token.
type WorkloadIdentity struct {
	Publisher string `json:"publisher"` // "tp_…": the trusted publisher that the token matched
	Provider  string `json:"provider"`  // "github", "gitlab", "buildkite", "circleci", "google", "kubernetes", "generic"
	Issuer    string `json:"issuer"`
	Subject   string `json:"subject"`
	// Claims are those that the publisher pins and those that name the run and its source.
	Claims map[string]string `json:"claims,omitempty"`
}

// WorkloadRight is what a run may do with one name.
type WorkloadRight struct {
	Name       string
	Permission Permission       // Stage or Publish
	Identity   WorkloadIdentity // Identity.Publisher is who acts on the name
	Label      string           // what statements call that: "github acme/ui release.yml"
}

// Anonymous reports whether nobody authenticated.
func (a Actor) Anonymous() bool { return a.Account == "" }

// Issuer returns the actor as the issuer of a statement.
func (a Actor) Issuer() Issuer { return Issuer{Kind: Account, ID: a.Account} }

// Permission is what an actor wants to do with a name. Each includes those before it.
type Permission string

// The permissions.
const (
	Read    Permission = "read"    // see and download
	Stage   Permission = "stage"   // bring in a version that waits for a person's approval
	Publish Permission = "publish" // add versions, move tags, deprecate
	Own     Permission = "own"     // unpublish, change who may publish
)

// PublicationEvent is what happened to a name at the publish gate.
type PublicationEvent string

// The publication events.
const (
	Published  PublicationEvent = "published"  // a version or a manifest came to be
	Tagged     PublicationEvent = "tagged"     // a tag points at Version
	Untagged   PublicationEvent = "untagged"   // a tag is gone
	Deprecated PublicationEvent = "deprecated" // Message set or, when empty, cleared
	Withdrawn  PublicationEvent = "withdrawn"  // the version may no longer be downloaded; never reusable
	Held       PublicationEvent = "held"       // a version waits for an approval: nobody downloads it yet
	Released   PublicationEvent = "released"   // a held version was approved: it is offered, under Tags, from here on
	Restored   PublicationEvent = "restored"   // a content-addressed version was published again after withdrawal
	Unlisted   PublicationEvent = "unlisted"   // a version is not proposed to anybody; who asks for exactly it still gets it
	Relisted   PublicationEvent = "relisted"   // an unlisted version is proposed again
	Mirrored   PublicationEvent = "mirrored"   // a version was fetched from the upstream that Origin names, and kept
)

// SetsTags reports whether the tags of a publication point at its version from then on.
func (e PublicationEvent) SetsTags() bool {
	return e == Published || e == Tagged || e == Released || e == Restored || e == Mirrored
}

// Publication says that an account changed what a name offers.
type Publication struct {
	Event     PublicationEvent `json:"event"`
	Ecosystem string           `json:"ecosystem"`
	Name      string           `json:"name"`
	// Version is the ecosystem's version, or a manifest digest for OCI. For events on a tag it is
	// what the tag points at.
	Version string `json:"version,omitempty"`
	// File is the name of the file that the artifact is, in an ecosystem whose versions consist of several;
	// empty where a version is one artifact. An event on a version that names no file is about all of them.
	File string `json:"file,omitempty"`
	// Tags are the tags that this event sets (published, tagged, released), removes (untagged) or asks
	// for (held).
	Tags []string `json:"tags,omitempty"`
	// Artifact is the bytes that were published: the tarball, or the manifest.
	Artifact  digest.Digest `json:"artifact,omitempty"`
	Size      int64         `json:"size,omitempty"`      // bytes
	MediaType string        `json:"mediaType,omitempty"` // of the artifact
	// Metadata is the ecosystem's own description of the version, as a blob: npm's version
	// manifest. Empty where the artifact describes itself.
	Metadata digest.Digest `json:"metadata,omitempty"`
	// Subject is the manifest that an OCI artifact refers to.
	Subject      digest.Digest `json:"subject,omitempty"`
	ArtifactType string        `json:"artifactType,omitempty"`
	Message      string        `json:"message,omitempty"` // deprecation text or reason
	// Origin is where a mirrored artifact came from; nil for what was published here.
	Origin *Origin `json:"origin,omitempty"`
	Actor  Actor   `json:"actor"`
}

// Origin is where an artifact was fetched, and what was claimed about it there. We saw the bytes; for
// the rest there is only the upstream's word.
type Origin struct {
	Upstream string `json:"upstream"` // the base address that is configured
	URL      string `json:"url"`      // of the file
	// Published is when the upstream says that the version came out; zero when it does not say.
	Published time.Time `json:"published,omitzero"`
	// Publisher is who published it there, as the upstream puts it.
	Publisher string `json:"publisher,omitempty"`
	// Digests are what the upstream's index said the file has; those that we know were compared.
	Digests []string `json:"digests,omitempty"` // "algorithm:hex"
}

// PredicateType implements Predicate.
func (Publication) PredicateType() string { return PublicationType }

// seen is from when on the version counts as published: as the upstream says, but not after we had it.
func (o Origin) seen(at time.Time) time.Time {
	if o.Published.IsZero() || o.Published.After(at) {
		return at
	}
	return o.Published
}

// Approval says that a person let a staged release through.
type Approval struct {
	Release purl.PURL `json:"release"`
	Actor   Actor     `json:"actor"`
	Reason  string    `json:"reason,omitempty"`
}

// PredicateType implements Predicate.
func (Approval) PredicateType() string { return ApprovalType }

// Verification says that a signature, attestation or proof about the subject was checked.
type Verification struct {
	Proof    string        `json:"proof"`    // kind of proof, see Proves
	Evidence digest.Digest `json:"evidence"` // the bundle that was checked, as a blob
	Identity string        `json:"identity,omitempty"`
	Verdict  string        `json:"verdict"` // "holds" or "fails"
	Reasons  []string      `json:"reasons,omitempty"`
	// Claims are what the proof says beyond the identity: issuer, repository, workflow, run, log index.
	Claims map[string]string `json:"claims,omitempty"`
}

// PredicateType implements Predicate.
func (Verification) PredicateType() string { return VerificationType }

// Contents says what is inside the subject. The listing itself is an [Inventory] blob.
type Contents struct {
	// Of is the sort of subject: "release", "layer", "image" or "index".
	Of string `json:"of"`
	// Analyser is the reader and its version, e.g. "layer/1". A layer is read once per version.
	Analyser string `json:"analyser,omitempty"`
	// Inventory is the listing, an encoded Inventory; absent for an image, which is its layers, and
	// for an index, which is its manifests.
	Inventory  digest.Digest `json:"inventory,omitempty"`
	Components int           `json:"components,omitempty"`
	Files      int           `json:"files,omitempty"`
	// Incomplete is why the reader stopped before the end; empty when it saw everything.
	Incomplete string `json:"incomplete,omitempty"`
	// Blob is the layer as it was pushed (compressed); the subject is the diffID.
	Blob digest.Digest `json:"blob,omitempty"`
	// Layers are an image's, lowest first.
	Layers []ImageLayer `json:"layers,omitempty"`
	// Hidden lists what the image's upper layers removed or replaced, so that a layer's component
	// is not mistaken for the image's.
	Hidden []HiddenComponent `json:"hidden,omitempty"`
	// Manifests are an index's: one image a platform, as a rule.
	Manifests []digest.Digest `json:"manifests,omitempty"`
	// Platform is "os/architecture[/variant]".
	Platform string `json:"platform,omitempty"`
	// Settings are how an image runs: "entrypoint", "user" and the like; of its environment only the names.
	Settings map[string]string `json:"settings,omitempty"`
}

// PredicateType implements Predicate.
func (Contents) PredicateType() string { return ContentsType }

// ImageLayer is one layer of an image.
type ImageLayer struct {
	DiffID    digest.Digest `json:"diffID"`
	Blob      digest.Digest `json:"blob"`                // compressed, as the manifest names it
	CreatedBy string        `json:"createdBy,omitempty"` // the instruction, from the image's history
}

// HiddenComponent is a component of the layer at Position that the finished image no longer has.
type HiddenComponent struct {
	Position int       `json:"position"` // index into Layers
	PURL     purl.PURL `json:"purl"`
}

// Findings says which advisories match the subject.
type Findings struct {
	Source     string   `json:"source"`
	Advisories []string `json:"advisories"`
}

// PredicateType implements Predicate.
func (Findings) PredicateType() string { return FindingsType }

// Decision says what a gate decided and from what; it is recomputable.
type Decision struct {
	Gate    string `json:"gate"`    // "publish", "pull", "admit" or "run"
	Action  string `json:"action"`  // what was asked for, e.g. "publish", "download"
	Verdict string `json:"verdict"` // "allow", "deny" or, at the publish gate, "hold"
	// Code and Reasons say why, for and against.
	Code    string   `json:"code,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
	// Policy is the revision of the rules that decided.
	Policy string `json:"policy"`
	// Head is the size of the record that was decided from.
	Head int64 `json:"head"`
	// Exceptions are the sequence numbers of those used.
	Exceptions []int64 `json:"exceptions,omitempty"`
	Actor      Actor   `json:"actor"`
	// Count is how many equal decisions this statement stands for; pull decisions are aggregated.
	Count int64 `json:"count,omitempty"`

	// ID is what the gate called the decision when it answered: an admission review's uid.
	ID string `json:"id,omitempty"`
	// Workload is what the decision was about, at the admit and run gates.
	Workload *WorkloadRef `json:"workload,omitempty"`
	// Input is what else was decided from, so that the decision can be recomputed: package policy's
	// Request for the admit gate.
	Input json.RawMessage `json:"input,omitempty"`
	// Event is what the run gate saw: package sensor's Alert.
	Event json.RawMessage `json:"event,omitempty"`
	// Receipt is set where the decision is the carrying out of a recall.
	Receipt *Receipt `json:"receipt,omitempty"`
}

// Receipt says that a gate carries a recall out.
type Receipt struct {
	Recall int64 `json:"recall"` // sequence number of the recall statement
	// Receiver is the server's gate ("server/publish"), an admission controller ("admission/prod") or an
	// agent ("agent/node-7").
	Receiver string `json:"receiver"`
	// Outcome is what the receiver did: "enforced", "observed" (it cannot stop) or "nothing here".
	Outcome string `json:"outcome"`
	Stopped int64  `json:"stopped,omitempty"` // processes or requests
}

// WorkloadRef names what runs, or asks to.
type WorkloadRef struct {
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"` // the outermost owner that is known: Deployment, CronJob, Pod, container
	Name      string `json:"name,omitempty"`
}

// PredicateType implements Predicate.
func (Decision) PredicateType() string { return DecisionType }

// Pulls is the subject of pull decisions about a release. It is not the release itself: the record of
// a public release is for everybody, who downloads it is for those who publish it.
func Pulls(p purl.PURL) Subject { return Subject{Name: "pulls:" + string(p)} }

// Receipts is the subject of the receipts of a recall: they are about the recall, and too many to be
// about what it stops.
func Receipts(recall int64) Subject { return Subject{Name: "recall:" + strconv.FormatInt(recall, 10)} }

// Placement says that the subject, an image, runs, or stopped running, somewhere.
type Placement struct {
	WorkloadRef
	Node      string `json:"node,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"` // the runtime's id
	Running   bool   `json:"running"`
}

// PredicateType implements Predicate.
func (Placement) PredicateType() string { return PlacementType }

// Behaviour says what the subject, a component, was seen doing inside an image.
type Behaviour struct {
	// Fact is "loaded" (one of its files was opened as code or mapped) or "executed".
	Fact  string        `json:"fact"`
	Image digest.Digest `json:"image,omitempty"`
	WorkloadRef
	Node  string    `json:"node,omitempty"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int64     `json:"count"`
}

// PredicateType implements Predicate.
func (Behaviour) PredicateType() string { return BehaviourType }

// ExceptionEvent is a step in the life of an exception.
type ExceptionEvent string

// The exception events.
const (
	Requested ExceptionEvent = "requested"
	Approved  ExceptionEvent = "approved" // by somebody other than the requester
	Revoked   ExceptionEvent = "revoked"
)

// Exception lets what its scope names past a policy, for a reason, until a time. It is requested and
// approved in two statements by two people; its number is the sequence number of the request.
type Exception struct {
	Event ExceptionEvent `json:"event"`
	// ID is the number of the exception; 0 in the request itself.
	ID      int64          `json:"id,omitempty"`
	Policy  string         `json:"policy,omitempty"`
	Scope   ExceptionScope `json:"scope"`
	Reason  string         `json:"reason,omitempty"`
	Ticket  string         `json:"ticket,omitempty"`
	Expires time.Time      `json:"expires"`
	Actor   Actor          `json:"actor"`
}

// ExceptionScope is what an exception lets past. Every field that is set must match; one at least is.
type ExceptionScope struct {
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	// Image is a digest, or a prefix of references that ends at a path segment, tag or digest.
	Image string `json:"image,omitempty"`
	// Component is a purl, with or without version.
	Component string `json:"component,omitempty"`
}

// PredicateType implements Predicate.
func (Exception) PredicateType() string { return ExceptionType }

// PolicySet puts a set of policies in force, in place of the one before. The document is a blob, and its
// digest the revision that decisions name.
type PolicySet struct {
	Revision digest.Digest `json:"revision"`
	Policies []string      `json:"policies"` // names, for a reader of the record
	Actor    Actor         `json:"actor"`
}

// PredicateType implements Predicate.
func (PolicySet) PredicateType() string { return PolicySetType }

// Recall stops the subject at every gate. Lifted withdraws an earlier recall.
type Recall struct {
	Reason string `json:"reason"`
	// Cause is the sort of reason: "malware", "vulnerability" or "defect". Empty is malware: recalls
	// named none when that was all that they were for.
	Cause  string `json:"cause,omitempty"`
	Lifted bool   `json:"lifted,omitempty"`
	// Requested asks a second person to lift it; until one does, it stays in force.
	Requested bool `json:"requested,omitempty"`
	// Admin says that a site administrator made it. An owner's recall reaches images that name what is
	// recalled, but not those that only hold the same files.
	Admin bool  `json:"admin,omitempty"`
	Actor Actor `json:"actor"`
	// Gates are those that enforce it; none means all four.
	Gates []string `json:"gates,omitempty"`
	// System lets it reach system namespaces too.
	System bool `json:"system,omitempty"`
	// Canary limits the killing of running processes to this scope; everywhere else they are only observed.
	Canary *WorkloadRef `json:"canary,omitempty"`
}

// PredicateType implements Predicate.
func (Recall) PredicateType() string { return RecallType }

// Gap says that something could not be seen: a visible hole instead of a guess.
type Gap struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// PredicateType implements Predicate.
func (Gap) PredicateType() string { return GapType }
