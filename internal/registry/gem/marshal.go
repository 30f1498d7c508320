package gem

import "time"

// marshaller writes Ruby's Marshal format 4.8: only what an index needs, and nothing that makes a reader
// call code other than the loaders of RubyGems' own classes.
//
// Source: Ruby docs, "marshal.rdoc", "Stream Format".
type marshaller struct {
	out     []byte
	symbols map[string]int
}

func newMarshaller() *marshaller {
	return &marshaller{out: []byte{4, 8}, symbols: map[string]int{}}
}

// number writes an integer without its type: lengths and indexes.
func (m *marshaller) number(n int) {
	switch {
	case n == 0:
		m.out = append(m.out, 0)
	case n > 0 && n < 123:
		m.out = append(m.out, byte(n+5))
	case n < 0 && n >= -123:
		m.out = append(m.out, byte(n-5))
	default:
		var b []byte
		for v := n; v != 0 && v != -1 && len(b) < 4; v >>= 8 {
			b = append(b, byte(v))
		}
		count := len(b)
		if n < 0 {
			count = -count
		}
		m.out = append(append(m.out, byte(count)), b...)
	}
}

func (m *marshaller) fixnum(n int) {
	m.out = append(m.out, 'i')
	m.number(n)
}

func (m *marshaller) null() { m.out = append(m.out, '0') }

func (m *marshaller) boolean(b bool) {
	if b {
		m.out = append(m.out, 'T')
		return
	}
	m.out = append(m.out, 'F')
}

func (m *marshaller) symbol(s string) {
	if i, known := m.symbols[s]; known {
		m.out = append(m.out, ';')
		m.number(i)
		return
	}
	m.symbols[s] = len(m.symbols)
	m.out = append(m.out, ':')
	m.bytes([]byte(s))
}

func (m *marshaller) bytes(b []byte) {
	m.number(len(b))
	m.out = append(m.out, b...)
}

// text writes a string in UTF-8. Without the encoding Ruby takes it for bytes, which are not equal to the
// same text.
func (m *marshaller) text(s string) {
	m.out = append(m.out, 'I', '"')
	m.bytes([]byte(s))
	m.number(1)
	m.symbol("E")
	m.boolean(true)
}

func (m *marshaller) optional(s string) {
	if s == "" {
		m.null()
		return
	}
	m.text(s)
}

func (m *marshaller) array(length int) {
	m.out = append(m.out, '[')
	m.number(length)
}

func (m *marshaller) texts(all []string) {
	m.array(len(all))
	for _, s := range all {
		m.text(s)
	}
}

// dumped begins an object that its class's marshal_load reads: one value follows.
func (m *marshaller) dumped(class string) {
	m.out = append(m.out, 'U')
	m.symbol(class)
}

func (m *marshaller) version(v string) {
	m.dumped("Gem::Version")
	m.array(1)
	m.text(v)
}

func (m *marshaller) requirement(all Requirement) {
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

func (m *marshaller) dependency(d Dependency) {
	m.out = append(m.out, 'o')
	m.symbol("Gem::Dependency")
	m.number(4)
	m.symbol("@name")
	m.text(d.Name)
	m.symbol("@requirement")
	m.requirement(d.Requirement)
	m.symbol("@type")
	m.symbol(d.kind())
	m.symbol("@prerelease")
	m.boolean(d.Requirement.prerelease())
}

func (m *marshaller) platform(s string) {
	if s == rubyPlatform {
		m.text(s)
		return
	}
	p := parsePlatform(s)
	m.out = append(m.out, 'o')
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
func (m *marshaller) time(t time.Time) {
	t = t.UTC()
	high := uint32(1)<<31 | 1<<30 | uint32(t.Year()-1900)<<14 | uint32(t.Month()-1)<<10 | uint32(t.Day())<<5 | uint32(t.Hour())
	low := uint32(t.Minute())<<26 | uint32(t.Second())<<20 | uint32(t.Nanosecond()/1000)
	m.out = append(m.out, 'I', 'u')
	m.symbol("Time")
	m.number(8)
	for _, word := range []uint32{high, low} {
		m.out = append(m.out, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	m.number(1)
	m.symbol("zone")
	m.text("UTC")
}

// specification writes what gem reads before it downloads. Ruby nests one Marshal stream in the other.
// Source: RubyGems 3.3, specification.rb, "_dump" and "_load".
func (m *marshaller) specification(s *Spec) {
	inner := newMarshaller()
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
	m.out = append(m.out, 'u')
	m.symbol("Gem::Specification")
	m.bytes(inner.out)
}

// specificationVersion is the version of the format that _dump writes.
const specificationVersion = 4

func (m *marshaller) table(all map[string]string) {
	m.out = append(m.out, '{')
	m.number(len(all))
	for _, key := range sortedKeys(all) {
		m.text(key)
		m.text(all[key])
	}
}

// tuple is a line of a specs index.
type tuple struct{ name, version, platform string }

// tuples writes a specs index: [name, version, platform] for each.
func (m *marshaller) tuples(all []tuple) {
	m.array(len(all))
	for _, t := range all {
		m.array(3)
		m.text(t.name)
		m.version(t.version)
		m.text(t.platform)
	}
}
