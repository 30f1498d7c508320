package app

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

// secretBytes is the length of the secret that signs bearer tokens and upload locations.
const secretBytes = 32

// loadOrCreate returns the content of a key file, or makes it with create and stores it durably,
// readable by its owner only. A file that others may read is refused: it is no secret any more.
func loadOrCreate(file string, create func() ([]byte, error)) ([]byte, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err := create()
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		return raw, durable.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Denied, "key-exposed",
			"%s can be read by others; replace the key, or run chmod 600 on it if you are sure that nobody did", info.Name())
	}
	return os.ReadFile(file)
}

// secret returns a random secret of the server.
func (c *Config) secret(name string) ([]byte, error) {
	return loadOrCreate(c.file(name), func() ([]byte, error) {
		raw := make([]byte, secretBytes)
		_, err := io.ReadFull(c.Random, raw)
		return raw, err
	})
}

// signer returns the ECDSA P-256 key that npm's registry signatures are made with.
func (c *Config) signer(name string) (crypto.Signer, error) {
	raw, err := loadOrCreate(c.file(name), func() ([]byte, error) {
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
