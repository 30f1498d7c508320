package maven

import (
	"strings"

	"github.com/hullmark/hullmark/internal/registry"
)

// portalPath is where the Portal's interface is.
const portalPath = "/api/v1/"

func isPortal(path string) bool { return strings.HasPrefix(path, portalPath) }

func (r *Registry) portalRoutes() []registry.Route { return nil }
