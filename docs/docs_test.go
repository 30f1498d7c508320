package docs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/docs"
)

func TestEveryPageOnAnErrorIsCarried(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("errors")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	for _, file := range files {
		code := strings.TrimSuffix(file.Name(), ".md")
		if page, ok := docs.Error(code); !ok || !strings.HasPrefix(page, "# "+code+"\n") {
			t.Errorf("%s: the page begins with %.40q", code, page)
		}
	}
}

func TestWhatIsNoErrorCodeHasNoPage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "no-such-code", "../docs", "trace-unknown.md", "Trace-Unknown", "errors/trace-unknown", "-"} {
		if page, ok := docs.Error(text); ok || page != "" {
			t.Errorf("%q: %.40q", text, page)
		}
	}
}
