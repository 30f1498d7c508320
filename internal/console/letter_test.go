package console_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/console"
)

func letter(t *testing.T, kind string, data map[string]any) (subject, text string) {
	t.Helper()
	raw, err := json.Marshal(data)
	must(t, err)
	m, err := console.Letter(account.Notice{
		Kind: kind, Account: "alice", Address: "alice@example.com", Data: raw, Created: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC),
	}, site)
	must(t, err)
	return m.Subject, m.Text
}

func TestWhatOthersChoseStandsInALetterShortOnOneLineAndWithoutLinks(t *testing.T) {
	t.Parallel()
	_, text := letter(t, "package-reported", map[string]any{
		"package": "pkg:npm/left-pad@1.0.0", "by": "mallory", "quarantined": true,
		"reason": "x\r\n\r\nYour account is locked. Sign in at https://evil.example/account or www.evil.example \u202e" + strings.Repeat("y", 5000),
	})
	for _, bad := range []string{"https://evil", "www.evil", "\nYour account", "\u202e", strings.Repeat("y", 200)} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in the letter:\n%s", bad, text)
		}
	}
	if !strings.Contains(text, "Your account is locked") || !strings.Contains(text, site+"/report/") {
		t.Errorf("the letter lost its words:\n%s", text)
	}
}

func TestEveryLetterHasASubjectAndSaysWhoseAccountItIsAbout(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("letters"), "*.txt")
	must(t, err)
	if len(files) < 10 {
		t.Fatalf("found %v", files)
	}
	for _, file := range append(files, "unheard-of.txt") {
		subject, text := letter(t, strings.TrimSuffix(file, ".txt"), nil)
		if subject == "" || strings.Contains(subject, "<no value>") || strings.Contains(text, "<no value>") || !strings.Contains(text, "about the account alice") {
			t.Errorf("%s: %q\n%s", file, subject, text)
		}
	}
}
