package image_test

import (
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/image"
)

func TestAnImageWhoseLayersWereNotReadIsNotHeldToBeScratch(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		inventory *evidence.Inventory
		want      image.Family
	}{
		"read to its end":     {&evidence.Inventory{}, image.Scratch},
		"not read to its end": {&evidence.Inventory{Incomplete: "truncated"}, image.Unknown},
		"not read at all":     {nil, image.Unknown},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			if got := image.Squash([]image.Layer{{Inventory: c.inventory}}).Family; got != c.want {
				t.Errorf("family %q, want %q", got, c.want)
			}
		})
	}
}
