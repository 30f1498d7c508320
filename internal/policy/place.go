package policy

import (
	"strings"
	"unicode/utf8"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// locate moves a place in an expression to the place in the file that holds it, so that an editor can go
// there. It follows how YAML folds lines, as far as people write: where escapes or blank lines make it
// wrong, it names the right line or one near it.
func locate(lines []string, e Expression, in ir.Position) ir.Position {
	switch {
	case in.Line == 0 || e.at.Line == 0 || e.at.Line > len(lines):
		return e.at
	case e.literal:
		line := e.at.Line + in.Line - 1
		if line > len(lines) {
			return e.at
		}
		return ir.Position{Line: line, Column: indent(lines[e.at.Line-1]) + in.Column}
	}
	start, left := e.at.Column-1, in.Column-1
	for line := e.at.Line; line <= len(lines); line++ {
		if start < 0 || line > e.at.Line {
			start = indent(lines[line-1])
		}
		length := utf8.RuneCountInString(strings.TrimRight(lines[line-1][min(start, len(lines[line-1])):], " \r"))
		if left <= length {
			return ir.Position{Line: line, Column: start + left + 1}
		}
		left -= length + 1 // the line break, folded to a space
	}
	return e.at
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
