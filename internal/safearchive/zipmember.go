package safearchive

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"strings"
	"unicode/utf8"
)

const (
	methodStored   = 0
	methodDeflated = 8

	flagDescriptor = 1 << 3  // sizes and checksum follow the content
	flagUTF8       = 1 << 11 // the name is UTF-8
	// flagsKnown are these and the two that say how hard was compressed. The others mean encryption or
	// formats that clients of packages do not read.
	flagsKnown = flagDescriptor | flagUTF8 | 1<<1 | 1<<2

	extraZip64       = 0x0001
	extraUnicodePath = 0x7075
)

// zipMember is a member as the directory describes it.
type zipMember struct {
	name         string
	creator      byte
	flags        uint16
	method       uint16
	crc          uint32
	packed, size int64
	attributes   uint32
	offset       int64
	entry        Entry
}

// extra looks through the extra fields of a record for what changes its meaning: wide are the numbers
// that a zip64 field replaces where they are saturated, in its order.
func (m *zipMember) extra(b []byte, wide ...*int64) error {
	le, seen := binary.LittleEndian, false
	for len(b) >= 4 {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if n > len(b)-4 {
			return twoReadings("the extra fields of %s do not end where they should", quote(m.name))
		}
		field := b[4 : 4+n]
		b = b[4+n:]
		switch {
		case id == extraZip64 && seen:
			return twoReadings("%s has two zip64 fields", quote(m.name))
		case id == extraZip64:
			seen = true
			if err := m.zip64(field, wide); err != nil {
				return err
			}
		case id == extraUnicodePath && !m.isName(field):
			return twoReadings("%s has another name in an extra field", quote(m.name))
		}
	}
	if strings.Trim(string(b), "\x00") != "" {
		return twoReadings("the extra fields of %s do not end where they should", quote(m.name))
	}
	for _, v := range wide {
		if *v == saturated32 && !seen {
			return twoReadings("%s has no zip64 field for its size", quote(m.name))
		}
	}
	return nil
}

func (m *zipMember) zip64(field []byte, wide []*int64) error {
	for _, v := range wide {
		if *v != saturated32 {
			continue
		}
		if len(field) < 8 {
			return twoReadings("the zip64 field of %s is too short", quote(m.name))
		}
		if *v = int64(binary.LittleEndian.Uint64(field)); *v < 0 {
			return malformedZip(errors.New("a size below zero"))
		}
		field = field[8:]
	}
	return nil
}

// isName reports whether an Info-ZIP Unicode path says nothing else than the name itself.
func (m *zipMember) isName(field []byte) bool {
	return len(field) >= 5 && field[0] == 1 && string(field[5:]) == m.name &&
		binary.LittleEndian.Uint32(field[1:]) == crc32.ChecksumIEEE([]byte(m.name))
}

// describe fills in m.entry, or says why the archive is refused.
func (m *zipMember) describe(limits Limits) error {
	folder := strings.HasSuffix(m.name, "/")
	if err := m.checkName(limits); err != nil {
		return err
	}
	m.entry.Size = m.size
	switch {
	case m.flags&^flagsKnown != 0:
		return twoReadings("%s is encrypted or of a kind that clients do not read", quote(m.name))
	case m.method != methodStored && m.method != methodDeflated:
		return twoReadings("%s is compressed in a way that not every client reads", quote(m.name))
	case m.method == methodStored && m.packed != m.size:
		return twoReadings("%s is stored and has two sizes", quote(m.name))
	case folder && m.size != 0:
		return twoReadings("%s is a folder with content", quote(m.name))
	case folder:
		m.entry.Kind = Dir
	}
	return m.checkMode(folder)
}

func (m *zipMember) checkName(limits Limits) error {
	cleaned, ok := clean(m.name)
	ascii := strings.IndexFunc(m.name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
	switch {
	case !ok || !portable(m.name):
		return pathEscape(m.name)
	case deeper(cleaned, limits.PathLength, limits.Depth):
		return pathTooLong(m.name)
	case !utf8.ValidString(m.name) || !ascii && m.flags&flagUTF8 == 0:
		return twoReadings("the name %s does not say that it is UTF-8", quote(m.name))
	case strings.Contains(m.name, `\`):
		return twoReadings("the name %s has a backslash", quote(m.name))
	case cleaned == "." && m.name != "./":
		return twoReadings("the name %s is none", quote(m.name))
	}
	m.entry.Path = cleaned
	return nil
}

// Bits of the external attributes. The upper half is a Unix mode where the creator says so, and some
// tools look at it whatever the creator says.
const (
	dosFolder    = 0x10
	typeMask     = 0xF000
	typeFolder   = 0x4000
	typeRegular  = 0x8000
	typeLink     = 0xA000
	creatorUnix  = 3
	creatorMacOS = 19
)

func (m *zipMember) checkMode(folder bool) error {
	mode := m.attributes >> 16
	switch kind := mode & typeMask; {
	case kind == typeLink:
		return twoReadings("%s is a symbolic link", quote(m.name))
	case kind != 0 && kind != typeRegular && kind != typeFolder:
		return specialFile(m.name)
	case kind == typeFolder && !folder, kind == typeRegular && folder, m.attributes&dosFolder != 0 && !folder:
		return twoReadings("%s is a file by its name or its attributes and a folder by the other", quote(m.name))
	}
	m.entry.Mode = fs.FileMode(mode & 0o777)
	if m.entry.Mode == 0 || m.creator != creatorUnix && m.creator != creatorMacOS {
		m.entry.Mode = 0o644
		if folder {
			m.entry.Mode = 0o755
		}
	}
	return nil
}

// local reads the description in front of the content, which has to agree, and returns where the
// content begins.
func (f *zipFile) local(m *zipMember) (int64, error) {
	b, err := f.read(m.offset, localSize)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	nameSize, extraSize := int64(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
	if le.Uint32(b) != localSignature {
		return 0, twoReadings("%s has no description in front of its content", quote(m.name))
	}
	rest, err := f.read(m.offset+localSize, nameSize+extraSize)
	if err != nil {
		return 0, err
	}
	if string(rest[:nameSize]) != m.name {
		return 0, twoReadings("%s is named %s in front of its content", quote(m.name), quote(string(rest[:nameSize])))
	}
	packed, size, crc := int64(le.Uint32(b[18:])), int64(le.Uint32(b[22:])), le.Uint32(b[14:])
	if err := m.extra(rest[nameSize:], &size, &packed); err != nil {
		return 0, err
	}
	same := packed == m.packed && size == m.size && crc == m.crc
	later := m.flags&flagDescriptor != 0 && packed == 0 && size == 0 && crc == 0
	// Who reads a stored member as a stream cannot find its end without the size.
	if later && m.method == methodStored && m.size > 0 {
		later = false
	}
	if le.Uint16(b[6:]) != m.flags || le.Uint16(b[8:]) != m.method || !same && !later {
		return 0, twoReadings("%s is described in two ways", quote(m.name))
	}
	return m.offset + localSize + nameSize + extraSize, nil
}

// descriptor checks the n bytes between a member's content and the next member: nothing, or sizes and
// checksum once more, with or without a signature, in 32 or 64 bits. Source: APPNOTE 6.3.10, 4.3.9.
func (f *zipFile) descriptor(m *zipMember, at, n int64) error {
	if n == 0 && m.flags&flagDescriptor == 0 {
		return nil
	}
	if m.flags&flagDescriptor == 0 || n != 12 && n != 16 && n != 20 && n != 24 {
		return hiddenBytes(at)
	}
	b, err := f.read(at, n)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	signed := n == 16 || n == 24
	if signed {
		signed, b = le.Uint32(b) == dataSignature, b[4:]
	} else {
		signed = true
	}
	var packed, size int64
	if len(b) == 12 {
		packed, size = int64(le.Uint32(b[4:])), int64(le.Uint32(b[8:]))
	} else {
		packed, size = int64(le.Uint64(b[4:])), int64(le.Uint64(b[12:]))
	}
	if !signed || le.Uint32(b) != m.crc || packed != m.packed || size != m.size {
		return twoReadings("what follows %s does not describe it", quote(m.name))
	}
	return nil
}
