package gemspec

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/fault"
)

// gemClasses are the tags that a gemspec may have. Ruby makes objects of whatever class a tag names; we make
// none, and refuse what RubyGems' own loader would refuse. Source: RubyGems 3.3, safe_yaml.rb.
var gemClasses = []string{
	"Gem::Dependency", "Gem::Platform", "Gem::Requirement", "Gem::Specification", "Gem::Version", "Gem::Version::Requirement",
}

const (
	// MaxFields and MaxListed bound what is kept.
	MaxFields  = 200    // of one mapping in a gemspec
	MaxListed  = 10_000 // entries of a list that is kept: dependencies, authors
	maxText    = 64 << 10
	maxAliases = 20 // how often an alias may lead to an alias
)

// ParseSpec reads a gem's metadata, as YAML. It is a pure function of its bytes.
func ParseSpec(data []byte) (*Spec, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, specInvalid("it is not YAML that can be read").Because(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, specInvalid("it is not one YAML document")
	}
	root := doc.Content[0]
	if class(root) != "Gem::Specification" {
		return nil, specInvalid("it is no Gem::Specification")
	}
	r := &specReader{}
	fields := r.fields(root)
	s := &Spec{
		Name: r.text(fields["name"]), Version: r.version(fields["version"]), Platform: r.platformOf(fields["platform"]),
		Summary: r.text(fields["summary"]), Description: r.text(fields["description"]), Homepage: r.text(fields["homepage"]),
		Authors: r.texts(fields["authors"]), Email: r.texts(fields["email"]), Licenses: r.texts(fields["licenses"]),
		Metadata: r.table(fields["metadata"]), Date: r.date(fields["date"]),
		RequiredRuby: r.requirement(fields["required_ruby_version"]), RequiredRubygems: r.requirement(fields["required_rubygems_version"]),
		RubygemsVersion: r.text(fields["rubygems_version"]),
		Extensions:      r.texts(fields["extensions"]), Executables: r.texts(fields["executables"]),
	}
	for _, n := range r.list(fields["dependencies"]) {
		s.Dependencies = append(s.Dependencies, r.dependency(n))
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, s.Check()
}

func specInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "gemspec-invalid", "the gem's metadata cannot be taken: %s; build it again with gem build", fmt.Sprintf(format, args...))
}

// NameForm is what RubyGems takes for a name; what may be published here is narrower, see the account
// package. Source: RubyGems 3.3, specification.rb, VALID_NAME_PATTERN.
var NameForm = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// MaxNameLength is that of names, versions and platforms, in bytes.
const MaxNameLength = 100

// Check fails when the specification has a name, a version or a dependency that RubyGems would not take.
func (s *Spec) Check() error {
	switch {
	case !NameForm.MatchString(s.Name) || len(s.Name) > MaxNameLength:
		return specInvalid("%q is no name of a gem", fault.Clip(s.Name))
	case !VersionForm.MatchString(s.Version) || len(s.Version) > MaxNameLength:
		return specInvalid("%q is no version; it has numbers and words between dots, and no dash", fault.Clip(s.Version))
	case !PlatformForm.MatchString(s.Platform) || len(s.Platform) > MaxNameLength:
		return specInvalid("%q is no platform", fault.Clip(s.Platform))
	}
	for _, d := range s.Dependencies {
		if !NameForm.MatchString(d.Name) || len(d.Name) > MaxNameLength {
			return specInvalid("it depends on %q, which is no name of a gem", fault.Clip(d.Name))
		}
	}
	return nil
}

// specReader keeps the first thing that was wrong, so that the reading itself stays plain.
type specReader struct{ err error }

func (r *specReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = specInvalid(format, args...)
	}
}

// class is the Ruby class that a node's tag names, or "".
func class(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	name, _ := strings.CutPrefix(n.Tag, "!ruby/object:")
	if name == n.Tag {
		return ""
	}
	return name
}

// follow resolves aliases and checks the tag.
func (r *specReader) follow(n *yaml.Node) *yaml.Node {
	for range maxAliases {
		if n == nil || n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	if n == nil {
		return nil
	}
	if strings.HasPrefix(n.Tag, "!ruby/") {
		known := false
		for _, c := range gemClasses {
			known = known || class(n) == c
		}
		if !known {
			r.fail("it asks for an object of %q", fault.Clip(n.Tag))
			return nil
		}
	}
	if n.Kind == yaml.AliasNode {
		r.fail("its aliases lead nowhere")
		return nil
	}
	return n
}

// fields are a mapping's members. A key that is there twice would be read differently by two readers.
func (r *specReader) fields(n *yaml.Node) map[string]*yaml.Node {
	n = r.follow(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	if len(n.Content)/2 > MaxFields {
		r.fail("one of its mappings has more than %d members", MaxFields)
		return nil
	}
	out := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, twice := out[key]; twice {
			r.fail("it has %q twice", fault.Clip(key))
		}
		out[key] = n.Content[i+1]
	}
	return out
}

func (r *specReader) list(n *yaml.Node) []*yaml.Node {
	n = r.follow(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	if len(n.Content) > MaxListed {
		r.fail("one of its lists has more than %d entries", MaxListed)
		return nil
	}
	return n.Content
}

// text is a scalar. Psych writes what is not UTF-8 in base64.
func (r *specReader) text(n *yaml.Node) string {
	n = r.follow(n)
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	value := n.Value
	if n.Tag == "!binary" || n.Tag == "!!binary" {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
		if err != nil {
			r.fail("a text of it says that it is base64 and is not")
		}
		value = string(raw)
	}
	if len(value) > maxText {
		r.fail("one of its texts is longer than %d KiB", maxText>>10)
		return ""
	}
	return strings.ToValidUTF8(value, "?")
}

// texts is a list of scalars, or one alone.
func (r *specReader) texts(n *yaml.Node) []string {
	if n = r.follow(n); n != nil && n.Kind == yaml.ScalarNode {
		if s := r.text(n); s != "" {
			return []string{s}
		}
		return nil
	}
	var out []string
	for _, one := range r.list(n) {
		if s := r.text(one); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r *specReader) table(n *yaml.Node) map[string]string {
	fields := r.fields(n)
	if len(fields) == 0 {
		return nil
	}
	out := make(map[string]string, len(fields))
	for key, value := range fields {
		out[key] = r.text(value)
	}
	return out
}

// Version is an object with a version, or the version as text.
func (r *specReader) version(n *yaml.Node) string {
	if fields := r.fields(n); fields != nil {
		return strings.TrimSpace(r.text(fields["version"]))
	}
	return strings.TrimSpace(r.text(n))
}

// platformOf is a text, or in old gems an object. Source: RubyGems, specification.rb, "encode_with".
func (r *specReader) platformOf(n *yaml.Node) string {
	fields := r.fields(n)
	if fields == nil {
		if s := r.text(n); s != "" {
			return s
		}
		return RubyPlatform
	}
	var parts []string
	for _, key := range []string{"cpu", "os", "version"} {
		if s := r.text(fields[key]); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-")
}

func (r *specReader) date(n *yaml.Node) time.Time {
	text := r.text(n)
	t, err := time.Parse(time.DateOnly, text[:min(len(text), len(time.DateOnly))])
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Unix(0, 0).UTC()
	}
	return t
}

// requirement reads the pairs of an operator and a version.
func (r *specReader) requirement(n *yaml.Node) Requirement {
	var out Requirement
	for _, pair := range r.list(r.fields(n)["requirements"]) {
		both := r.list(pair)
		if len(both) != 2 {
			r.fail("one of its requirements is no operator with a version")
			return nil
		}
		c, ok := ParseConstraint(r.text(both[0]) + " " + r.version(both[1]))
		if !ok {
			r.fail("one of its requirements, %q, cannot be read", fault.Clip(r.text(both[0])+" "+r.version(both[1])))
			return nil
		}
		out = append(out, c)
	}
	return out
}

func (r *specReader) dependency(n *yaml.Node) Dependency {
	fields := r.fields(n)
	requirement := fields["requirement"]
	if requirement == nil {
		requirement = fields["version_requirements"] // before RubyGems 1.3
	}
	return Dependency{
		Name: r.text(fields["name"]), Requirement: r.requirement(requirement), Development: r.text(fields["type"]) == ":development",
	}
}
