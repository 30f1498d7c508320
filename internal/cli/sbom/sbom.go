// Package sbom writes what is known to be inside an artifact as a bill of materials, in CycloneDX 1.6 and
// SPDX 2.3, by the libraries of these projects.
//
// It refuses to look more certain than the record is: contents that were not read to their end are
// "incomplete", and those that were are still not called complete, because there are sorts of packages
// that no reader here knows. Licences and suppliers are left open; a file says nothing that proves them.
// The same contents give the same document but for its time.
package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/purl"
)

// Document is what is inside one artifact.
type Document struct {
	Name     string `json:"name"`     // as the user called it
	Digest   string `json:"digest"`   // "sha256:…"; "" when it has none
	Platform string `json:"platform"` // "linux/amd64"; "" when it has none
	Image    bool   `json:"image"`
	// Head is the size of the record that it was read at; -1 for a local file.
	Head       int64       `json:"head"`
	Gaps       []string    `json:"gaps"` // what is not known, as sentences
	Components []Component `json:"components"`
}

// Component is a package in it.
type Component struct {
	PURL string `json:"purl"`
	Path string `json:"path"` // a file of it
	// Layer is the position of the layer that brought it; -1 outside of images.
	Layer int `json:"layer"`
	// Grounds say how it was recognised: "metadata", "content", "both".
	Grounds string `json:"grounds"`
	// Artifact is the digest of the release's archive, and Publisher who published it at At; empty where
	// the record does not know.
	Artifact  string    `json:"artifact"`
	Publisher string    `json:"publisher"`
	At        time.Time `json:"at"`
	Recalled  string    `json:"recalled"` // reason
}

// Incomplete reports whether something in the artifact was not read.
func (d *Document) Incomplete() bool { return len(d.Gaps) > 0 }

// ordered returns the components in an order that does not depend on how they were found, each once.
func (d *Document) ordered() []Component {
	all := slices.Clone(d.Components)
	slices.SortFunc(all, func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Path, b.Path))
	})
	return slices.CompactFunc(all, func(a, b Component) bool { return a.PURL == b.PURL && a.Path == b.Path })
}

// sum names the document by what it says.
func (d *Document) sum() (string, error) {
	c := *d
	c.Components = d.ordered()
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// nameOf is a component's name and version; a purl without a version has none.
func nameOf(p string) (name, version string) {
	_, name, version = purl.PURL(p).Split()
	return name, version
}

// ref names a component inside of a document: the same package may lie in two places.
func ref(c Component) string {
	sum := sha256.Sum256([]byte(c.PURL + "\x00" + c.Path))
	return hex.EncodeToString(sum[:8])
}
