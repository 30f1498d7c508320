package output_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/cli/output"
)

func TestAStrangersTextDoesNotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, ünïcode\tand\nlines":     "plain, ünïcode\tand\nlines",
		"\x1b[1mbold\x1b[m":              "\x1b[1mbold\x1b[m",
		"RUN x\r\x1b[2K holds":           "RUN x\ufffd\ufffd[2K holds",
		"\x1b]52;c;cm0gLXJm\a":           "\ufffd]52;c;cm0gLXJm\ufffd",
		"\x1b[1A\x1b[8mhidden":           "\ufffd[1A\ufffd[8mhidden",
		"c1 \u009b2J":                    "c1 \ufffd2J",
		"a byte \x9b2J":                  "a byte \ufffd2J",
		"pkg\u202egnp.exe":               "pkg\ufffdgnp.exe",
		"not utf-8 \xff and \x1b[31mred": "not utf-8 \ufffd and \x1b[31mred",
	} {
		if got := output.Safe(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
