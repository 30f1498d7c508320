package dist

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// maxMetadata is the longest METADATA or PKG-INFO that is taken, in bytes: readmes are in it.
const maxMetadata = 4 << 20

// coreMetadata is a METADATA or PKG-INFO file: its headers in order, and the description.
// Source: Core metadata specifications.
type coreMetadata struct {
	Raw     []byte
	Headers map[string][]string // by lower-case name
}

// ParseMetadata reads the e-mail headers that core metadata is written in.
func ParseMetadata(raw []byte) (*coreMetadata, error) {
	m := &coreMetadata{Raw: raw, Headers: map[string][]string{}}
	last := ""
	for rest := raw; len(rest) > 0; {
		line, more, _ := bytes.Cut(rest, []byte("\n"))
		rest = more
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			m.describe(rest)
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if last == "" {
				return nil, Invalid("the metadata begins in the middle of a field")
			}
			all := m.Headers[last]
			all[len(all)-1] += "\n" + string(line)
			continue
		}
		key, value, ok := strings.Cut(string(line), ":")
		if !ok || key == "" {
			return nil, Invalid("the metadata has a line %q that is no field", fault.Clip(string(line)))
		}
		last = strings.ToLower(key)
		m.Headers[last] = append(m.Headers[last], strings.TrimSpace(value))
	}
	for _, single := range []string{"metadata-version", "name", "version", "requires-python", "summary"} {
		if len(m.Headers[single]) > 1 {
			return nil, Invalid("the metadata has the field %s twice, and readers differ in which they take", single)
		}
	}
	if m.Get("metadata-version") == "" {
		return nil, Invalid("the metadata has no Metadata-Version")
	}
	return m, nil
}

// describe takes the body for the description, where there is no header for it.
func (m *coreMetadata) describe(body []byte) {
	if len(m.Headers["description"]) == 0 && len(bytes.TrimSpace(body)) > 0 {
		m.Headers["description"] = []string{string(body)}
	}
}

// Get returns the first value of a header, in lower case, or "".
func (m *coreMetadata) Get(key string) string {
	if v := m.Headers[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// check compares the metadata with whose and which version the file is.
func (m *coreMetadata) check(name, version string) error {
	if Normal(m.Get("name")) != name {
		return Mismatch("the name %q is not that of the file", m.Get("name"))
	}
	if !SameVersion(m.Get("version"), version) {
		return Mismatch("the version %q is not that of the file, %s", m.Get("version"), version)
	}
	return nil
}

// compared are the fields of the upload form that have to say what the file says, where they say something.
// twine reads them out of the file; a client that sends others shows people what is not installed.
var compared = map[string]string{
	"metadata_version": "metadata-version", "summary": "summary", "requires_python": "requires-python",
	"requires_dist": "requires-dist", "provides_extra": "provides-extra", "author": "author", "author_email": "author-email",
	"maintainer": "maintainer", "maintainer_email": "maintainer-email", "home_page": "home-page", "license_expression": "license-expression",
	"classifiers": "classifier", "project_urls": "project-url",
}

// Compare refuses a form that contradicts the metadata in the file. What the form leaves out does no harm:
// nothing is ever served from it.
func (m *coreMetadata) Compare(form map[string][]string) error {
	for field, header := range compared {
		said, inside := canonical(form[field]), canonical(m.Headers[header])
		if len(said) > 0 && !slices.Equal(said, inside) {
			return Mismatch("the field %s of the upload is not what the file says", field)
		}
	}
	return nil
}

// canonical sorts the values and takes the space out of them: clients write requirements anew.
func canonical(values []string) []string {
	var out []string
	for _, v := range values {
		v = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n", r) {
				return -1
			}
			return r
		}, v)
		if v != "" && v != "UNKNOWN" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// dependencies are what an installer fetches with the release. Source: PEP 508.
func (m *coreMetadata) dependencies() []evidence.Dependency {
	var out []evidence.Dependency
	for _, requirement := range m.Headers["requires-dist"] {
		clause, _, _ := strings.Cut(requirement, ";")
		clause = strings.TrimSpace(clause)
		end := strings.IndexFunc(clause, func(r rune) bool { return !strings.ContainsRune("-_.", r) && !isWord(r) })
		d := evidence.Dependency{Name: clause}
		if end >= 0 {
			d.Name, d.Range = clause[:end], strings.TrimSpace(clause[end:])
		}
		if strings.HasPrefix(d.Range, "[") {
			_, d.Range, _ = strings.Cut(d.Range, "]")
		}
		d.Range = strings.TrimSpace(d.Range)
		if address, ok := strings.CutPrefix(d.Range, "@"); ok {
			d.Range, d.Elsewhere = strings.TrimSpace(address), true
		}
		d.Range = strings.Trim(d.Range, "()")
		d.Name = Normal(d.Name)
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

func isWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// readAll reads a member that may have up to limit bytes.
func readAll(content io.Reader, limit int64, what string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = Invalid("the file %s is larger than the %d bytes that are read", fault.Clip(what), limit)
	}
	return data, err
}
