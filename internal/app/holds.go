package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/registry"
)

// reviewer is the publish stage in the words of the registry core.
type reviewer struct{ *publish.Service }

// Review implements registry.Reviewer.
func (r reviewer) Review(ctx context.Context, actor evidence.Actor, u registry.Upload) (*registry.Hold, error) {
	f, err := r.Service.Review(ctx, publish.Candidate{
		Actor:     actor,
		Ecosystem: u.Ecosystem, Name: u.Name, Version: u.Version, PURL: u.PURL, Inventory: u.Inventory, Order: u.Order,
	})
	if f == nil || err != nil {
		return nil, err
	}
	return &registry.Hold{Code: f.Code, Summary: f.Summary, Reasons: f.Reasons, Input: f.Input}, nil
}
