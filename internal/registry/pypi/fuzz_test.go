package pypi

import (
	"bytes"
	"io"
	"net/http/httptest"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
)

func ours(t *testing.T, err error) {
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bytes caused an internal error: %v", err)
	}
}

// FuzzIndex reads an upstream's index in both forms.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`<a href="../a-1.0.tar.gz#sha256=00" data-yanked="" data-core-metadata="sha256=00">a-1.0.tar.gz</a>`), false)
	f.Add([]byte(`{"files":[{"filename":"a-1.0-py3-none-any.whl","url":"x","hashes":{"sha256":"00"},"yanked":"x","core-metadata":{"sha256":"00"}}]}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, isJSON bool) {
		doc := &registry.Document{Body: raw, ContentType: typeText, Base: "https://up.example/simple/a/"}
		if isJSON {
			doc.ContentType = typeJSON
		}
		l, err := parseIndex("a", doc)
		if err != nil {
			return
		}
		for _, one := range l.files {
			if kind, version, ok := parseListed("a", one.File); !ok || version != one.Version || string(kind) != one.ArtifactType {
				t.Errorf("listed %+v", one)
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	d := pypitest.Dist{Name: "a", Version: "1.0"}
	contentType, body := d.Form(d.WheelFile(), d.WheelBytes(), nil)
	f.Add(contentType, body)
	r := &Registry{limits: DefaultLimits()}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		req := httptest.NewRequest("POST", "/legacy/", bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		_, err := r.readForm(req, func(_ string, _ map[string][]string, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			if err != nil {
				return cutOff(err)
			}
			return nil
		})
		ours(t, err)
	})
}
