package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheEvidenceOfEveryPrincipleIsThere follows each test and document that the list names.
func TestTheEvidenceOfEveryPrincipleIsThere(t *testing.T) {
	t.Parallel()
	tracks, err := principles()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..")
	for _, track := range tracks {
		for _, p := range track.Principles {
			if len(p.evidence()) == 0 {
				t.Errorf("%s, level %d: %q rests on nothing", track.Name, p.Level, p.Text)
			}
			if p.Document != "" {
				if _, err := os.Stat(filepath.Join(root, p.Document)); err != nil {
					t.Error(err)
				}
			}
			for _, test := range p.Test {
				folder, name, _ := strings.Cut(test, " ")
				if !declared(t, filepath.Join(root, folder), name) {
					t.Errorf("%s, level %d: there is no test %s in %s", track.Name, p.Level, name, folder)
				}
			}
			for _, name := range p.Transcript {
				if _, err := os.Stat(filepath.Join(root, "e2e", "testdata", name+".txtar")); err != nil {
					t.Error(err)
				}
			}
			if _, ok := settingChecks[p.Check]; p.Check != "" && !ok {
				t.Errorf("no check is called %q", p.Check)
			}
		}
	}
}

func declared(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "func "+name+"(") {
			return true
		}
	}
	return false
}

func TestWithoutAServerTheTracksReachWhatTheProgramCanShow(t *testing.T) {
	t.Parallel()
	tracks, err := principles()
	if err != nil {
		t.Fatal(err)
	}
	if err := assess(t.Context(), nil, tracks); err != nil {
		t.Fatal(err)
	}
	for _, track := range tracks {
		if want := map[string]int{"Authentication": 3, "Authorization": 3, "General capabilities": 3, "Command line tooling": 3}[track.Name]; track.Level != want {
			t.Errorf("%s reaches level %d, want %d", track.Name, track.Level, want)
		}
	}
}
