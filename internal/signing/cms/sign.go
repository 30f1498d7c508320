package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/hullmark/hullmark/internal/clock"
)

// Signer makes signatures in a repository's name. It is safe for concurrent use.
type Signer struct {
	chain []*x509.Certificate // the signing one first
	key   *rsa.PrivateKey
	index string // address of the service index
	clock clock.Clock
}

// NewSigner returns a signer for the repository whose service index is at an address, which must be https.
// The certificate's key must be RSA of 2048 bits or more: clients take no other.
func NewSigner(chain []*x509.Certificate, key crypto.PrivateKey, index string, clk clock.Clock) (*Signer, error) {
	private, ok := key.(*rsa.PrivateKey)
	if !ok || private.N.BitLen() < minRSA || len(chain) == 0 || !private.PublicKey.Equal(chain[0].PublicKey) {
		return nil, fmt.Errorf("cms: the repository's key must be RSA of %d bits or more, with the certificate that goes with it", minRSA)
	}
	return &Signer{chain: chain, key: private, index: index, clock: clk}, nil
}

// Certificates are those that sign, in DER, the signing one first.
func (s *Signer) Certificates() [][]byte {
	out := make([][]byte, len(s.chain))
	for i, c := range s.chain {
		out[i] = c.Raw
	}
	return out
}

// The structures of RFC 5652, 5. What others signed is kept as it is.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	signerInfo struct {
		Version   int
		Issuer    issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
		Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
)

// Countersign returns a repository's signature of a package that its owners published: beside the author's
// signature where there is one, else alone. hash is the package's SHA-256 without signature. It returns nil for
// a package that another repository has signed: there may be one of those only.
func (s *Signer) Countersign(author, hash []byte, owners []string) ([]byte, error) {
	repository := []attribute{
		attr(oidCommitment, sequence(marshal(oidReceipt))),
		attr(oidServiceIndex, ia5(s.index)),
	}
	if len(owners) > 0 {
		var names []byte
		for _, o := range owners {
			names = append(names, utf8(o)...)
		}
		repository = append(repository, attr(oidOwners, sequence(names)))
	}
	if author == nil {
		return s.sign(content(oidSHA256, hash), repository)
	}
	if p7, _, err := parse(author); err != nil || commitment(p7) != oidOrigin.String() {
		return nil, err
	}
	return s.beside(author, repository)
}

// sign makes signed data over a content.
func (s *Signer) sign(signed []byte, extra []attribute) ([]byte, error) {
	info, err := s.signerInfo(signed, append(extra, attr(oidContentType, marshal(oidData))))
	if err != nil {
		return nil, err
	}
	inner := marshal(contentInfo{Type: oidData, Content: explicit(marshal(signed))})
	return marshal(contentInfo{Type: oidSigned, Content: explicit(marshal(signedData{
		Version: 1, Digests: set(marshal(sha256Algorithm())), Content: raw(inner),
		Certificates: tagged(0, bytes.Join(s.Certificates(), nil)), Signers: set(info),
	}))}), nil
}

// beside adds a signature of the author's signature to it (RFC 5652, 11.4).
func (s *Signer) beside(author []byte, extra []attribute) ([]byte, error) {
	var outer contentInfo
	var data signedData
	var first signerInfo
	if err := unmarshal(author, &outer); err != nil {
		return nil, err
	}
	if err := unmarshal(outer.Content.Bytes, &data); err != nil {
		return nil, err
	}
	if err := unmarshal(data.Signers.Bytes, &first); err != nil {
		return nil, err
	}
	if bytes.Contains(first.Unsigned.Bytes, marshal(oidCountersignature)) {
		return nil, nil
	}
	info, err := s.signerInfo(first.Signature, extra)
	if err != nil {
		return nil, err
	}
	unsigned := append(slices.Clone(first.Unsigned.Bytes), marshal(attr(oidCountersignature, info))...)
	first.Unsigned = tagged(1, unsigned)
	data.Signers = set(marshal(first))
	certificates := slices.Clone(data.Certificates.Bytes)
	for _, c := range s.Certificates() {
		if !bytes.Contains(certificates, c) {
			certificates = append(certificates, c...)
		}
	}
	data.Certificates = tagged(0, certificates)
	outer.Content = explicit(marshal(data))
	return marshal(outer), nil
}

// signerInfo signs with the attributes that NuGet asks for.
func (s *Signer) signerInfo(signed []byte, extra []attribute) ([]byte, error) {
	sum, certificate := sha256.Sum256(signed), sha256.Sum256(s.chain[0].Raw)
	issuer := issuerAndSerial{Issuer: raw(s.chain[0].RawIssuer), Serial: s.chain[0].SerialNumber}
	// RFC 5035: SEQUENCE OF ESSCertIDv2 { hash, IssuerSerial { GeneralNames, serial } }; SHA-256 is the default
	name := sequence(marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: s.chain[0].RawIssuer}))
	ess := sequence(append(marshal(certificate[:]), sequence(append(name, marshal(s.chain[0].SerialNumber)...))...))
	attributes := append(slices.Clone(extra),
		attr(oidMessageDigest, marshal(sum[:])), attr(oidSigningTime, marshal(s.clock.Now().UTC())), attr(oidSigningCertificate, sequence(sequence(ess))))
	encoded := make([][]byte, len(attributes))
	for i, a := range attributes {
		encoded[i] = marshal(a)
	}
	slices.SortFunc(encoded, bytes.Compare) // a set in DER
	all := bytes.Join(encoded, nil)
	digest := sha256.Sum256(marshal(set(all)))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	return marshal(signerInfo{
		Version: 1, Issuer: issuer, Digest: sha256Algorithm(), Signed: tagged(0, all),
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, Signature: signature,
	}), nil
}

func sha256Algorithm() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
}

func attr(t asn1.ObjectIdentifier, value []byte) attribute {
	return attribute{Type: t, Values: []asn1.RawValue{raw(value)}}
}

func raw(full []byte) asn1.RawValue { return asn1.RawValue{FullBytes: full} }

func set(inner []byte) asn1.RawValue {
	return asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: inner}
}

func sequence(inner []byte) []byte {
	return marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: inner})
}

func tagged(tag int, inner []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: inner}
}

func explicit(inner []byte) asn1.RawValue { return tagged(0, inner) }

func ia5(s string) []byte  { return marshal(asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(s)}) }
func utf8(s string) []byte { return marshal(asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)}) }

// marshal encodes what this file made: a failure is a defect.
func marshal(v any) []byte {
	out, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

func unmarshal(data []byte, v any) error {
	rest, err := asn1.Unmarshal(data, v)
	if err == nil && len(rest) > 0 {
		err = errors.New("data after the end")
	}
	return err
}
