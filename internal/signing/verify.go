// Package signing verifies Sigstore bundles: that a statement about an artifact was signed with a
// certificate of a trusted authority, for the identity that was expected, and stands in a trusted log.
//
// What is trusted comes from files (trusted_root.json) that the operator names; nothing is fetched.
// A bundle is checked in the order that nothing is believed before it was proven: limits, form, log
// entry and time, certificate chain at that time, certificate transparency, signature, subject, type of
// predicate, identity. Roots are parsed once, when the verifier is made.
//
// What it refuses: a bundle without certificate or log entry, more than one signature, an identity
// that is not tied to its issuer, a pattern that is not anchored or matches any host, and a root that
// lacks an authority, a log or a certificate transparency log. A proof that does not hold is a fault
// with a code, never a result with a flag that somebody could forget to look at.
//
// The mathematics are sigstore-go's; see docs/reference/signing.md for what a proof does not say.
package signing

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// Verifier checks bundles against its roots. It is safe for concurrent use and keeps nothing of
// what it checks.
type Verifier struct {
	roots   []*root
	issuers []string
}

// Config says what is trusted.
type Config struct {
	// Roots are tried in turn; a bundle must hold under one of them as a whole.
	Roots []Root
	// Issuers are the OpenID Connect issuers whose workloads may make provenance; none means
	// DefaultIssuers.
	Issuers []string
}

// DefaultIssuers are the build services that npm's own client makes provenance on.
func DefaultIssuers() []string { return []string{gitHubIssuer, "https://gitlab.com"} }

// New returns a verifier. A root that cannot work fails here, with code trust-root-invalid, and not
// when the first bundle arrives.
func New(c Config) (*Verifier, error) {
	v := &Verifier{issuers: c.Issuers}
	if len(v.issuers) == 0 {
		v.issuers = DefaultIssuers()
	}
	for _, issuer := range v.issuers {
		if _, err := sanNamespace(issuer); err != nil {
			return nil, err
		}
	}
	for _, r := range c.Roots {
		parsed, err := r.parse()
		if err != nil {
			return nil, err
		}
		v.roots = append(v.roots, parsed)
	}
	if len(v.roots) == 0 {
		return nil, fault.New(fault.Invalid, "trust-root-invalid", "no trust root is named; name a trusted_root.json")
	}
	return v, nil
}

// Expectation is what a bundle must be about and who must have signed it. Every field is needed.
type Expectation struct {
	// Subject is the name of the statement's first subject, exactly: a release's purl.
	Subject string
	// Digests are the artifact's. The subject must name one of them and contradict none.
	Digests []digest.Digest
	// Predicates are the types of predicate that are taken.
	Predicates []string
	// Identities are those who may have signed: any one of them.
	Identities []Identity
}

// Verified is what a bundle proves. Fields that the certificate does not have are empty.
type Verified struct {
	Root          string // the name of the root that it holds under
	Issuer        string // of the identity token that the certificate was given for
	SAN           string // the certificate's identity
	Repository    string // source repository, a URI
	RepositoryID  string // the provider's own number of it, which a new owner of the name does not have
	Ref           string // "refs/heads/main"
	Commit        string
	Workflow      string // the build configuration that ran, a URI with its ref
	Run           string // the run, a URI
	Trigger       string // the event that started it
	Runner        string // "github-hosted", "self-hosted"
	PredicateType string
	LogIndex      int64
	Time          time.Time // when the log or a timestamp authority saw the signature

	proof string // empty: ProvenanceProof
}

// Verify checks a bundle, in JSON. Codes: attestation-too-large, attestation-malformed;
// attestation-untrusted when signature, certificate, log entry or time do not hold under any root;
// attestation-subject, attestation-predicate and attestation-identity when they do and the statement
// is about something else, is of another type, or was signed by somebody else.
func (v *Verifier) Verify(raw []byte, want Expectation) (Verified, error) {
	b, err := parseBundle(raw)
	if err != nil {
		return Verified{}, err
	}
	result, r, err := v.holds(b, verify.WithoutArtifactUnsafe())
	if err != nil {
		return Verified{}, err
	}
	if result.Statement == nil {
		return Verified{}, malformed("it holds no signed statement") // cannot happen: see checkSizes
	}
	if err := want.checkStatement(result); err != nil {
		return Verified{}, err
	}
	if err := want.checkIdentity(result.Signature.Certificate); err != nil {
		return Verified{}, err
	}
	return describe(b, result, r)
}

// holds checks the mathematics against each root in turn. Identity is compared afterwards, with sentences of
// our own, and so is the artifact of a statement.
func (v *Verifier) holds(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, *root, error) {
	policy := verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe())
	var why []error
	names := make([]string, len(v.roots))
	for i, r := range v.roots {
		names[i] = r.name
		result, err := r.verifier.Verify(b, policy)
		if err == nil && (result.Signature == nil || result.Signature.Certificate == nil) {
			err = errors.New("no certificate") // cannot happen with the options of parse
		}
		if err == nil {
			return result, r, nil
		}
		why = append(why, fmt.Errorf("root %s: %w", r.name, err))
	}
	cause := errors.Join(why...)
	return nil, nil, fault.New(fault.Integrity, "attestation-untrusted",
		"the attestation does not hold under the trust root %s: %s; sign it with a Sigstore that this server trusts, or add its root",
		strings.Join(names, ", "), plain(cause)).Because(cause)
}

// plain is the library's reason in one line, without what it repeats of the bundle's own bytes.
func plain(err error) string {
	const limit = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// checkStatement compares subject and predicate type of a statement that holds.
func (want Expectation) checkStatement(result *verify.VerificationResult) error {
	s := result.Statement
	if len(s.GetSubject()) == 0 {
		return malformed("its statement has no subject")
	}
	subject := s.GetSubject()[0]
	if subject.GetName() != want.Subject {
		return fault.New(fault.Integrity, "attestation-subject",
			"the attestation is about %q and not about %q; attest what you publish", clip(subject.GetName()), want.Subject)
	}
	named := false
	for _, d := range want.Digests {
		said, ok := subject.GetDigest()[d.Algorithm()]
		if ok && said != d.Hex() {
			return fault.New(fault.Integrity, "attestation-subject",
				"the attestation is about other bytes: its %s is %s and the artifact's is %s; attest the artifact that you publish",
				d.Algorithm(), clip(said), d.Hex())
		}
		named = named || ok
	}
	if !named {
		return fault.New(fault.Integrity, "attestation-subject", "the attestation names no digest of the artifact that can be compared")
	}
	for _, p := range want.Predicates {
		if s.GetPredicateType() == p {
			return nil
		}
	}
	return fault.New(fault.Integrity, "attestation-predicate",
		"the attestation carries %q; expected one of: %s", clip(s.GetPredicateType()), strings.Join(want.Predicates, ", "))
}

// checkIdentity compares who signed with who may have.
func (want Expectation) checkIdentity(c *certificate.Summary) error {
	var issuers []string
	for _, id := range want.Identities {
		if c.Issuer == id.Issuer && id.SAN.matches(c.SubjectAlternativeName) {
			return nil
		}
		issuers = append(issuers, fmt.Sprintf("%s of %s", id.SAN, id.Issuer))
	}
	return fault.New(fault.Integrity, "attestation-identity",
		"the attestation was signed by %s of issuer %s; expected %s",
		clip(c.SubjectAlternativeName), clip(c.Issuer), strings.Join(issuers, ", or "))
}

func describe(b *bundle.Bundle, result *verify.VerificationResult, r *root) (Verified, error) {
	c := result.Signature.Certificate
	index, err := r.logIndex(b)
	if err != nil {
		return Verified{}, err
	}
	out := Verified{
		Root: r.name, Issuer: c.Issuer, SAN: c.SubjectAlternativeName,
		Repository: c.SourceRepositoryURI, RepositoryID: c.SourceRepositoryIdentifier, Ref: c.SourceRepositoryRef, Commit: c.SourceRepositoryDigest,
		Workflow: c.BuildConfigURI, Run: c.RunInvocationURI, Trigger: c.BuildTrigger, Runner: c.RunnerEnvironment,
		LogIndex: index,
	}
	if result.Statement != nil {
		out.PredicateType = result.Statement.GetPredicateType()
	}
	for _, t := range result.VerifiedTimestamps {
		if out.Time.IsZero() || t.Timestamp.Before(out.Time) {
			out.Time = t.Timestamp.UTC()
		}
	}
	return out, nil
}

// clip bounds what a message repeats of foreign input.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }
