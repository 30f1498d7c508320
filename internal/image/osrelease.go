package image

import (
	"bytes"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

func (c *collector) osRelease(p string, r io.Reader) error {
	rel, err := parseOSRelease(r)
	if rel.ID != "" {
		c.releases[p] = rel
	}
	return err
}

// parseOSRelease reads os-release(5): shell assignments without expansion.
func parseOSRelease(r io.Reader) (*evidence.OSRelease, error) {
	rel := new(evidence.OSRelease)
	fields := map[string]*string{"ID": &rel.ID, "VERSION_ID": &rel.VersionID, "PRETTY_NAME": &rel.PrettyName}
	err := eachLine(io.LimitReader(r, 64<<10), func(line []byte) bool {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		if into := fields[string(key)]; into != nil && len(value) <= maxField {
			*into = unquote(string(value))
		}
		return true
	})
	return rel, err
}

// unquote removes one pair of shell quotes and the backslashes inside double ones.
func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	inner := s[1 : len(s)-1]
	if s[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(inner)
}
