package account

import (
	"context"

	"github.com/hullmark/hullmark/internal/evidence"
)

// RequireAdmin fails unless the actor is a site administrator with an unrestricted credential.
// Codes: login-required, credential-invalid, token-expired, token-scope, admin-required.
func (s *Service) RequireAdmin(ctx context.Context, actor evidence.Actor) error {
	return s.requireAdmin(ctx, actor)
}
