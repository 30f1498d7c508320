package image

import (
	"bytes"
	"io"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

func (c *collector) pythonMetadata(p string, r io.Reader) error {
	name, err := parsePythonMetadata(r)
	if name != "" {
		c.declare(p, []evidence.Component{{PURL: name, Path: p}})
	}
	return err
}

// parsePythonMetadata reads the headers of METADATA or PKG-INFO up to the first empty line.
// Source: packaging.python.org, "Core metadata specifications".
func parsePythonMetadata(r io.Reader) (purl.PURL, error) {
	var name, version string
	err := eachLine(r, func(line []byte) bool {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value[:min(len(value), maxField+2)])
		switch {
		case name == "" && bytes.EqualFold(key, []byte("Name")):
			name = string(value)
		case version == "" && bytes.EqualFold(key, []byte("Version")):
			version = string(value)
		}
		return len(line) > 0
	})
	if err != nil || !isSystemName(name) || !believable(version) {
		return "", err
	}
	return purl.New(purl.PyPI, name, version), nil
}
