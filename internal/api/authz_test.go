package api_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
)

func TestTheAuthorisationMatrixOfTheRESTInterface(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	authztest.Run(t, s.handler, authztest.FromDocument(t, "api", "../../api/openapi.yaml"), s.API)
}
