package oidc

import (
	"context"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

// ServeKeys makes the service take the keys of issuers from sets, in place of the network: the public services
// of the providers are not reached by tests.
func (s *Service) ServeKeys(sets map[string]string) {
	s.keys.fetch = func(_ context.Context, iss *Issuer) (map[string]*jose.JSONWebKey, error) {
		set, ok := sets[iss.URL]
		if !ok {
			return nil, errors.New("no such issuer in this test")
		}
		return parseKeys([]byte(set))
	}
}
