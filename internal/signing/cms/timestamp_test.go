package cms

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing/cms/cmstest"
)

// stamped returns a signature with an authority's time stamp of some bytes at a time.
func stamped(t testing.TB, signature []byte, of []byte, when time.Time, by *x509.Certificate, key *rsa.PrivateKey) []byte {
	t.Helper()
	sum := sha256.Sum256(of)
	stamp := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: when, SerialNumber: big.NewInt(7), Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: true,
	}
	response, err := stamp.CreateResponseWithOpts(by, key, crypto.SHA256)
	check(t, err)
	made, err := timestamp.ParseResponse(response)
	check(t, err)
	var outer contentInfo
	var data signedData
	var info signerInfo
	check(t, unmarshal(signature, &outer))
	check(t, unmarshal(outer.Content.Bytes, &data))
	check(t, unmarshal(data.Signers.Bytes, &info))
	info.Unsigned = tagged(1, marshal(attr(oidTimestamp, made.RawToken)))
	data.Signers = set(marshal(info))
	outer.Content = explicit(marshal(data))
	return marshal(outer)
}

// signatureIn is the signature that a time stamp is of.
func signatureIn(t testing.TB, signature []byte) []byte {
	t.Helper()
	p7, _, err := parse(signature)
	check(t, err)
	return p7.Signers[0].EncryptedDigest
}

func TestATimeStampKeepsASignatureValidAfterItsCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second) // the library stamps with the machine's clock
	root, authority, stranger := cmstest.New(t, "root", now), cmstest.New(t, "tsa root", now), cmstest.New(t, "stranger", now)
	tsa, key := authority.Issue(t, "TSA", now.AddDate(0, -1, 0), x509.ExtKeyUsageTimeStamping)
	other, otherKey := stranger.Issue(t, "other", now.AddDate(0, -1, 0), x509.ExtKeyUsageTimeStamping)
	noTSA, noKey := authority.Issue(t, "code", now.AddDate(0, -1, 0), x509.ExtKeyUsageCodeSigning)
	plain, err := signer(t, root, x509.ExtKeyUsageCodeSigning, now).Author(sum[:])
	check(t, err)
	of, when := signatureIn(t, plain), now.Add(time.Hour)
	later := NewVerifier(Roots{Authors: root.Pool(), Timestamps: authority.Pool()}, at(now.AddDate(3, 0, 0)))

	author, err := later.Author(stamped(t, plain, of, when, tsa, key), hashed)
	if err != nil || author == nil || !author.At.Equal(when) {
		t.Fatalf("got %+v, %v", author, err)
	}
	for name, signature := range map[string][]byte{
		"none":                                  plain,
		"one of another signature":              stamped(t, plain, []byte("other"), when, tsa, key),
		"one by an authority that is no root's": stamped(t, plain, of, when, other, otherKey),
		"one by a certificate for signing code": stamped(t, plain, of, when, noTSA, noKey),
		"one from before the certificate":       stamped(t, plain, of, now.AddDate(0, 0, -1), tsa, key),
		"one from after the certificate's end":  stamped(t, plain, of, now.AddDate(2, 0, 0), tsa, key),
		"one from before the authority's begin": stamped(t, plain, of, now.AddDate(-2, 0, 0), tsa, key),
	} {
		if author, err := later.Author(signature, hashed); author != nil || fault.As(err).Code != "signature-invalid" {
			t.Errorf("%s: got %v, %v", name, author, err)
		}
	}
	unbelieved := NewVerifier(Roots{Authors: root.Pool()}, at(now.AddDate(3, 0, 0)))
	if author, err := unbelieved.Author(stamped(t, plain, of, when, tsa, key), hashed); author != nil || err == nil {
		t.Error("a time stamp was believed that nobody is trusted for")
	}
}
