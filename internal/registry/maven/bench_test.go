package maven_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkFile is a download of 20 KB, without the network.
func BenchmarkFile(b *testing.B) {
	in := start(b)
	const at = "com/acme/ui/1.0/ui-1.0.bin"
	in.do(b, "alice", "PUT", at, strings.Repeat("x", 20_000)).want(b, 201)
	r := httptest.NewRequestWithContext(b.Context(), "GET", "/com/acme/ui/1.0/ui-1.0.bin", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		in.handler.ServeHTTP(w, r.Clone(b.Context()))
		if w.n != 20_000 {
			b.Fatalf("%d bytes, status %d", w.n, w.status)
		}
	}
}

// discard counts what is sent.
type discard struct {
	header    http.Header
	n, status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { d.n += len(p); return len(p), nil }
