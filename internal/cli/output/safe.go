package output

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sgr is a sequence that sets colour or weight: what the styles of this package write.
var sgr = regexp.MustCompile("^\x1b\\[([0-9;]*)m")

// Safe returns text as it may go to a terminal. Much of what is printed was written by strangers (an
// image's instructions, a reason, a path): it must not move the cursor, overwrite the line above,
// hide what follows or reorder what is read. Line breaks, tabs and styles stay; anything else that
// controls is shown as U+FFFD.
func Safe(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, controls) {
		return text
	}
	var b strings.Builder
	skip := 0
	for i, r := range text {
		switch style := ""; {
		case i < skip:
		case r == '\x1b' && styleAt(text[i:]) != "":
			style = styleAt(text[i:])
			b.WriteString(style)
			skip = i + len(style)
		case controls(r):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// styleAt returns the style that text begins with, or "". Concealed text is none.
func styleAt(text string) string {
	m := sgr.FindStringSubmatch(text)
	if m == nil || slices.Contains(strings.Split(m[1], ";"), "8") {
		return ""
	}
	return m[0]
}

// controls reports whether r does something to a terminal other than stand there. Source: Unicode
// Standard, general category Cc; UAX 9 for the marks that change direction.
func controls(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}
