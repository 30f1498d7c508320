package image

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxPackageJSON is the most of a package.json that is read, in bytes. npm writes no longer ones
// since it leaves the readme out.
const maxPackageJSON = 1 << 20

func (c *collector) packageJSON(p string, r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxPackageJSON+1))
	if err != nil {
		return err
	}
	if len(raw) > maxPackageJSON {
		c.note(fault.New(fault.TooLarge, "layer-metadata-too-large", "the package manifest %.120q is larger than is read", p))
		return nil
	}
	if name := parsePackageJSON(raw); name != "" {
		c.declare(p, []evidence.Component{{PURL: name, Path: p}})
	}
	return nil
}

// parsePackageJSON returns the package's purl; empty where the file names no package: test fixtures
// and "type" markers under node_modules are many.
func parsePackageJSON(raw []byte) purl.PURL {
	var manifest struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if json.Unmarshal(raw, &manifest) != nil {
		return ""
	}
	name, version := manifest.Name, strings.TrimSpace(manifest.Version)
	if !believable(name) || !believable(version) || !isPackageName(name) {
		return ""
	}
	return purl.New(purl.NPM, name, version)
}

// isPackageName accepts "name" and "@scope/name".
func isPackageName(name string) bool {
	scope, rest, scoped := strings.Cut(name, "/")
	if !scoped {
		return !strings.HasPrefix(name, "@")
	}
	return len(scope) > 1 && scope[0] == '@' && rest != "" && !strings.Contains(rest, "/")
}
