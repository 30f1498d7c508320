package app_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// The matrix compares what a route does with what it declares; this is about what may be declared.
func TestNoRouteThatChangesAnythingAsksOnlyToRead(t *testing.T) {
	t.Parallel()
	s := listen(t, open(t, app.Config{Data: t.TempDir()}))
	rows := slices.Concat(authztest.FromRoutes("npm", s.NPM.Routes()), authztest.FromRoutes("oci", s.OCI.Routes()),
		authztest.FromDocument(t, "api", "../../api/openapi.yaml"))
	for _, row := range rows {
		if row.Access == registry.AccessNamespace && row.Permission == evidence.Read && row.Method != http.MethodGet && row.Method != http.MethodHead {
			t.Errorf("%s changes something and asks for no more than to read", row)
		}
	}
}
