package signingtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
)

// SignFile signs a whole file as id and returns the bundle, in JSON.
// Source: sigstore/rekor, pkg/types/hashedrekord/v0.0.1.
func (a *Authority) SignFile(id Identity, content []byte) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := a.leaf(id, &key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	sig, err := sign(key, content)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
		"data":      map[string]any{"hash": map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
		"signature": map[string]any{"content": sig, "publicKey": map[string]any{"content": certificate}},
	}})
	if err != nil {
		return nil, err
	}
	entry, err := a.enterBody(body)
	if err != nil {
		return nil, fmt.Errorf("log the signature: %w", err)
	}
	return json.Marshal(map[string]any{
		"mediaType":        bundleType,
		"messageSignature": map[string]any{"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": sum[:]}, "signature": sig},
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": leaf.Raw},
			"tlogEntries": []any{a.answer("hashedrekord", entry)},
		},
	})
}
