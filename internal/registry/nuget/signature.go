package nuget

import (
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Signatures checks the signatures inside of packages. The signing stage implements it.
type Signatures interface {
	// Author checks a signature against the hash (SHA-256) of the package without it. It returns nil for a
	// signature that holds under certificates that nobody here has been told to trust, and fails with code
	// signature-invalid for one that does not hold.
	Author(signature []byte, hash []byte) (*Signature, error)
}

// Signature is an author's signature that holds under a trusted root.
type Signature struct {
	Subject string    // of the signing certificate
	At      time.Time // when a trusted authority saw it; zero without a timestamp
	// Statement is what the record says about it; evidence is the blob that keeps it.
	Statement func(p purl.PURL, artifact, signature digest.Digest) evidence.Draft
}

func signatureInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Integrity, "signature-invalid", format, args...)
}

// Countersigner signs packages in the repository's name.
type Countersigner interface {
	// Countersign returns the signature file of a package: a new one, or the author's with the repository's
	// beside it. hash is of the package without a signature, and owners are whose it is.
	Countersign(author []byte, hash []byte, owners []string) ([]byte, error)
	// Certificates are those that sign, newest first, in DER.
	Certificates() [][]byte
}
