package oidc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxDiscovery = 64 << 10  // bytes
	maxKeySet    = 256 << 10 // bytes
	maxKeys      = 64
	minRSA       = 2048 // bits
	maxRSA       = 8192 // bits: a larger key would make every check slow
)

// parseDiscovery reads an issuer's configuration (OpenID Connect Discovery 1.0, 4) and returns where its
// keys are. The document must be of the issuer that was asked.
func parseDiscovery(raw []byte, issuer string) (string, error) {
	if len(raw) > maxDiscovery {
		return "", errors.New("the configuration is too large")
	}
	// A map and not a struct: encoding/json would take "Issuer" for "issuer".
	var document map[string]json.RawMessage
	if err := json.Unmarshal(raw, &document); err != nil {
		return "", err
	}
	var named, keys string
	if err := errors.Join(json.Unmarshal(document["issuer"], &named), json.Unmarshal(document["jwks_uri"], &keys)); err != nil {
		return "", fmt.Errorf("issuer or jwks_uri: %w", err)
	}
	if named != issuer {
		return "", fmt.Errorf("the configuration is of %q", clip(named))
	}
	if u, err := url.Parse(keys); err != nil || u.Host == "" || len(keys) > 2048 {
		return "", errors.New("jwks_uri is not an address")
	}
	return keys, nil
}

// parseKeys reads a key set (RFC 7517) and keeps the keys that may sign tokens here, by id. A key that is
// for something else, or of a kind that is not known, is skipped: providers publish such, too. Two keys with
// one id make the set useless.
func parseKeys(raw []byte) (map[string]*jose.JSONWebKey, error) {
	if len(raw) > maxKeySet {
		return nil, errors.New("the key set is too large")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	keys := map[string]*jose.JSONWebKey{}
	for _, one := range set.Keys {
		k := new(jose.JSONWebKey)
		if err := json.Unmarshal(one, k); err != nil || !signs(k) {
			continue
		}
		if keys[k.KeyID] != nil {
			return nil, fmt.Errorf("the key set has two keys with the id %q", clip(k.KeyID))
		}
		keys[k.KeyID] = k
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key for RS256 or ES256")
	}
	return keys, nil
}

// signs reports whether a key may sign tokens: a public one, for that purpose, of the right kind and size.
func signs(k *jose.JSONWebKey) bool {
	if k.KeyID == "" || len(k.KeyID) > maxPin || k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSA && bits <= maxRSA && (k.Algorithm == "" || k.Algorithm == string(jose.RS256))
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() && (k.Algorithm == "" || k.Algorithm == string(jose.ES256))
	}
	return false
}
