package app

import (
	"github.com/hullmark/hullmark/internal/registry/pypi"
)

// buildPyPI builds the Python package index.
func (s *Server) buildPyPI() error {
	c := s.app.Config
	s.PyPI = pypi.New(s.app.Core, pypi.Config{
		PublicURL: s.URL + "/pypi/", Clock: c.Clock, Random: c.Random, Log: c.Logger,
	})
	return nil
}
