package nuget

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// Signatures checks the signatures inside of packages. The signing stage implements it.
type Signatures interface {
	// Author checks a signature against the package without it, whose hash it may ask for. It returns nil for
	// one that holds and that nothing here can call an author's, and fails with code signature-invalid for one
	// that does not hold.
	Author(signature []byte, hash func(crypto.Hash) ([]byte, error)) (*Signature, error)
}

// Signature is an author's signature that holds under a trusted root.
type Signature struct {
	Subject string // of the signing certificate
	// Statement is what the record says about it; signature is the blob that keeps it.
	Statement func(p purl.PURL, artifact, signature digest.Digest) evidence.Draft
}

// Countersigner signs packages in the repository's name. The signing stage implements it.
type Countersigner interface {
	// Countersign returns the signature of a package: a new one, or the author's with the repository's beside
	// it; nil leaves the package as it is. hash is the SHA-256 of the package without a signature, and owners
	// are whose it is.
	Countersign(author, hash []byte, owners []string) ([]byte, error)
	// Certificates are those that sign, in DER, the signing one first.
	Certificates() [][]byte
}

// checkSignature checks the author's signature, if the package has one.
func (p *push) checkSignature() error {
	if p.inside.Signature == nil || p.r.signatures == nil {
		return nil
	}
	return p.file.Look(func(content blob.Reader) error {
		a, err := nupkg.ReadArchive(content, content.Size())
		if err != nil {
			return err
		}
		p.checked = p.inside.Signature
		p.author, err = p.r.signatures.Author(p.inside.Signature, a.Hash)
		return err
	})
}

// countersign puts the repository's signature into the package, which becomes another file by that.
func (p *push) countersign(ctx context.Context, owner string) error {
	if p.r.signer == nil || p.sort != packageType {
		return nil
	}
	return p.file.Look(func(content blob.Reader) error {
		a, err := nupkg.ReadArchive(content, content.Size())
		if err != nil {
			return err
		}
		hash, err := a.Hash(crypto.SHA256)
		if err != nil {
			return err
		}
		signature, err := p.r.signer.Countersign(p.inside.Signature, hash, []string{owner})
		if err != nil {
			return fmt.Errorf("countersign %s: %w", p.purl(), err)
		}
		if signature == nil {
			return nil
		}
		return p.replace(ctx, func(into io.Writer) error { return a.Write(into, signature) })
	})
}

// signingCertificate is how the service tells of a certificate. Source: NuGet docs, "Repository signatures".
type signingCertificate struct {
	Fingerprints map[string]string `json:"fingerprints"`
	Subject      string            `json:"subject"`
	Issuer       string            `json:"issuer"`
	NotBefore    string            `json:"notBefore"`
	NotAfter     string            `json:"notAfter"`
	ContentURL   string            `json:"contentUrl"`
}

// sha256Name is what fingerprints are called there.
const sha256Name = "2.16.840.1.101.3.4.2.1"

// serveSigners answers GET repository-signatures/index.json. It never says that all packages are signed: those
// from upstreams are not, by this repository.
func (r *Registry) serveSigners(w http.ResponseWriter, _ *http.Request, _ evidence.Actor) error {
	list := []signingCertificate{}
	if r.signer != nil {
		c, err := x509.ParseCertificate(r.signer.Certificates()[0])
		if err != nil {
			return err
		}
		print := fingerprint(c)
		list = append(list, signingCertificate{
			Fingerprints: map[string]string{sha256Name: print}, Subject: c.Subject.String(), Issuer: c.Issuer.String(),
			NotBefore: timestamp(c.NotBefore), NotAfter: timestamp(c.NotAfter), ContentURL: r.base + signerFolder + print + ".crt",
		})
	}
	return r.respond(w, map[string]any{"allRepositorySigned": false, "signingCertificates": list})
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// serveSigner answers GET repository-signatures/{file} with a certificate.
func (r *Registry) serveSigner(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	if r.signer != nil {
		raw := r.signer.Certificates()[0]
		if c, err := x509.ParseCertificate(raw); err == nil && strings.TrimSuffix(req.PathValue("file"), ".crt") == fingerprint(c) {
			w.Header().Set("Content-Type", "application/pkix-cert")
			w.Write(raw) // a failure means that the caller has gone
			return nil
		}
	}
	return fault.New(fault.NotFound, "route-unknown", "the registry signs with no such certificate")
}
