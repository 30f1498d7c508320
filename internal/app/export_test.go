package app

import (
	"maps"
	"slices"

	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// Mounts returns the patterns that the server's mux is built from, sorted.
func (s *Server) Mounts() []string { return slices.Sorted(maps.Keys(s.mounts())) }

// Drain is drain, for its test.
var Drain = drain

// Impatient is impatient, for its test.
var Impatient = impatient

// NPMOn is the npm registry over another core and publish stage than the server's own, for tests that put
// something in front of the account service.
func (a *App) NPMOn(core *registry.Core, held *publish.Service) (*npm.Registry, error) {
	signer, err := a.Config.signer("npm.key")
	if err != nil {
		return nil, err
	}
	return npm.New(core, npm.Config{
		PublicURL: "http://registry.test/npm/", Signer: signer, Accounts: npmAccounts{a.Accounts}, Stages: stages{held, purl.NPM}, Clock: a.Config.Clock,
	})
}

// Reviewer is the publish stage as the core asks it.
func Reviewer(s *publish.Service) registry.Reviewer { return reviewer{s} }

// People is the account service as the publish stage asks it.
func (a *App) People() publish.People { return people{a.Accounts} }
