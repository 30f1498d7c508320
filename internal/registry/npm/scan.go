package npm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// maxDepth is how deep arrays and objects may nest in a document.
	maxDepth = 200
	// largeDocument is from how many bytes on a document waits for a place in memory.
	largeDocument = 1 << 20
)

// scanDocument copies the JSON document r without holding its attachments in memory: each string
// at _attachments.<name>.data is handed to attach as it arrives, with its JSON escapes undone, and
// stands as "" in the copy. The copy is at most limit bytes long.
//
// The scanner follows strings and brackets and leaves the grammar to encoding/json: what is not
// JSON going in is not JSON coming out, or is refused here. attach must read its reader to the end; without one,
// attachments count like the rest. large, if there is one, is called when the copy outgrows
// largeDocument, and may refuse to go on.
func scanDocument(r io.Reader, limit int, large func() error, attach func(name string, data io.Reader) error) ([]byte, error) {
	s := &scanner{r: bufio.NewReaderSize(r, 64<<10), limit: limit, large: large, attach: attach}
	for {
		c, err := s.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return s.out, s.end()
		}
		if err != nil {
			return nil, bodyUnreadable(err)
		}
		if err := s.take(c); err != nil {
			return nil, err
		}
	}
}

// frame is an open object or array. key is the last key seen in an object, and inValue says that
// its colon has passed.
type frame struct {
	object  bool
	inValue bool
	key     string
}

type scanner struct {
	r      *bufio.Reader
	out    []byte
	limit  int
	stack  []frame
	attach func(string, io.Reader) error
	large  func() error // nil once it was called
	// attached holds what was seen below _attachments: a second one of the same name would leave
	// open which of the two is meant.
	attached map[string]bool
	roots    int // how often the key _attachments was seen in the outermost object
}

func (s *scanner) take(c byte) error {
	switch c {
	case '"':
		return s.text()
	case '{', '[':
		if len(s.stack) == maxDepth {
			return malformed("it nests deeper than %d levels", maxDepth)
		}
		s.stack = append(s.stack, frame{object: c == '{'})
	case '}', ']':
		if len(s.stack) == 0 {
			return malformed("a bracket is closed that was not opened")
		}
		s.stack = s.stack[:len(s.stack)-1]
	case ':', ',':
		if len(s.stack) > 0 {
			s.top().inValue = c == ':'
		}
	}
	return s.emit(c)
}

func (s *scanner) top() *frame { return &s.stack[len(s.stack)-1] }

func (s *scanner) emit(p ...byte) error {
	if len(s.out)+len(p) > s.limit {
		return fault.New(fault.TooLarge, "body-too-large",
			"the request is larger than the %d MiB that are taken besides attachments; publish less metadata", s.limit>>20)
	}
	s.out = append(s.out, p...)
	if s.large != nil && len(s.out) > largeDocument {
		large := s.large
		s.large = nil
		return large()
	}
	return nil
}

// text copies or diverts the string whose opening quote was read.
func (s *scanner) text() error {
	if name, ok := s.attachment(); ok {
		return s.divert(name)
	}
	start := len(s.out)
	if err := s.copyText(); err != nil {
		return err
	}
	if len(s.stack) == 0 || !s.top().object || s.top().inValue {
		return nil
	}
	key, err := unquote(s.out[start:])
	if err != nil {
		return err
	}
	s.top().key = key
	if len(s.stack) == 1 && key == "_attachments" {
		s.roots++
	}
	if s.roots > 1 {
		return malformed("it has _attachments twice")
	}
	return nil
}

// unquote decodes a JSON string with its quotes.
func unquote(quoted []byte) (string, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return "", malformed("a key is not valid JSON").Because(err)
	}
	return text, nil
}

// attachment returns the name of the attachment whose data begins here.
func (s *scanner) attachment() (string, bool) {
	if s.attach == nil || len(s.stack) != 3 {
		return "", false
	}
	root, list, one := s.stack[0], s.stack[1], s.stack[2]
	inside := root.object && root.key == "_attachments" && list.object && one.object && one.key == "data" && one.inValue
	return list.key, inside
}

func (s *scanner) divert(name string) error {
	if s.attached[name] {
		return malformed("it has the attachment %q twice", fault.Clip(name))
	}
	if s.attached == nil {
		s.attached = map[string]bool{}
	}
	s.attached[name] = true
	data := &textReader{r: s.r}
	if err := s.attach(name, data); err != nil {
		return err
	}
	if !data.done {
		return malformed("the attachment %q does not end where it should", fault.Clip(name))
	}
	return s.emit('"', '"')
}

// copyText copies the rest of a string, its closing quote included.
func (s *scanner) copyText() error {
	if err := s.emit('"'); err != nil {
		return err
	}
	for escaped := false; ; {
		c, err := s.r.ReadByte()
		if err != nil {
			return bodyUnreadable(err)
		}
		if err := s.emit(c); err != nil {
			return err
		}
		if c == '"' && !escaped {
			return nil
		}
		escaped = c == '\\' && !escaped
	}
}

// end checks that the document was whole.
func (s *scanner) end() error {
	if len(s.stack) > 0 {
		return malformed("it ends in the middle")
	}
	return nil
}

func malformed(format string, args ...any) *fault.Error {
	f := fault.New(fault.Invalid, "body-malformed", format, args...)
	f.Text = "the request is not a package document: " + f.Text
	return f
}

// bodyUnreadable tells a body that stops early from one that says something wrong.
func bodyUnreadable(err error) error {
	return malformed("it could not be read to its end").Because(err)
}
