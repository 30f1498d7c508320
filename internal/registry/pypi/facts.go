package pypi

import (
	"github.com/hullmark/hullmark/internal/digest"
)

// facts are what the index says of a file besides what the core knows. They are stored as the release's
// metadata.
type facts struct {
	Name           string        `json:"name"` // as its author spells it
	RequiresPython string        `json:"requiresPython,omitempty"`
	Summary        string        `json:"summary,omitempty"`
	Core           digest.Digest `json:"core,omitempty"` // the METADATA or PKG-INFO, a blob
	MD5            string        `json:"md5,omitempty"`
	Blake2         string        `json:"blake2,omitempty"`
	Provenance     digest.Digest `json:"provenance,omitempty"` // a provenance object (PEP 740), a blob
}
