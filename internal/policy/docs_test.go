package policy

import (
	"os"
	"strings"
	"testing"
)

func TestTheReferenceListsEveryFieldAndShippedPolicy(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields() {
		if strings.HasPrefix(f.Path, "component.") || strings.HasPrefix(f.Path, "recall.") {
			continue // listed below record
		}
		if !strings.Contains(string(page), "| `"+f.Path+"` | "+f.Type+" |") {
			t.Errorf("docs/reference/policies.md does not list %s, a %s", f.Path, f.Type)
		}
	}
	for _, d := range Shipped().Policies {
		if !strings.Contains(string(page), "| "+d.Metadata.Name+" | "+string(d.Spec.Stage)+" |") {
			t.Errorf("docs/reference/policies.md does not list %s at stage %s", d.Metadata.Name, d.Spec.Stage)
		}
	}
}

// TestTheExampleOfTheReferenceCompiles reads the first YAML block of the page.
func TestTheExampleOfTheReferenceCompiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	if p := compiled(t, example); len(p.Names()) != 1 {
		t.Errorf("names %v", p.Names())
	}
}
