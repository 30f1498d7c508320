package signal

import (
	"bytes"
	"slices"
)

// From where on each heuristic speaks. The measures are of files in popular packages: generated code
// reaches some of them, which is why only what is new to a package is told of.
const (
	longLine      = 5000 // bytes in one line
	packedRun     = 5000 // bytes of base64 or hex without a break
	offScreenRun  = 300  // blanks before something in the same line
	someEscapes   = 200  // "\x41" and the like, that are also a fifth of the file
	someNames     = 50   // names like _0x3fa2c1
	someInvisible = 10   // characters that no editor shows
	decodeWithin  = 200  // bytes between running something and decoding it
)

// shape is how a file looks. It is measured window by window.
type shape struct {
	size                      int
	line, longestLine         int
	run, longestRun           int
	blanks, longestBlanks     int
	escapes, names, invisible int
	decoded                   bool
}

// What the bytes of a text are to the heuristics.
const (
	isPacked = 1 << iota
	isBlank
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case isLetter(byte(c)), c >= '0' && c <= '9', c == '+', c == '/', c == '=', c == '-', c == '_':
			t[c] = isPacked
		case c == ' ' || c == '\t':
			t[c] = isBlank
		}
	}
	return t
}()

// see measures a window whose first bytes, up to fresh, were measured before.
func (m *shape) see(b []byte, fresh int) {
	m.runs(b[fresh:])
	m.size += len(b) - fresh
	m.escapes += count(b, `\x`, fresh) + count(b, `\u`, fresh)
	m.names += count(b, "_0x", fresh)
	m.invisible += invisible(b[fresh:])
	m.decoded = m.decoded || runsDecoded(b)
}

// runs measures lines, and packed text and blanks in those that are long enough to hold any.
func (m *shape) runs(b []byte) {
	for {
		end := bytes.IndexByte(b, '\n')
		segment := b
		if end >= 0 {
			segment = b[:end]
		}
		m.line += len(segment)
		m.longestLine = max(m.longestLine, m.line)
		if m.line >= offScreenRun || end < 0 {
			m.scan(segment)
		}
		if end < 0 {
			return // the line goes on in the next window
		}
		m.line, m.run, m.blanks = 0, 0, 0
		b = b[end+1:]
	}
}

// scan measures a part of one line.
func (m *shape) scan(b []byte) {
	run, blanks := m.run, m.blanks
	for _, c := range b {
		switch class[c] {
		case isPacked:
			m.longestBlanks = max(m.longestBlanks, blanks)
			run, blanks = run+1, 0
		case isBlank:
			m.longestRun = max(m.longestRun, run)
			run, blanks = 0, blanks+1
		default:
			m.longestRun, m.longestBlanks = max(m.longestRun, run), max(m.longestBlanks, blanks)
			run, blanks = 0, 0
		}
	}
	m.longestRun = max(m.longestRun, run)
	m.run, m.blanks = run, blanks
}

// count counts what ends after fresh.
func count(b []byte, what string, fresh int) int {
	return bytes.Count(b[max(0, fresh-len(what)+1):], []byte(what))
}

// invisible counts variation selectors, tags and zero-width characters, but for the selector that
// follows an emoji. Source: Unicode 16, "Default_Ignorable_Code_Point".
func invisible(b []byte) int {
	n := bytes.Count(b, []byte("\xf3\xa0\x84")) + bytes.Count(b, []byte("\xf3\xa0\x85")) + bytes.Count(b, []byte("\xf3\xa0\x86")) +
		bytes.Count(b, []byte("\xf3\xa0\x87")) + bytes.Count(b, []byte("\xf3\xa0\x80")) + bytes.Count(b, []byte("\xf3\xa0\x81"))
	for rest := b; ; {
		i := bytes.Index(rest, []byte("\xef\xb8"))
		if i < 0 || i+2 >= len(rest) {
			break
		}
		if c := rest[i+2]; c >= 0x80 && c < 0x8f {
			n++
		}
		rest = rest[i+2:]
	}
	for _, zero := range []string{"\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x81\xa0"} {
		n += bytes.Count(b, []byte(zero))
	}
	return n
}

// runners run a text as code, and decoders make one out of something else.
var (
	runners  = [][]byte{[]byte("eval"), []byte("Function"), []byte("exec"), []byte("runInThisContext"), []byte("loadstring")}
	decoders = [][]byte{
		[]byte("atob("), []byte("base64"), []byte("fromCharCode"), []byte("unescape("), []byte("b64decode"), []byte("unhexlify"),
		[]byte("Buffer.from("), []byte("decompress("), []byte("Base64.decode"), []byte("gunzip"), []byte("inflate"), []byte("marshal.loads"),
	}
)

// runsDecoded reports whether something is decoded close behind the word that runs it. It goes from one
// opening parenthesis to the next: looking for each word apart would take several passes.
func runsDecoded(b []byte) bool {
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:], '(')
		if i < 0 {
			return false
		}
		at += i
		if !endsInAny(b[:at], runners) {
			continue
		}
		near := b[at:min(len(b), at+decodeWithin)]
		if slices.ContainsFunc(decoders, func(decoder []byte) bool { return bytes.Contains(near, decoder) }) {
			return true
		}
	}
}

func endsInAny(b []byte, words [][]byte) bool {
	for _, word := range words {
		if bytes.HasSuffix(b, word) {
			return true
		}
	}
	return false
}

// opaque names the heuristics that speak.
func (m *shape) opaque() []string {
	var out []string
	for _, h := range []struct {
		speaks bool
		name   string
	}{
		{m.longestLine >= longLine, "long-line"},
		{m.longestRun >= packedRun, "packed-text"},
		{m.longestBlanks >= offScreenRun, "off-screen"},
		{m.escapes >= someEscapes && m.escapes*4*5 >= m.size, "escaped-text"},
		{m.names >= someNames, "generated-names"},
		{m.invisible >= someInvisible, "invisible-characters"},
		{m.decoded, "decoded-code"},
	} {
		if h.speaks {
			out = append(out, h.name)
		}
	}
	return out
}
