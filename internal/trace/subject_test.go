package trace_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/trace/tracetest"
)

func TestALayersCompressedBytesHaveTheRecordOfTheLayer(t *testing.T) {
	t.Parallel()
	tracer := company(t)
	for given, want := range map[string]string{
		string(tracetest.Digest("blob npm install")): string(tracetest.Digest("diff npm install")),
		string(tracetest.Digest("diff npm install")): string(tracetest.Digest("diff npm install")),
		"pkg:npm/%40acme/ui@1.0.0":                   "pkg:npm/%40acme/ui@1.0.0",
	} {
		if got, err := tracer.Subject(t.Context(), given); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", given, got, err, want)
		}
	}
}
