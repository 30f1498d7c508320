package app

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/hullmark/hullmark/internal/durable"
)

// secretBytes is the length of the secret that signs bearer tokens and upload locations.
const secretBytes = 32

// secret returns a random secret of the server.
func (c *Config) secret(name string) ([]byte, error) {
	return durable.Secret(c.file(name), func() ([]byte, error) {
		raw := make([]byte, secretBytes)
		_, err := io.ReadFull(c.Random, raw)
		return raw, err
	})
}

// signer returns the ECDSA P-256 key that npm's registry signatures are made with.
func (c *Config) signer(name string) (crypto.Signer, error) {
	raw, err := durable.Secret(c.file(name), func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), c.Random)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that cannot sign", name)
	}
	return signer, nil
}
