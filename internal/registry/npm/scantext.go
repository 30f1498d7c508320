package npm

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
)

// textReader reads the inside of a JSON string, whose opening quote was read, up to and including
// its closing quote. It yields the bytes that the string stands for; a \u escape beyond ASCII is
// refused, because no attachment that we take (base64) holds one.
type textReader struct {
	r    *bufio.Reader
	done bool
}

// Read implements io.Reader. It returns io.EOF after the closing quote.
func (t *textReader) Read(p []byte) (int, error) {
	if t.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := t.r.Peek(1); err != nil {
		return 0, bodyUnreadable(err)
	}
	ahead, _ := t.r.Peek(min(t.r.Buffered(), len(p)))
	if i := bytes.IndexByte(ahead, '"'); i >= 0 {
		ahead = ahead[:i]
	}
	if i := bytes.IndexByte(ahead, '\\'); i >= 0 {
		ahead = ahead[:i]
	}
	if len(ahead) == 0 {
		return t.special(p)
	}
	n := copy(p, ahead)
	_, err := t.r.Discard(n)
	return n, err
}

// special handles the closing quote and escapes.
func (t *textReader) special(p []byte) (int, error) {
	c, err := t.r.ReadByte()
	if err != nil {
		return 0, bodyUnreadable(err)
	}
	if c == '"' {
		t.done = true
		return 0, io.EOF
	}
	p[0], err = t.escape()
	if err != nil {
		return 0, err
	}
	return 1, nil
}

var simpleEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (t *textReader) escape() (byte, error) {
	c, err := t.r.ReadByte()
	if err != nil {
		return 0, bodyUnreadable(err)
	}
	if plain, ok := simpleEscapes[c]; ok {
		return plain, nil
	}
	if c != 'u' {
		return 0, malformed("an attachment holds the escape \\%c", c)
	}
	var hex [4]byte
	if _, err := io.ReadFull(t.r, hex[:]); err != nil {
		return 0, bodyUnreadable(err)
	}
	n, err := strconv.ParseUint(string(hex[:]), 16, 32)
	if err != nil || n > 0x7f {
		return 0, malformed("an attachment holds the escape \\u%s", hex[:])
	}
	return byte(n), nil
}
