// Package cms verifies and makes the signatures that NuGet packages carry inside of them: CMS signed data
// (RFC 5652) over a line that names the hash of the package, by an author or by a repository.
//
// The cryptography, certificates and time stamps are libraries'; what this package adds is what NuGet asks of
// a signature beyond being valid: which content is signed, what the signer commits to, which keys and digests
// are strong enough, and that the certificate is the one that was signed for.
//
// What it refuses: signatures with more than one signer, with SHA-1, with keys other than RSA of 2048 bits and
// more, and to call anything verified that does not end at a root that the operator named.
//
// Source: NuGet docs, "Package signatures technical details"; NuGet.Client, NuGet.Packaging/Signing.
package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// AuthorProof is the kind of proof that an author's signature is in verification statements.
const AuthorProof = "nuget-author-signature"

// maxSignature bounds a signature in bytes.
const maxSignature = 1 << 20

var (
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidData   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSigned = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

	oidContentType        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidCountersignature   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}
	oidTimestamp          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidCommitment         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 16}
	oidSigningCertificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidOrigin             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 1}
	oidReceipt            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 2}
	oidServiceIndex       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 84, 2, 1, 1, 1}
	oidOwners             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 84, 2, 1, 1, 2}
)

// Roots say whose certificates are trusted. Without Authors no signature is called verified.
type Roots struct {
	Authors, Timestamps *x509.CertPool
}

// ReadPool reads PEM files of certificates; no files are no pool. It fails with code trust-root-invalid.
func ReadPool(files []string) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !pool.AppendCertsFromPEM(raw) {
			return nil, fault.New(fault.Invalid, "trust-root-invalid",
				"%s holds no certificates in PEM; name a file with the roots that signatures of packages end at", file).Because(err)
		}
	}
	return pool, nil
}

// Hash returns the hash of a package without its signature.
type Hash func(crypto.Hash) ([]byte, error)

// content is what is signed.
func content(oid asn1.ObjectIdentifier, sum []byte) []byte {
	return fmt.Appendf(nil, "Version:1\n\n%s-Hash:%s\n\n", oid, base64.StdEncoding.EncodeToString(sum))
}

// hashNamed returns the hash that the content names, and its identifier.
func hashNamed(content []byte) (crypto.Hash, asn1.ObjectIdentifier, bool) {
	for oid, h := range map[string]crypto.Hash{oidSHA256.String(): crypto.SHA256, oidSHA384.String(): crypto.SHA384, oidSHA512.String(): crypto.SHA512} {
		if strings.HasPrefix(string(content), "Version:1\n\n"+oid+"-Hash:") {
			return h, hashOID(h), true
		}
	}
	return 0, nil, false
}

func hashOID(h crypto.Hash) asn1.ObjectIdentifier {
	return map[crypto.Hash]asn1.ObjectIdentifier{crypto.SHA256: oidSHA256, crypto.SHA384: oidSHA384, crypto.SHA512: oidSHA512}[h]
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Integrity, "signature-invalid", "the package's signature does not hold: "+format+"; sign the package again, or push it unsigned", args...)
}

// Author is an author's signature that holds and ends at a trusted root.
type Author struct {
	Subject, Issuer, Fingerprint string // of the signing certificate; the fingerprint is SHA-256 in hex
	// At is when a trusted authority saw the signature; zero without a time stamp.
	At time.Time
}

// Statement returns what the record says: the artifact was signed by the author; signature is the blob that
// keeps the signature.
func (a *Author) Statement(p purl.PURL, artifact, signature digest.Digest) evidence.Draft {
	claims := map[string]string{"issuer": a.Issuer, "certificate": "sha256:" + a.Fingerprint}
	if !a.At.IsZero() {
		claims["timestamp"] = a.At.UTC().Format(time.RFC3339)
	}
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(p, artifact)},
		Predicate: evidence.Verification{Proof: AuthorProof, Evidence: signature, Identity: a.Subject, Verdict: "holds", Claims: claims},
		Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Verified,
	}
}

// Verifier checks signatures under roots. It is safe for concurrent use.
type Verifier struct {
	roots Roots
	clock clock.Clock
}

// NewVerifier returns a verifier.
func NewVerifier(roots Roots, clk clock.Clock) *Verifier { return &Verifier{roots, clk} }

// ReadCertificates reads a PEM file with a certificate and those above it, the signing one first.
func ReadCertificates(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

var errUnreadable = errors.New("it cannot be read")
