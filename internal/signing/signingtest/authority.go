// Package signingtest is a Sigstore of a test's own: a certificate authority, a certificate
// transparency log and a transparency log in memory, which make bundles that verify under the root
// that they publish, with unmodified clients too.
//
// It is for tests and transcripts only. It checks nothing that it signs, keeps its keys in memory and
// answers requests behind a [Proxy] alone; see [TUF] for how a client comes to trust it.
package signingtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// Authority is the Sigstore. It is safe for concurrent use.
type Authority struct {
	now  time.Time
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey // of the certificate authority
	ct   *ecdsa.PrivateKey
	tlog *ecdsa.PrivateKey
}

// New returns a Sigstore whose certificates, entries and times are all of now.
func New(now time.Time) (*Authority, error) {
	a := &Authority{now: now.UTC().Truncate(time.Second)}
	for _, key := range []**ecdsa.PrivateKey{&a.key, &a.ct, &a.tlog} {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		*key = k
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signingtest", Organization: []string{"signingtest.example"}},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true,
	}
	var err error
	a.ca, err = certificate(template, template, &a.key.PublicKey, a.key)
	return a, err
}

func certificate(template, parent *x509.Certificate, pub, signer any) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Identity is what a certificate says about who signs.
type Identity struct {
	Issuer string
	SAN    string // a URI
	// Claims are Fulcio's extensions by their last number.
	// Source: sigstore/fulcio, docs/oid-info.md.
	Claims map[int]string
}

// GitHubRun is the identity of a run of a workflow at GitHub: repository is "acme/ui", workflow is
// "release.yml", ref is "refs/heads/main".
func GitHubRun(repository, workflow, ref, runID string) Identity {
	base := "https://github.com/" + repository
	config := base + "/.github/workflows/" + workflow + "@" + ref
	return Identity{
		Issuer: "https://token.actions.githubusercontent.com", SAN: config,
		Claims: map[int]string{
			9: config, 11: "github-hosted", 12: base, 13: "0123456789abcdef0123456789abcdef01234567", 14: ref, 15: "42",
			18: config, 20: "push", 21: base + "/actions/runs/" + runID + "/attempts/1", 22: "public",
		},
	}
}

// leaf issues a certificate of ten minutes with the log's promise inside.
func (a *Authority) leaf(id Identity, pub *ecdsa.PublicKey) (*x509.Certificate, error) {
	san, err := url.Parse(id.SAN)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.now.UnixNano()), NotBefore: a.now.Add(-time.Minute), NotAfter: a.now.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, URIs: []*url.URL{san},
	}
	template.ExtraExtensions = []pkix.Extension{{Id: fulcio(1), Value: []byte(id.Issuer)}}
	if template.ExtraExtensions, err = appendClaim(template.ExtraExtensions, 8, id.Issuer); err != nil {
		return nil, err
	}
	for n := 9; n <= 22; n++ { // in one order, so that both certificates below are the same
		if value, ok := id.Claims[n]; ok {
			if template.ExtraExtensions, err = appendClaim(template.ExtraExtensions, n, value); err != nil {
				return nil, err
			}
		}
	}
	without, err := certificate(template, a.ca, pub, a.key)
	if err != nil {
		return nil, err
	}
	promise, err := a.promise(without)
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, promise)
	return certificate(template, a.ca, pub, a.key)
}

func fulcio(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n} }

func appendClaim(to []pkix.Extension, n int, value string) ([]pkix.Extension, error) {
	der, err := asn1.MarshalWithParams(value, "utf8")
	return append(to, pkix.Extension{Id: fulcio(n), Value: der}), err
}

// promise is the signed certificate timestamp for a certificate that does not have it yet, as the
// extension that carries it. Source: RFC 6962, 3.2 and 3.3.
func (a *Authority) promise(without *x509.Certificate) (pkix.Extension, error) {
	issuer := sha256.Sum256(a.ca.RawSubjectPublicKeyInfo)
	at := binary.BigEndian.AppendUint64(nil, uint64(a.now.UnixMilli()))
	signed := append([]byte{0, 0}, at...) // version 1, a certificate timestamp
	signed = append(signed, 0, 1)         // of a precertificate
	signed = append(signed, issuer[:]...) //
	signed = append(signed, length24(without.RawTBSCertificate)...)
	signed = append(signed, 0, 0) // no extensions
	sig, err := sign(a.ct, signed)
	if err != nil {
		return pkix.Extension{}, err
	}
	id, err := keyID(a.ct)
	if err != nil {
		return pkix.Extension{}, err
	}
	sct := append(append([]byte{0}, id...), at...)
	sct = append(sct, 0, 0, 4, 3) // no extensions; SHA-256 with ECDSA
	sct = append(sct, length16(sig)...)
	der, err := asn1.Marshal(length16(length16(sct)))
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: der}, err
}

func length16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func length24(b []byte) []byte {
	return append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// keyID is the SHA-256 of the public key, by which logs are known.
func keyID(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	sum := sha256.Sum256(der)
	return sum[:], err
}

// TrustedRoot returns the trusted_root.json under which the bundles hold.
func (a *Authority) TrustedRoot() ([]byte, error) {
	from := map[string]string{"start": a.now.Add(-time.Hour).Format(time.RFC3339)}
	log := func(address string, key *ecdsa.PrivateKey) (map[string]any, error) {
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		id, err := keyID(key)
		return map[string]any{
			"baseUrl": address, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": id},
			"publicKey": map[string]any{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": from},
		}, err
	}
	tlog, err := log("https://"+logName, a.tlog)
	if err != nil {
		return nil, err
	}
	ct, err := log("https://ct.signingtest.example", a.ct)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":     []any{tlog}, "ctlogs": []any{ct}, "timestampAuthorities": []any{},
		"certificateAuthorities": []any{map[string]any{
			"subject": map[string]string{"organization": "signingtest.example", "commonName": "signingtest"}, "uri": "https://ca.signingtest.example",
			"certChain": map[string]any{"certificates": []any{map[string]any{"rawBytes": a.ca.Raw}}}, "validFor": from,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return data, nil
}
