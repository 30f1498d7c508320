package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget"
)

// nugetMount is where the NuGet registry is.
const nugetMount = "/nuget/"

// buildNuGet builds the NuGet registry.
func (s *Server) buildNuGet() (err error) {
	c := s.app.Config
	s.NuGet, err = nuget.New(s.app.Core, nuget.Config{
		PublicURL: s.URL + nugetMount, Owners: nugetOwners{s.app.Accounts}, Clock: c.Clock, Random: c.Random, Log: c.Logger,
	})
	return err
}

// nugetOwners is the account service in the words of the NuGet protocol.
type nugetOwners struct{ *account.Service }

// Owner implements nuget.Owners.
func (o nugetOwners) Owner(ctx context.Context, name string) (string, error) {
	n, err := o.Namespace(ctx, purl.NuGet, name)
	return n.Organisation, err
}
