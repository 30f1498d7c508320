// Package docs carries the pages that an installed program explains itself with, so that they are
// at hand where the repository is not. It holds text alone and decides nothing.
package docs

import (
	"embed"
	"regexp"
)

//go:embed errors/*.md
var pages embed.FS

var code = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Error returns the page on an error code, as Markdown, or ok=false when there is no such code.
func Error(errorCode string) (page string, ok bool) {
	if !code.MatchString(errorCode) {
		return "", false
	}
	text, err := pages.ReadFile("errors/" + errorCode + ".md")
	return string(text), err == nil
}
