package app_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/app"
)

func TestAReferenceMayNameThePublicHostOrTheOneThatTheCallerReached(t *testing.T) {
	t.Parallel()
	a := open(t, app.Config{Data: t.TempDir(), PublicURL: "https://registry.acme.example/"})
	h := listen(t, a).Handler()
	for host, ours := range map[string]bool{"registry.acme.example": true, "lan:5000": true, "docker.io": false} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/trace?q="+host+"/acme/app:1", nil)
		r.Host = "lan:5000"
		got := send(h, r, "Bearer "+a.AdminToken)
		if got.Code != 404 || strings.Contains(got.Body.String(), "that registry") == ours {
			t.Errorf("%s: %d %s", host, got.Code, got.Body)
		}
	}
}
