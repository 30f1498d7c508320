package app

import (
	"maps"
	"slices"
)

// Mounts returns the patterns that the server's mux is built from, sorted.
func (s *Server) Mounts() []string { return slices.Sorted(maps.Keys(s.mounts())) }

// Drain is drain, for its test.
var Drain = drain

// Impatient is impatient, for its test.
var Impatient = impatient
