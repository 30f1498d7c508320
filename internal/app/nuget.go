package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/signing/cms"
)

// nugetMount is where the NuGet registry is.
const nugetMount = "/nuget/"

// NuGetConfig is what is particular to NuGet packages.
type NuGetConfig struct {
	// AuthorRoots are PEM files with the certificates that authors' signatures must end at. With them a
	// signature that ends elsewhere is refused. Default: none, and then a signature that holds is let in and
	// says nothing about who made it.
	AuthorRoots []string
	// TimestampRoots are those of the authorities whose time stamps are believed. Default: none, and then an
	// author's certificate must be valid on the day of the push.
	TimestampRoots []string
	// Certificate and Key are PEM files with what the registry signs packages with: an RSA key of 2048 bits or
	// more, and its certificate with those above it. They are used when PublicURL is https, and change the bytes
	// of what is pushed. Clients that were told to trust the repository trust whoever has the key. Default: none,
	// and packages are served as they were pushed.
	Certificate, Key string
}

// buildNuGet builds the NuGet registry.
func (s *Server) buildNuGet() error {
	c := s.app.Config
	config := nuget.Config{
		PublicURL: s.URL + nugetMount, Owners: nugetOwners{s.app.Accounts}, Trust: exchanger{s}, Upstream: s.app.Upstream,
		Clock: c.Clock, Random: c.Random, Log: c.Logger,
	}
	authors, err := cms.ReadPool(c.NuGet.AuthorRoots)
	if err != nil {
		return err
	}
	stamps, err := cms.ReadPool(c.NuGet.TimestampRoots)
	if err != nil {
		return err
	}
	config.Signatures = nugetSignatures{cms.NewVerifier(cms.Roots{Authors: authors, Timestamps: stamps}, c.Clock)}
	if c.NuGet.Certificate != "" {
		if config.Countersigner, err = c.nugetSigner(s.URL + nugetMount + "v3/index.json"); err != nil {
			return err
		}
	}
	s.NuGet, err = nuget.New(s.app.Core, config)
	return err
}

// nugetSigner reads what the registry signs packages with. It fails with code signer-invalid.
func (c *Config) nugetSigner(index string) (*cms.Signer, error) {
	unfit := func(cause error) error {
		return fault.New(fault.Invalid, "signer-invalid",
			"the registry cannot sign packages with %s and %s; name PEM files with a certificate and its RSA key of 2048 bits or more, and an https public URL",
			c.NuGet.Certificate, c.NuGet.Key).Because(cause)
	}
	if !strings.HasPrefix(index, "https://") {
		return nil, unfit(nil)
	}
	raw, err := os.ReadFile(c.NuGet.Certificate)
	if err != nil {
		return nil, unfit(err)
	}
	chain, err := cms.ReadCertificates(raw)
	if err != nil {
		return nil, unfit(err)
	}
	key, err := readKey(c.NuGet.Key)
	if err != nil {
		return nil, unfit(err)
	}
	signer, err := cms.NewSigner(chain, key, index, c.Clock)
	if err != nil {
		return nil, unfit(err)
	}
	return signer, nil
}

// readKey reads a private key in PEM.
func readKey(file string) (crypto.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, x509.ErrUnsupportedAlgorithm
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return x509.ParsePKCS8PrivateKey(block.Bytes)
}

// nugetSignatures is the verifier in the words of the NuGet protocol.
type nugetSignatures struct{ *cms.Verifier }

// Author implements nuget.Signatures.
func (v nugetSignatures) Author(signature []byte, hash func(crypto.Hash) ([]byte, error)) (*nuget.Signature, error) {
	a, err := v.Verifier.Author(signature, hash)
	if a == nil || err != nil {
		return nil, err
	}
	return &nuget.Signature{Subject: a.Subject, Statement: a.Statement}, nil
}

// nugetOwners is the account service in the words of the NuGet protocol.
type nugetOwners struct{ *account.Service }

// Owner implements nuget.Owners.
func (o nugetOwners) Owner(ctx context.Context, name string) (string, error) {
	n, err := o.Namespace(ctx, purl.NuGet, name)
	return n.Organisation, err
}
