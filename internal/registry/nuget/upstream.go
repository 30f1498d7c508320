package nuget

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

func (r *Registry) upstreamEntries(ctx context.Context, name string) ([]*entry, error) {
	return nil, fault.New(fault.NotFound, "name-unknown", "there is no NuGet package %q here", name)
}

func (r *Registry) upstreamState(ctx context.Context, name string) (string, error) { return "", nil }

func (r *Registry) serveUpstream(w http.ResponseWriter, req *http.Request, actor evidence.Actor, name, key string) error {
	return fileUnknown(name, fileName(name, key, packageType))
}
