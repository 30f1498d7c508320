package app

import (
	"context"
	"strings"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/pypi"
	"github.com/hullmark/hullmark/internal/signing"
)

// buildPyPI builds the Python package index.
func (s *Server) buildPyPI() error {
	c := s.app.Config
	registry := pypi.Config{
		PublicURL: s.URL + "/pypi/", OpenFor: c.ReleasesOpenFor, Upstream: s.app.Upstream.For(purl.PyPI),
		Exchanger: exchanger{s}, Namespaces: pypiNamespaces{s.app.Accounts}, Clock: c.Clock, Random: c.Random, Log: c.Logger,
	}
	v, err := c.verifier()
	if err != nil {
		return err
	}
	if v != nil {
		registry.Attestations = pypiAttestations{v}
	}
	s.PyPI = pypi.New(s.app.Core, registry)
	return nil
}

// pypiAttestations is the verifier in the words of the PyPI protocols.
type pypiAttestations struct{ *signing.Verifier }

// Attestation implements pypi.Attestations.
func (a pypiAttestations) Attestation(bundle []byte, file string, artifact digest.Digest, run *evidence.WorkloadIdentity) (pypi.Proof, error) {
	v, err := a.Verifier.Attestation(bundle, file, artifact, run)
	return pypi.Proof{PredicateType: v.PredicateType, Statement: v.Statement}, err
}

// pypiNamespaces is the account service in the words of PEP 752, which knows prefixes only.
type pypiNamespaces struct{ *account.Service }

// Of implements pypi.Namespaces.
func (n pypiNamespaces) Of(ctx context.Context, project string) (pypi.Prefix, error) {
	ns, err := n.Namespace(ctx, purl.PyPI, project)
	if prefix, ok := strings.CutSuffix(ns.Pattern, "-*"); ok {
		return pypi.Prefix{Name: prefix, Owner: ns.Organisation}, err
	}
	return pypi.Prefix{}, err
}

// All implements pypi.Namespaces.
func (n pypiNamespaces) All(ctx context.Context) ([]pypi.Prefix, error) {
	all, err := n.PublicNamespaces(ctx, purl.PyPI)
	var out []pypi.Prefix
	for _, ns := range all {
		if prefix, ok := strings.CutSuffix(ns.Pattern, "-*"); ok {
			out = append(out, pypi.Prefix{Name: prefix, Owner: ns.Organisation})
		}
	}
	return out, err
}
