// Package openpgp checks detached OpenPGP signatures against keys that somebody has pinned before.
//
// There is no web of trust here and no key server: a key counts because it was pinned, and by its whole
// fingerprint. The mathematics and the packet formats are ProtonMail's go-crypto.
//
// What it refuses: private keys (somebody pasted the wrong file), keys that cannot sign, that are revoked, expired or
// of less than 2048 bits RSA, signatures over text, with a hash that can be collided, or made before the key was. A key ring or
// signature that is larger than its limit is not parsed.
package openpgp

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hullmark/hullmark/internal/fault"
)

// Proof is the kind of proof that the record calls such a signature.
const Proof = "openpgp"

// Bounds of what is parsed, in bytes, and of an RSA key, in bits.
const (
	MaxKey       = 256 << 10
	MaxSignature = 64 << 10
	minRSA       = 2048
)

// Key is a public key that can sign.
type Key struct {
	Fingerprint string // hex, upper case
	Identity    string // its primary user id; empty for none
	Armored     string // the public key alone
}

func keyInvalid(why string, cause error) error {
	return fault.New(fault.Invalid, "signing-key-invalid", "this is no key that signatures can be checked with: %s; export yours with gpg --armor --export", why).Because(cause)
}

// ParseKey reads one public key, armored or not, as it is at a time. It fails with code signing-key-invalid.
func ParseKey(raw []byte, now time.Time) (Key, error) {
	if len(raw) > MaxKey {
		return Key{}, keyInvalid("it is too large", nil)
	}
	ring, err := readRing(raw)
	if err != nil {
		return Key{}, keyInvalid("it cannot be read", err)
	}
	if len(ring) != 1 {
		return Key{}, keyInvalid("it has to be one key", nil)
	}
	e := ring[0]
	if e.PrivateKey != nil {
		return Key{}, keyInvalid("it is a private key, which must stay where it is", nil)
	}
	signer, ok := e.SigningKey(now)
	switch {
	case e.Revoked(now):
		return Key{}, keyInvalid("it is revoked", nil)
	case !ok:
		return Key{}, keyInvalid("it is expired, or is not for signing", nil)
	case weak(e.PrimaryKey) || weak(signer.PublicKey):
		return Key{}, keyInvalid("it is too short", nil)
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = e.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return Key{}, keyInvalid("it cannot be written", err)
	}
	k := Key{Fingerprint: strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint)), Armored: b.String()}
	if id := e.PrimaryIdentity(); id != nil {
		k.Identity = id.Name
	}
	return k, nil
}

func readRing(raw []byte) (openpgp.EntityList, error) {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		return openpgp.ReadArmoredKeyRing(bytes.NewReader(raw))
	}
	return openpgp.ReadKeyRing(bytes.NewReader(raw))
}

// weak reports whether a key could be broken: DSA and short RSA.
func weak(k *packet.PublicKey) bool {
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
		return true
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		bits, err := k.BitLength()
		return err != nil || bits < minRSA
	}
	return false
}

// Signature is one that holds.
type Signature struct {
	Fingerprint string // of the pinned key
	Identity    string
	Time        time.Time // as the signer says
	Hash        string
}

func invalid(why string, cause error) error {
	return fault.New(fault.Integrity, "signature-invalid", "the signature does not hold: %s", why).Because(cause)
}

// Verify checks a detached signature, armored or not, over content, against the armored keys, as they are at a time. It
// fails with code signature-invalid, and with signature-key-unknown when it was made with none of the keys.
func Verify(keys []string, signature []byte, content io.Reader, now time.Time) (Signature, error) {
	if len(signature) > MaxSignature {
		return Signature{}, invalid("it is too large", nil)
	}
	var ring openpgp.EntityList
	for _, one := range keys {
		read, err := openpgp.ReadArmoredKeyRing(strings.NewReader(one))
		if err != nil {
			return Signature{}, err // was parsed before
		}
		ring = append(ring, read...)
	}
	in, err := dearmor(signature)
	if err != nil {
		return Signature{}, invalid("it cannot be read", err)
	}
	source := &blame{r: content}
	sig, signer, err := openpgp.VerifyDetachedSignature(ring, source, in, &packet.Config{Time: func() time.Time { return now }})
	switch {
	case source.err != nil:
		return Signature{}, source.err
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return Signature{}, fault.New(fault.Integrity, "signature-key-unknown",
			"the signature was made with a key that is not pinned for this name; pin it, or sign with one that is").Because(err)
	case err != nil:
		return Signature{}, invalid(err.Error(), err)
	case sig.SigType != packet.SigTypeBinary:
		return Signature{}, invalid("it is not one over the bytes of a file", nil)
	case !strong(sig.Hash):
		return Signature{}, invalid("its hash, "+sig.Hash.String()+", can be collided; sign with SHA-256 or better", nil)
	case sig.CreationTime.Before(signer.PrimaryKey.CreationTime):
		return Signature{}, invalid("it is older than its key", nil)
	case sig.CreationTime.After(now.Add(clockSkew)):
		return Signature{}, invalid("it was made in the future", nil)
	}
	out := Signature{
		Fingerprint: strings.ToUpper(hex.EncodeToString(signer.PrimaryKey.Fingerprint)), Time: sig.CreationTime.UTC(), Hash: sig.Hash.String(),
	}
	if id := signer.PrimaryIdentity(); id != nil {
		out.Identity = id.Name
	}
	return out, nil
}

// clockSkew is how much later than ours the signer's clock may be.
const clockSkew = 10 * time.Minute

func strong(h crypto.Hash) bool {
	switch h {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
		return true
	}
	return false
}

func dearmor(raw []byte) (io.Reader, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		return bytes.NewReader(raw), nil
	}
	block, err := armor.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if block.Type != openpgp.SignatureType {
		return nil, errors.New("it is armored as " + block.Type)
	}
	return block.Body, nil
}

// blame remembers an error of the reader below, which is no fault of the signature.
type blame struct {
	r   io.Reader
	err error
}

func (b *blame) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
