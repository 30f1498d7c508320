package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

const minRSA = 2048 // bits

// Author checks a signature against the package that it is in. It returns nil for a signature that is valid
// and that nothing here can call an author's: a repository's, or any where no roots are configured. One
// that does not hold, or that ends at none of the roots, fails with code signature-invalid.
func (v *Verifier) Author(signature []byte, hash Hash) (*Author, error) {
	p7, signer, err := parse(signature)
	if err != nil {
		return nil, err
	}
	if err := checkContent(p7.Content, hash); err != nil {
		return nil, err
	}
	if err := p7.Verify(); err != nil {
		return nil, invalid("what was signed is not what it holds").Because(err)
	}
	if err := checkStrength(p7, signer); err != nil {
		return nil, err
	}
	if err := checkCertificate(p7, signer); err != nil {
		return nil, err
	}
	if commitment(p7) != oidOrigin.String() || v.roots.Authors == nil {
		return nil, nil
	}
	at, err := v.timestamp(p7)
	if err != nil {
		return nil, err
	}
	if err := v.checkChain(p7, signer, at); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signer.Raw)
	return &Author{Subject: signer.Subject.String(), Issuer: signer.Issuer.String(), Fingerprint: hex.EncodeToString(sum[:]), At: at}, nil
}

// parse reads signed data with one signer, whose certificate must come along.
func parse(signature []byte) (*pkcs7.PKCS7, *x509.Certificate, error) {
	if len(signature) > maxSignature {
		return nil, nil, invalid("it is larger than %d KiB", maxSignature>>10)
	}
	p7, err := safeParse(signature)
	if err != nil {
		return nil, nil, invalid("it is not CMS signed data").Because(err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, nil, invalid("it must have one signer, whose certificate comes along")
	}
	return p7, signer, nil
}

// checkContent compares what was signed with the package.
func checkContent(signed []byte, hash Hash) error {
	h, oid, ok := hashNamed(signed)
	if !ok {
		return invalid("it is not over the hash of a package")
	}
	sum, err := hash(h)
	if err != nil {
		return err
	}
	if !bytes.Equal(signed, content(oid, sum)) {
		return invalid("the package was changed after it was signed")
	}
	return nil
}

// checkStrength refuses what could be forged. Source: NuGet docs, "Signed packages", "Certificate requirements".
func checkStrength(p7 *pkcs7.PKCS7, signer *x509.Certificate) error {
	key, ok := signer.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSA {
		return invalid("the key must be RSA of %d bits or more", minRSA)
	}
	used := p7.Signers[0].DigestAlgorithm.Algorithm
	if !used.Equal(oidSHA256) && !used.Equal(oidSHA384) && !used.Equal(oidSHA512) {
		return invalid("the digest must be SHA-256 or longer")
	}
	if len(p7.Signers[0].AuthenticatedAttributes) == 0 {
		return invalid("it has no signed attributes")
	}
	return nil
}

// essCertID is RFC 5035's ESSCertIDv2, as far as it is looked at.
type essCertID struct {
	Algorithm pkix.AlgorithmIdentifier `asn1:"optional"`
	Hash      []byte
	Issuer    asn1.RawValue `asn1:"optional"`
}

// checkCertificate compares the certificate with the one that the signer says to have signed with: another
// one with the same key could say something else (RFC 5035, 3).
func checkCertificate(p7 *pkcs7.PKCS7, signer *x509.Certificate) error {
	var signed struct {
		Certificates []essCertID
		Policies     asn1.RawValue `asn1:"optional"`
	}
	if err := p7.UnmarshalSignedAttribute(oidSigningCertificate, &signed); err != nil || len(signed.Certificates) == 0 {
		return invalid("it does not say which certificate it was made with").Because(err)
	}
	h := crypto.SHA256
	if oid := signed.Certificates[0].Algorithm.Algorithm; oid != nil {
		switch {
		case oid.Equal(oidSHA384):
			h = crypto.SHA384
		case oid.Equal(oidSHA512):
			h = crypto.SHA512
		case !oid.Equal(oidSHA256):
			return invalid("it names its certificate by a digest that is too weak")
		}
	}
	sum := h.New()
	sum.Write(signer.Raw)
	if !bytes.Equal(sum.Sum(nil), signed.Certificates[0].Hash) {
		return invalid("it was made with another certificate than the one that comes along")
	}
	return nil
}

// commitment is what the signer says to do by signing: as origin, as recipient.
func commitment(p7 *pkcs7.PKCS7) string {
	var c struct {
		Type       asn1.ObjectIdentifier
		Qualifiers asn1.RawValue `asn1:"optional"`
	}
	if err := p7.UnmarshalSignedAttribute(oidCommitment, &c); err != nil {
		return ""
	}
	return c.Type.String()
}

// timestamp returns when a trusted authority saw the signature: the zero time without a time stamp, or where no
// authorities are configured. One that does not hold makes the signature invalid.
func (v *Verifier) timestamp(p7 *pkcs7.PKCS7) (time.Time, error) {
	for _, a := range p7.Signers[0].UnauthenticatedAttributes {
		if !a.Type.Equal(oidTimestamp) || v.roots.Timestamps == nil {
			continue
		}
		stamp, err := timestamp.Parse(a.Value.Bytes)
		if err != nil {
			return time.Time{}, invalid("its time stamp cannot be read").Because(err)
		}
		if !stamp.HashAlgorithm.Available() || stamp.HashAlgorithm == crypto.SHA1 {
			return time.Time{}, invalid("its time stamp is over a digest that is too weak")
		}
		sum := stamp.HashAlgorithm.New()
		sum.Write(p7.Signers[0].EncryptedDigest)
		if !bytes.Equal(sum.Sum(nil), stamp.HashedMessage) {
			return time.Time{}, invalid("its time stamp is of another signature")
		}
		token, err := safeParse(a.Value.Bytes)
		if err != nil {
			return time.Time{}, invalid("its time stamp cannot be read").Because(err)
		}
		err = token.VerifyWithOpts(x509.VerifyOptions{
			Roots: v.roots.Timestamps, Intermediates: pool(token.Certificates), CurrentTime: stamp.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
		})
		if err != nil {
			return time.Time{}, invalid("its time stamp is not by an authority that is trusted here").Because(err)
		}
		return stamp.Time, nil
	}
	return time.Time{}, nil
}

// checkChain follows the certificates to a root, as of the time stamp or, without one, as of now: when an
// unstamped signature was made only its signer says.
func (v *Verifier) checkChain(p7 *pkcs7.PKCS7, signer *x509.Certificate, at time.Time) error {
	if at.IsZero() {
		at = v.clock.Now()
	}
	_, err := signer.Verify(x509.VerifyOptions{
		Roots: v.roots.Authors, Intermediates: pool(p7.Certificates), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return invalid("its certificate, %s, ends at no root that is trusted here, or is not for signing code", signer.Subject).Because(err)
	}
	return nil
}

func pool(all []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range all {
		p.AddCert(c)
	}
	return p
}

// safeParse is [pkcs7.Parse] for a stranger's bytes: its reader of BER indexes before it looks.
func safeParse(raw []byte) (p7 *pkcs7.PKCS7, err error) {
	defer func() {
		if r := recover(); r != nil {
			p7, err = nil, errUnreadable
		}
	}()
	p7, err = pkcs7.Parse(raw)
	if err == nil && p7 == nil {
		err = errUnreadable
	}
	return p7, err
}
