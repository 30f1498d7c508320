package oci

import (
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// The patterns of the API. Repository names contain slashes, so the standard mux cannot tell
// them apart; parsePath does.
const (
	patternToken     = "/token"
	patternBase      = "/v2/"
	patternCatalog   = "/v2/_catalog"
	patternBlob      = "/v2/{name}/blobs/{digest}"
	patternUploads   = "/v2/{name}/blobs/uploads/"
	patternUpload    = "/v2/{name}/blobs/uploads/{upload}"
	patternTagged    = "/v2/{name}/manifests/{tag}"
	patternManifest  = "/v2/{name}/manifests/{digest}"
	patternTags      = "/v2/{name}/tags/list"
	patternReferrers = "/v2/{name}/referrers/{digest}"
)

// maxName is the longest repository name in bytes. The specification asks clients to keep host
// and name together under 255.
const maxName = 255

// Source: distribution-spec 1.1, "Pulling manifests": <name> and <reference>.
var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// target is what a path names.
type target struct {
	pattern string
	name    string        // repository
	digest  digest.Digest // of a blob, manifest or subject
	tag     string
	upload  string // as issued in a Location; not yet checked
}

// parsePath reads a request path. It fails with path-unknown, repository-invalid, digest-invalid
// or tag-invalid.
//
// It reads from the end, because a repository may be called "a/blobs/uploads": the last segments
// decide, and what is before them is the name.
func parsePath(path string) (target, error) {
	switch path {
	case patternToken:
		return target{pattern: patternToken}, nil
	case "/v2", patternBase:
		return target{pattern: patternBase}, nil
	case patternCatalog:
		return target{pattern: patternCatalog}, nil
	}
	rest, ok := strings.CutPrefix(path, patternBase)
	if !ok {
		return target{}, errPath()
	}
	head, last := cutLast(rest)
	name, kind := cutLast(head)
	t, err := parseTail(name, kind, last)
	if err != nil {
		return target{}, err
	}
	if !validName(t.name) {
		return target{}, fault.New(fault.Invalid, "repository-invalid",
			"%q is not a repository name; use lower-case letters, digits and single . _ - between them, parts joined by /", fault.Clip(t.name))
	}
	return t, nil
}

func validName(name string) bool { return len(name) <= maxName && nameForm.MatchString(name) }

// parseTail reads the last two segments of a path; name is what is before them.
func parseTail(name, kind, last string) (target, error) {
	switch {
	case kind == "tags" && last == "list":
		return target{pattern: patternTags, name: name}, nil
	case kind == "blobs" && last == "uploads":
		return target{pattern: patternUploads, name: name}, nil
	case kind == "uploads":
		name, blobs := cutLast(name)
		if blobs != "blobs" {
			return target{}, errPath()
		}
		if last == "" {
			return target{pattern: patternUploads, name: name}, nil
		}
		return target{pattern: patternUpload, name: name, upload: last}, nil
	case kind == "manifests" && !strings.Contains(last, ":"):
		return target{pattern: patternTagged, name: name, tag: last}, checkTag(last)
	case kind == "manifests":
		return digestTarget(patternManifest, name, last)
	case kind == "blobs":
		return digestTarget(patternBlob, name, last)
	case kind == "referrers":
		return digestTarget(patternReferrers, name, last)
	}
	return target{}, errPath()
}

func digestTarget(pattern, name, s string) (target, error) {
	d, err := digest.Parse(s)
	return target{pattern: pattern, name: name, digest: d}, err
}

func checkTag(tag string) error {
	if tagForm.MatchString(tag) {
		return nil
	}
	return fault.New(fault.Invalid, "tag-invalid",
		"%q is not a tag; use up to 128 letters, digits, _ . - and begin with a letter, digit or _", fault.Clip(tag))
}

// cutLast splits s at its last slash.
func cutLast(s string) (before, last string) {
	i := strings.LastIndexByte(s, '/')
	return s[:max(i, 0)], s[i+1:]
}

func errPath() error {
	return fault.New(fault.NotFound, "path-unknown", "there is nothing at this path; the registry API begins at /v2/")
}
