package app

import (
	"github.com/hullmark/hullmark/internal/registry/maven"
)

// mavenMount is where the Maven repository is.
const mavenMount = "/maven/"

// buildMaven builds the Maven repository.
func (s *Server) buildMaven() error {
	c := s.app.Config
	s.Maven = maven.New(s.app.Core, maven.Config{Trust: exchanger{s}, Upstream: s.app.Upstream, Clock: c.Clock, Random: c.Random, Log: c.Logger})
	return nil
}
