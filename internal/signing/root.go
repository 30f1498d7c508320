package signing

import (
	"encoding/hex"
	"errors"
	"os"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigroot "github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hullmark/hullmark/internal/fault"
)

// Root is a Sigstore that is trusted: its authorities and logs, as trusted_root.json lists them.
// Source: sigstore protobuf-specs, sigstore_trustroot.proto.
type Root struct {
	Name string // for messages and the record
	JSON []byte
}

// maxRoot bounds a trusted_root.json, in bytes; the public one has about 7,000.
const maxRoot = 1 << 20

// ReadRoot reads a root from a file.
func ReadRoot(name, path string) (Root, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxRoot {
		err = errors.New("the file is larger than a trust root can be")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return Root{}, fault.New(fault.Invalid, "trust-root-invalid", "the trust root %s cannot be read from %s; name a trusted_root.json", name, path).Because(err)
	}
	return Root{Name: name, JSON: data}, nil
}

// root is a parsed Root.
type root struct {
	name     string
	material *sigroot.TrustedRoot
	verifier *verify.Verifier
}

// parse reads the root and makes the verifier that goes with it: one certificate transparency entry,
// one log entry, and one time that the log or a timestamp authority vouches for.
func (r Root) parse() (*root, error) {
	refuse := func(why string, cause error) error {
		return fault.New(fault.Invalid, "trust-root-invalid", "the trust root %s cannot be used: %s", r.Name, why).Because(cause)
	}
	if r.Name == "" {
		return nil, refuse("it has no name", nil)
	}
	material, err := sigroot.NewTrustedRootFromJSON(r.JSON)
	if err != nil {
		return nil, refuse("it is not a trusted_root.json", err)
	}
	switch {
	case len(material.FulcioCertificateAuthorities()) == 0:
		return nil, refuse("it lists no certificate authority", nil)
	case len(material.RekorLogs()) == 0:
		return nil, refuse("it lists no transparency log", nil)
	case len(material.CTLogs()) == 0:
		return nil, refuse("it lists no certificate transparency log", nil)
	}
	verifier, err := verify.NewVerifier(material,
		verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate())
	if err != nil {
		return nil, refuse("it cannot be verified with", err)
	}
	return &root{name: r.Name, material: material, verifier: verifier}, nil
}

// logIndex returns the place of the bundle in a log of the root.
func (r *root) logIndex(b *bundle.Bundle) (int64, error) {
	entries, err := b.TlogEntries()
	if err != nil {
		return 0, malformed("its log entries cannot be read").Because(err)
	}
	for _, e := range entries {
		if r.material.RekorLogs()[hex.EncodeToString([]byte(e.LogKeyID()))] != nil {
			return e.LogIndex(), nil
		}
	}
	return 0, malformed("it has no log entry")
}
