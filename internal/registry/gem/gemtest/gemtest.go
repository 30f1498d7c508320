// Package gemtest builds gems without Ruby, for tests and benchmarks: as gem build makes them, or wrong
// in one way. It refuses nothing; what it builds may be hostile on purpose.
package gemtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Gem is what to build.
type Gem struct {
	Name, Version string
	Platform      string            // empty: ruby
	Dependencies  map[string]string // name to one constraint: "rack": ">= 2"
	Extensions    []string
	Files         map[string]string // path to content; empty: lib/NAME.rb
	// Metadata, Data and Checksums take the place of what would be made of the rest.
	Metadata, Data, Checksums []byte
	// More are further members of the outer archive, by name.
	More map[string][]byte
}

// Bytes returns the gem.
func (g Gem) Bytes() []byte {
	metadata, data, checksums := g.Metadata, g.Data, g.Checksums
	if metadata == nil {
		metadata = Gzip([]byte(g.YAML()))
	}
	if data == nil {
		data = Gzip(g.data())
	}
	if checksums == nil {
		checksums = Gzip([]byte(fmt.Sprintf("---\nSHA256:\n  metadata.gz: %s\n  data.tar.gz: %s\n", sum(metadata), sum(data))))
	}
	members := []member{{"metadata.gz", metadata}, {"data.tar.gz", data}, {"checksums.yaml.gz", checksums}}
	for _, name := range sorted(g.More) {
		members = append(members, member{name, g.More[name]})
	}
	return pack(members)
}

// YAML returns the gem's metadata as gem build writes it.
func (g Gem) YAML() string {
	platform := g.Platform
	if platform == "" {
		platform = "ruby"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `--- !ruby/object:Gem::Specification
name: %s
version: !ruby/object:Gem::Version
  version: %s
platform: %s
authors:
- Acme
autorequire:
bindir: bin
cert_chain: []
date: 2026-01-02 00:00:00.000000000 Z
`, g.Name, g.Version, platform)
	if len(g.Dependencies) == 0 {
		b.WriteString("dependencies: []\n")
	} else {
		b.WriteString("dependencies:\n")
	}
	for _, name := range sorted(g.Dependencies) {
		op, version, _ := strings.Cut(g.Dependencies[name], " ")
		fmt.Fprintf(&b, `- !ruby/object:Gem::Dependency
  name: %s
  requirement: !ruby/object:Gem::Requirement
    requirements:
    - - "%s"
      - !ruby/object:Gem::Version
        version: '%s'
  type: :runtime
  prerelease: false
`, name, op, version)
	}
	fmt.Fprintf(&b, "description: Long\nemail: dev@acme.example\nexecutables: []\nextensions: [%s]\nfiles: []\nhomepage: https://acme.example/\nlicenses:\n- MIT\nmetadata:\n  source_code_uri: https://github.com/acme/ui\n", strings.Join(g.Extensions, ", "))
	b.WriteString(`required_ruby_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '2.7'
required_rubygems_version: !ruby/object:Gem::Requirement
  requirements:
  - - ">="
    - !ruby/object:Gem::Version
      version: '0'
rubygems_version: 3.3.15
signing_key:
specification_version: 4
summary: Short
test_files: []
`)
	return b.String()
}

func (g Gem) data() []byte {
	files := g.Files
	if files == nil {
		files = map[string]string{"lib/" + g.Name + ".rb": "VERSION = '" + g.Version + "'\n"}
	}
	var members []member
	for _, name := range sorted(files) {
		members = append(members, member{name, []byte(files[name])})
	}
	return pack(members)
}

type member struct {
	name string
	data []byte
}

func pack(members []member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		err := w.WriteHeader(&tar.Header{Name: m.name, Mode: 0o444, Size: int64(len(m.data)), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write(m.data)
		}
		if err != nil {
			panic(err) // a mistake in a test
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Gzip packs bytes.
func Gzip(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
