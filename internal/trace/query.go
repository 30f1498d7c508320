package trace

import (
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxQuery bounds a query in bytes; the longest names (an OCI repository with a sha512 digest)
// need about 400.
const maxQuery = 1024

// Query is what a trace starts from. Either PURL, Digest, Repository with Tag or Digest, or
// Publisher is set; a bare word sets Repository and Publisher, since it can be either.
type Query struct {
	Text       string
	PURL       purl.PURL
	Digest     digest.Digest
	Host       string // of the registry, as in the text; "" when the reference names none
	Repository string
	Tag        string
	Publisher  string
}

var (
	hex64      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	repository = regexp.MustCompile(`^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$`)
	tagForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	accountRef = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)
)

// Parse reads a query: "pkg:npm/%40acme/ui@1.2.3", "sha256:…" or 64 bare hex digits, "acme/app:1.0",
// "acme/app@sha256:…" (both also behind a host name, docker:// or oci://), "publisher:alice" or
// "alice". It fails with code trace-query-invalid. Whose the host is, it does not know.
func Parse(text string) (Query, error) {
	q := Query{Text: text}
	var err error
	switch name, isPublisher := strings.CutPrefix(text, "publisher:"); {
	case text == "" || len(text) > maxQuery:
		return q, invalid(text)
	case strings.HasPrefix(text, "pkg:"):
		q.PURL, err = purl.Parse(text)
	case hex64.MatchString(text):
		q.Digest = digest.Digest(digest.SHA256 + ":" + text)
	case strings.HasPrefix(text, "sha256:"), strings.HasPrefix(text, "sha512:"):
		q.Digest, err = digest.Parse(text)
	case isPublisher && accountRef.MatchString(name):
		q.Publisher = name
	case isPublisher:
		return q, invalid(text)
	default:
		return parseReference(q, text)
	}
	return q, err
}

// parseReference reads an image reference or, when it is a single word, also an account's name.
func parseReference(q Query, text string) (Query, error) {
	if accountRef.MatchString(text) {
		q.Publisher = text
	}
	rest, at, pinned := strings.Cut(withoutTransport(text), "@")
	if pinned {
		d, err := digest.Parse(at)
		switch {
		case err != nil && q.Publisher == "":
			return q, invalid(text)
		case err != nil:
			return q, nil // an account that is named like a mail address
		}
		q.Digest = d
	}
	q.Host, rest = splitHost(rest)
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, q.Tag = rest[:i], rest[i+1:]
	} else if !pinned {
		q.Tag = "latest"
	}
	if repository.MatchString(rest) && (pinned && q.Tag == "" || tagForm.MatchString(q.Tag)) {
		q.Repository = rest
		return q, nil
	}
	if q.Publisher == "" {
		return q, invalid(text)
	}
	q.Digest, q.Tag = "", ""
	return q, nil
}

// withoutTransport removes what skopeo and helm write before a reference, which users paste.
func withoutTransport(text string) string {
	for _, scheme := range []string{"docker://", "oci://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok {
			return rest
		}
	}
	return text
}

// splitHost takes the registry's host off: the first part when it has a dot or a port, or is
// localhost, as docker's own reference grammar decides.
func splitHost(ref string) (host, rest string) {
	host, rest, more := strings.Cut(ref, "/")
	if more && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host, rest
	}
	return "", ref
}

func invalid(text string) error {
	return fault.New(fault.Invalid, "trace-query-invalid",
		"%q names nothing that can be traced; give a purl (pkg:npm/...), a digest (sha256:...), an image (acme/app:1.0) or publisher:<account>",
		clip(text))
}
