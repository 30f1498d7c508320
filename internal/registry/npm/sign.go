package npm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// signature is a registry signature of one version, over "name@version:integrity".
// Source: npm docs, "About ECDSA registry signatures"; pacote, registry.js.
type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// publicKey is an entry of /-/npm/v1/keys.
type publicKey struct {
	Expires *time.Time `json:"expires"` // null: still signs
	KeyID   string     `json:"keyid"`
	KeyType string     `json:"keytype"`
	Scheme  string     `json:"scheme"`
	Key     string     `json:"key"` // base64 of the SubjectPublicKeyInfo
}

const keyType = "ecdsa-sha2-nistp256"

// keyring is the signing key and all public ones.
type keyring struct {
	signer crypto.Signer
	public []publicKey // the signer's first
}

func newKeyring(signer crypto.Signer, old []OldKey) (*keyring, error) {
	if signer == nil {
		return nil, errors.New("npm: a signing key is needed")
	}
	current, err := describeKey(signer.Public(), nil)
	if err != nil {
		return nil, err
	}
	k := &keyring{signer: signer, public: []publicKey{current}}
	for _, o := range old {
		key, err := describeKey(o.Public, &o.Expires)
		if err != nil {
			return nil, err
		}
		k.public = append(k.public, key)
	}
	return k, nil
}

func describeKey(pub crypto.PublicKey, expires *time.Time) (publicKey, error) {
	if p, ok := pub.(*ecdsa.PublicKey); !ok || p.Curve != elliptic.P256() {
		return publicKey{}, errors.New("npm: the signing key must be ECDSA on P-256: npm's client knows no other")
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return publicKey{}, fmt.Errorf("npm: signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return publicKey{
		Expires: expires, KeyType: keyType, Scheme: keyType,
		KeyID: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), Key: base64.StdEncoding.EncodeToString(der),
	}, nil
}

func (k *keyring) sign(name, version, integrity string) (signature, error) {
	sum := sha256.Sum256([]byte(name + "@" + version + ":" + integrity))
	sig, err := k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return signature{}, err
	}
	return signature{KeyID: k.public[0].KeyID, Sig: base64.StdEncoding.EncodeToString(sig)}, nil
}

// serveKeys answers GET /-/npm/v1/keys.
func (r *Registry) serveKeys(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	keys := slices.Concat(r.keys.public, r.upstreamKeys(req.Context()))
	r.respond(w, http.StatusOK, map[string]any{"keys": keys})
	return nil
}

// upstreamKeys are the keys of the upstream's signatures, which its versions keep. An upstream without any, or
// one that does not answer, has none.
func (r *Registry) upstreamKeys(ctx context.Context) []publicKey {
	if r.upstream == nil {
		return nil
	}
	doc, err := r.upstream.Document(ctx, registry.Question{Ecosystem: purl.NPM, Path: "-/npm/v1/keys", Accept: "application/json", Limit: 1 << 20})
	if err != nil {
		return nil
	}
	var said struct{ Keys []publicKey }
	if json.Unmarshal(doc.Body, &said) != nil {
		return nil
	}
	return slices.DeleteFunc(said.Keys, func(k publicKey) bool { return k.KeyID == r.keys.public[0].KeyID })
}
