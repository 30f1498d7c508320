package maven

import (
	"context"
	"net/http"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

func (r *Registry) serveUpstreamFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor, t target) error {
	return fileUnknown(t.coordinates)
}

func (r *Registry) serveUpstreamSnapshot(w http.ResponseWriter, req *http.Request, t target) error {
	return nameUnknown(t.name())
}

func (r *Registry) upstreamPage(ctx context.Context, name string) (*registry.Page, error) {
	return nil, nameUnknown(name)
}

func (r *Registry) upstreamGroup(ctx context.Context, group string) (*registry.Page, error) {
	return nil, nameUnknown(group)
}
