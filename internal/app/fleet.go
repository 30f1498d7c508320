package app

import (
	"context"

	"github.com/hullmark/hullmark/internal/recall"
)

// fleetMembers is who is enrolled, in the words of package recall.
func (a *App) fleetMembers(ctx context.Context) ([]recall.Member, error) {
	all, err := a.Accounts.Fleet(ctx)
	out := make([]recall.Member, len(all))
	for i, e := range all {
		out[i] = recall.Member{Receiver: e.Receiver(), Gate: e.Gate(), Seen: e.Seen}
	}
	return out, err
}
