package safearchive

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxMeta is how much of a long name or a global header is looked at, in bytes.
const maxMeta = 8 << 10

// frame looks at the blocks of a package's archive as they are read and refuses what tar readers
// take apart in different ways: a client would unpack members that nobody here has seen. What it
// lets through has one reading, by archive/tar, node-tar and the small readers of other clients.
//
// Sources: POSIX pax, "ustar Interchange Format"; archive/tar, reader.go; node-tar, header.ts,
// parse.ts and pax.ts.
type frame struct {
	block []byte // the header, or the metadata, that is being collected
	skip  int64  // bytes of content and padding until the next header
	meta  int    // bytes of metadata that belong to the member before
	flag  byte   // of that metadata
	// extended and long say what precedes the next member: a pax header, GNU long names.
	extended bool
	long     string
}

// Write implements io.Writer. Its error is a fault.
func (f *frame) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if f.skip > 0 {
			n := min(f.skip, int64(len(rest)))
			f.skip, rest = f.skip-n, rest[n:]
			continue
		}
		n := min(max(f.meta, blockSize)-len(f.block), len(rest))
		f.block, rest = append(f.block, rest[:n]...), rest[n:]
		if len(f.block) < max(f.meta, blockSize) {
			break
		}
		if err := f.whole(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// whole looks at what was collected: a header, or the content of a metadata member.
func (f *frame) whole() error {
	block := f.block
	f.block = f.block[:0]
	if f.meta > 0 {
		f.meta = 0
		return f.metadata(block)
	}
	if len(bytes.Trim(block, "\x00")) == 0 {
		return nil // the end, or padding behind it
	}
	return f.header(block)
}

func (f *frame) header(b []byte) error {
	if !summed(b) {
		return malformed(errors.New("a header's checksum is wrong"))
	}
	name, size, ok := text(b[:100]), int64(0), oneReading(b)
	if ok {
		size, ok = octal(b[124:136])
	}
	if !ok {
		return ambiguous(name)
	}
	f.skip = (size + blockSize - 1) / blockSize * blockSize
	f.flag = b[156]
	switch f.flag {
	case 'x', 'g', 'L', 'K':
		return f.before(name, size)
	case 'S', '7':
		return ambiguous(name)
	case '1', '2', '5':
		ok = size == 0
	case '0', 0:
		ok = !strings.HasSuffix(name, "/") || size == 0 && f.flag == 0
	}
	f.extended, f.long = false, ""
	if !ok || name == "" || b[157] != 0 && f.flag != '1' && f.flag != '2' {
		return ambiguous(name)
	}
	return nil
}

// before takes the header of metadata: at most one pax header, or one long name of each sort, may
// stand before a member, since readers differ in which of several counts.
func (f *frame) before(name string, size int64) error {
	flag := string(f.flag)
	if f.extended || f.flag != 'L' && f.flag != 'K' && f.long != "" || strings.Contains(f.long, flag) {
		return ambiguous(name)
	}
	switch f.flag {
	case 'x':
		f.extended = true
		return nil // Walk sees its records
	case 'L', 'K':
		f.long += flag
	}
	if size == 0 || size > maxMeta {
		return ambiguous(name)
	}
	f.meta, f.skip = int(f.skip), 0
	return nil
}

// metadata looks at a long name or a global header. Of the latter, a comment is what git writes;
// anything else would hold for every member that follows, to some readers.
func (f *frame) metadata(b []byte) error {
	if f.flag != 'g' {
		if !padded(b) {
			return ambiguous(text(b))
		}
		return nil
	}
	record, rest, _ := strings.Cut(text(b), "\n")
	_, record, _ = strings.Cut(record, " ")
	if rest != "" || !padded(b) || !strings.HasPrefix(record, "comment=") {
		return ambiguous("pax_global_header")
	}
	return nil
}

// oneReading reports whether the fields of text in a header end where they seem to, and whether the
// format is one that everybody takes the folder of a long name from, or nobody.
func oneReading(b []byte) bool {
	if !padded(b[:100]) || !padded(b[157:257]) {
		return false
	}
	if string(b[257:263]) != "ustar\x00" {
		return true
	}
	return string(b[263:265]) == "00" && string(b[508:512]) != "tar\x00" && padded(b[345:500])
}

// summed reports whether the header has the checksum that it names, over unsigned bytes: archive/tar
// takes the sum over signed ones too, and others would look for a header elsewhere.
func summed(b []byte) bool {
	sum := int64(8 * ' ') // the field itself counts as spaces
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	named, ok := octal(b[148:156])
	return ok && named == sum && (b[155] == ' ' || b[155] == 0)
}

// text returns the bytes up to the first NUL.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// padded reports whether nothing but NUL follows the first NUL.
func padded(b []byte) bool {
	_, after, _ := bytes.Cut(b, []byte{0})
	return len(bytes.Trim(after, "\x00")) == 0
}

// octal reads a number in the one form that all readers take alike.
func octal(b []byte) (int64, bool) {
	s := strings.TrimLeft(strings.TrimRight(string(b), " \x00"), " ")
	n, err := strconv.ParseUint(s, 8, 62)
	return int64(n), err == nil && !strings.ContainsAny(s, "_+")
}

func ambiguous(name string) *fault.Error {
	return fault.New(fault.Invalid, "archive-ambiguous",
		"the entry %s is written in a way that tar readers take apart differently; pack the archive again with npm pack or GNU tar", quote(name))
}
