package trace_test

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

func TestAReferenceToAnotherRegistryIsNotAnsweredWithTheImageHere(t *testing.T) {
	t.Parallel()
	plain := company(t)
	tracer := plain.WithHosts("Registry.Acme.Example", "", "lan:5000")
	for host, mine := range map[string]bool{
		"": true, "localhost/": true, "localhost:4873/": true, "127.0.0.1:8080/": true, "127.9.9.9/": true, "[::1]:5000/": true,
		"hullmark.localhost:1/": true, "registry.acme.example/": true, "registry.acme.example:443/": true, "lan:5000/": true,
		"docker://lan:5000/": true, "oci://localhost:1/": true, "docker://": true,
		"docker.io/": false, "ghcr.io/": false, "lan:5001/": false, "registry.acme.example:444/": false, "10.0.0.1/": false,
		"localhost.evil.example/": false, "docker://docker.io/": false,
	} {
		result, err := tracer.Trace(t.Context(), evidence.Actor{}, host+"acme/app:1.0")
		switch {
		case mine && (err != nil || result.Kind != "image"):
			t.Errorf("%s: %v", host, err)
		case !mine && (fault.As(err).Code != "trace-unknown" || !strings.Contains(err.Error(), "of that registry are not known here")):
			t.Errorf("%s: got %+v, %v", host, result, err)
		}
	}
	if _, err := plain.Trace(t.Context(), evidence.Actor{}, "lan:5000/acme/app:1.0"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the tracer that was copied took the hosts over: %v", err)
	}
}
