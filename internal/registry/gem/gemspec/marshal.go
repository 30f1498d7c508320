// Package gemspec reads what is published as gems: the archive, the specification in YAML, versions and platforms. It writes
// Ruby's Marshal, which the old indexes are in. It knows no registry and no protocol.
package gemspec

import "time"

// Marshaller writes Ruby's Marshal format 4.8: only what an index needs, and nothing that makes a reader
// call code other than the loaders of RubyGems' own classes.
//
// Source: Ruby docs, "marshal.rdoc", "Stream Format".
type Marshaller struct {
	Out     []byte // what was written
	symbols map[string]int
}

// NewMarshaller returns one that has written nothing but the version of the format.
func NewMarshaller() *Marshaller {
	return &Marshaller{Out: []byte{4, 8}, symbols: map[string]int{}}
}

// number writes an integer without its type: lengths and indexes.
func (m *Marshaller) number(n int) {
	switch {
	case n == 0:
		m.Out = append(m.Out, 0)
	case n > 0 && n < 123:
		m.Out = append(m.Out, byte(n+5))
	case n < 0 && n >= -123:
		m.Out = append(m.Out, byte(n-5))
	default:
		var b []byte
		for v := n; v != 0 && v != -1 && len(b) < 4; v >>= 8 {
			b = append(b, byte(v))
		}
		count := len(b)
		if n < 0 {
			count = -count
		}
		m.Out = append(append(m.Out, byte(count)), b...)
	}
}

func (m *Marshaller) fixnum(n int) {
	m.Out = append(m.Out, 'i')
	m.number(n)
}

func (m *Marshaller) null() { m.Out = append(m.Out, '0') }

func (m *Marshaller) boolean(b bool) {
	if b {
		m.Out = append(m.Out, 'T')
		return
	}
	m.Out = append(m.Out, 'F')
}

func (m *Marshaller) symbol(s string) {
	if i, known := m.symbols[s]; known {
		m.Out = append(m.Out, ';')
		m.number(i)
		return
	}
	m.symbols[s] = len(m.symbols)
	m.Out = append(m.Out, ':')
	m.bytes([]byte(s))
}

func (m *Marshaller) bytes(b []byte) {
	m.number(len(b))
	m.Out = append(m.Out, b...)
}

// text writes a string in UTF-8. Without the encoding Ruby takes it for bytes, which are not equal to the
// same text.
func (m *Marshaller) text(s string) {
	m.Out = append(m.Out, 'I', '"')
	m.bytes([]byte(s))
	m.number(1)
	m.symbol("E")
	m.boolean(true)
}

func (m *Marshaller) optional(s string) {
	if s == "" {
		m.null()
		return
	}
	m.text(s)
}

func (m *Marshaller) array(length int) {
	m.Out = append(m.Out, '[')
	m.number(length)
}

func (m *Marshaller) texts(all []string) {
	m.array(len(all))
	for _, s := range all {
		m.text(s)
	}
}

// dumped begins an object that its class's marshal_load reads: one value follows.
func (m *Marshaller) dumped(class string) {
	m.Out = append(m.Out, 'U')
	m.symbol(class)
}

func (m *Marshaller) version(v string) {
	m.dumped("Gem::Version")
	m.array(1)
	m.text(v)
}

func (m *Marshaller) requirement(all Requirement) {
	if len(all) == 0 {
		all = anyVersion
	}
	m.dumped("Gem::Requirement")
	m.array(1)
	m.array(len(all))
	for _, c := range all {
		m.array(2)
		m.text(c.Op)
		m.version(c.Version)
	}
}

func (m *Marshaller) dependency(d Dependency) {
	m.Out = append(m.Out, 'o')
	m.symbol("Gem::Dependency")
	m.number(4)
	m.symbol("@name")
	m.text(d.Name)
	m.symbol("@requirement")
	m.requirement(d.Requirement)
	m.symbol("@type")
	m.symbol(d.Kind())
	m.symbol("@prerelease")
	m.boolean(d.Requirement.prerelease())
}

func (m *Marshaller) platform(s string) {
	if s == RubyPlatform {
		m.text(s)
		return
	}
	p := ParsePlatform(s)
	m.Out = append(m.Out, 'o')
	m.symbol("Gem::Platform")
	m.number(3)
	m.symbol("@cpu")
	m.optional(p.cpu)
	m.symbol("@os")
	m.text(p.os)
	m.symbol("@version")
	m.optional(p.version)
}

// time writes a time in UTC, to the microsecond. Source: Ruby, time.c, time_mdump.
func (m *Marshaller) time(t time.Time) {
	t = t.UTC()
	high := uint32(1)<<31 | 1<<30 | uint32(t.Year()-1900)<<14 | uint32(t.Month()-1)<<10 | uint32(t.Day())<<5 | uint32(t.Hour())
	low := uint32(t.Minute())<<26 | uint32(t.Second())<<20 | uint32(t.Nanosecond()/1000)
	m.Out = append(m.Out, 'I', 'u')
	m.symbol("Time")
	m.number(8)
	for _, word := range []uint32{high, low} {
		m.Out = append(m.Out, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	m.number(1)
	m.symbol("zone")
	m.text("UTC")
}

// Specification writes what gem reads before it downloads. Ruby nests one Marshal stream in the other.
// Source: RubyGems 3.3, specification.rb, "_dump" and "_load".
func (m *Marshaller) Specification(s *Spec) {
	inner := NewMarshaller()
	inner.array(19)
	inner.optional(s.RubygemsVersion)
	inner.fixnum(specificationVersion)
	inner.text(s.Name)
	inner.version(s.Version)
	inner.time(s.Date)
	inner.text(s.Summary)
	inner.requirement(s.RequiredRuby)
	inner.requirement(s.RequiredRubygems)
	inner.text(s.Platform)
	inner.array(len(s.Dependencies))
	for _, d := range s.Dependencies {
		inner.dependency(d)
	}
	inner.text("") // rubyforge_project
	inner.texts(s.Email)
	inner.texts(s.Authors)
	inner.optional(s.Description)
	inner.optional(s.Homepage)
	inner.boolean(true) // has_rdoc
	inner.platform(s.Platform)
	inner.texts(s.Licenses)
	inner.table(s.Metadata)
	m.Out = append(m.Out, 'u')
	m.symbol("Gem::Specification")
	m.bytes(inner.Out)
}

// specificationVersion is the version of the format that _dump writes.
const specificationVersion = 4

func (m *Marshaller) table(all map[string]string) {
	m.Out = append(m.Out, '{')
	m.number(len(all))
	for _, key := range sortedKeys(all) {
		m.text(key)
		m.text(all[key])
	}
}

// Tuple is a line of a specs index.
type Tuple struct{ Name, Version, Platform string }

// Tuples writes a specs index: [name, version, platform] for each.
func (m *Marshaller) Tuples(all []Tuple) {
	m.array(len(all))
	for _, t := range all {
		m.array(3)
		m.text(t.Name)
		m.version(t.Version)
		m.text(t.Platform)
	}
}
