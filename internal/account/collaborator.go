package account

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
)

// SetPackageRole gives user a role on one name, beside what the owning organisation gives them;
// an empty role takes it away again. It needs Own on the name. Codes: those of Authorize,
// user-unknown, role-invalid.
func (s *Service) SetPackageRole(ctx context.Context, actor evidence.Actor, ecosystem, name, user string, role Role) error {
	if err := s.Authorize(ctx, actor, evidence.Own, ecosystem, name); err != nil {
		return err
	}
	if role != "" {
		if err := role.check(); err != nil {
			return err
		}
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := requireUser(ctx, tx, user); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM package_member WHERE ecosystem = $1 AND name = $2 AND account = $3`,
			ecosystem, name, user); err != nil || role == "" {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO package_member (ecosystem, name, account, role) VALUES ($1, $2, $3, $4)`,
			ecosystem, name, user, string(role))
		return err
	})
}

// Collaborators returns, by name, who has a role on a name and which, through the organisation or
// directly. Whether the caller may know is the caller's to authorise.
func (s *Service) Collaborators(ctx context.Context, ecosystem, name string) ([]Member, error) {
	g, err := s.grant(ctx, "", ecosystem, name, evidence.Read)
	if err != nil || g.namespace == "" {
		return nil, err
	}
	const query = `SELECT account, role FROM organisation_member WHERE organisation = $1
		UNION ALL SELECT account, role FROM package_member WHERE ecosystem = $2 AND name = $3`
	rows, err := s.db.Query().QueryContext(ctx, query, g.owner, ecosystem, name)
	found, err := collect(rows, err, scanMember)
	if err != nil {
		return nil, fmt.Errorf("read collaborators: %w", err)
	}
	teams, err := byTeam(ctx, s.db.Query(), g.owner, ecosystem, name)
	if err != nil {
		return nil, fmt.Errorf("read teams: %w", err)
	}
	found = append(found, teams...)
	strongest := map[string]Role{}
	for _, m := range found {
		strongest[m.Account] = higher(strongest[m.Account], m.Role)
	}
	var members []Member
	for _, account := range slices.Sorted(maps.Keys(strongest)) {
		members = append(members, Member{Account: account, Role: strongest[account]})
	}
	return members, nil
}
