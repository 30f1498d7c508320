package account

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

//go:embed team.sql
var teamSQL string

// Team is some members of an organisation. Its grants give them roles on names that the organisation
// owns, in any ecosystem, beside the role that each has in the organisation: a reader there may be a
// maintainer of two packages and one path of images.
type Team struct {
	Organisation string
	Name         string
	Description  string
}

// TeamGrant is a role of a team on a name: a package, or a namespace with all that it covers.
type TeamGrant struct {
	Ecosystem string
	Name      string
	Role      Role
}

// CreateTeam creates a team without members; owners of its organisation and site administrators may.
// Codes: those of SetMember; name-invalid, name-taken, body-too-large.
func (s *Service) CreateTeam(ctx context.Context, actor evidence.Actor, t Team) error {
	if !accountName.MatchString(t.Name) {
		return fault.New(fault.Invalid, "name-invalid",
			"%q cannot be the name of a team; use 1 to 40 of a-z, 0-9, dot, dash and underscore, beginning and ending with a letter or digit", clip(t.Name))
	}
	if len(t.Description) > maxDescription {
		return fault.New(fault.TooLarge, "body-too-large", "a team's description may have %d bytes; shorten it", maxDescription)
	}
	return s.manage(ctx, actor, t.Organisation, func(tx *sql.Tx, c *credential) error {
		const insert = `INSERT INTO team (organisation, name, description, created, created_by) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (organisation, name) DO NOTHING`
		return insertNew(ctx, tx, t.Organisation+":"+t.Name, insert, t.Organisation, t.Name, t.Description, s.clk.Now().UnixMilli(), c.account)
	})
}

// DestroyTeam removes a team with its members and grants. Code team-unknown and those of SetMember.
func (s *Service) DestroyTeam(ctx context.Context, actor evidence.Actor, organisation, team string) error {
	return s.manageTeam(ctx, actor, organisation, team, func(tx *sql.Tx) error {
		for _, remove := range []string{
			`DELETE FROM team_grant WHERE organisation = $1 AND team = $2`,
			`DELETE FROM team_member WHERE organisation = $1 AND team = $2`,
			`DELETE FROM team WHERE organisation = $1 AND name = $2`,
		} {
			if _, err := tx.ExecContext(ctx, remove, organisation, team); err != nil {
				return fmt.Errorf("destroy team: %w", err)
			}
		}
		return nil
	})
}

// AddTeamMember puts a member of the organisation into a team. Codes: team-unknown, user-unknown for
// who is no member, and those of SetMember.
func (s *Service) AddTeamMember(ctx context.Context, actor evidence.Actor, organisation, team, user string) error {
	return s.manageTeam(ctx, actor, organisation, team, func(tx *sql.Tx) error {
		var members int
		const query = `SELECT count(*) FROM organisation_member WHERE organisation = $1 AND account = $2`
		if err := tx.QueryRowContext(ctx, query, organisation, user).Scan(&members); err != nil {
			return fmt.Errorf("look for member: %w", err)
		}
		if members == 0 {
			return fault.New(fault.NotFound, "user-unknown", "%q is not a member of %s; make them one first", clip(user), organisation)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO team_member (organisation, team, account) VALUES ($1, $2, $3)
			ON CONFLICT (organisation, team, account) DO NOTHING`, organisation, team, user)
		return err
	})
}

// RemoveTeamMember takes a user out of a team. Codes: team-unknown, user-unknown and those of SetMember.
func (s *Service) RemoveTeamMember(ctx context.Context, actor evidence.Actor, organisation, team, user string) error {
	return s.manageTeam(ctx, actor, organisation, team, func(tx *sql.Tx) error {
		const remove = `DELETE FROM team_member WHERE organisation = $1 AND team = $2 AND account = $3`
		n, err := affected(tx.ExecContext(ctx, remove, organisation, team, user))
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "user-unknown", "%q is not in the team %s of %s; list its members to see who is", clip(user), team, organisation)
		}
		return err
	})
}

// SetTeamRole gives a team a role on a name, or takes it away with an empty one. The organisation must
// own the name. Owner is not a team's to have: who may change members and withdraw versions is named one by
// one. Codes: team-unknown, role-invalid, namespace-not-yours, namespace-unowned, name-invalid and those of SetMember.
func (s *Service) SetTeamRole(ctx context.Context, actor evidence.Actor, organisation, team string, g TeamGrant) error {
	if g.Role != "" && g.Role != Reader && g.Role != Maintainer {
		return fault.New(fault.Invalid, "role-invalid", "%q is not a role of a team; use reader or maintainer", clip(string(g.Role)))
	}
	rule, err := ruleFor(g.Ecosystem)
	if err != nil {
		return err
	}
	if g.Name = rule.spelt(g.Name); !rule.validName(g.Name) && !rule.validNamespace(g.Name) {
		return errName(g.Ecosystem, g.Name, evidence.Own)
	}
	return s.manageTeam(ctx, actor, organisation, team, func(tx *sql.Tx) error {
		const remove = `DELETE FROM team_grant WHERE organisation = $1 AND team = $2 AND ecosystem = $3 AND name = $4`
		if _, err := tx.ExecContext(ctx, remove, organisation, team, g.Ecosystem, g.Name); err != nil || g.Role == "" {
			return err
		}
		owned, err := readGrant(ctx, tx, grantKey{ecosystem: g.Ecosystem, name: g.Name})
		switch {
		case err != nil:
			return err
		case owned.namespace == "":
			return errUnowned(g.Ecosystem, g.Name)
		case owned.owner != organisation:
			return fault.New(fault.Denied, "namespace-not-yours", "%q does not belong to %s; a team has roles on its own organisation's names only", g.Name, organisation)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO team_grant (organisation, team, ecosystem, name, role) VALUES ($1, $2, $3, $4, $5)`,
			organisation, team, g.Ecosystem, g.Name, string(g.Role))
		return err
	})
}

// manageTeam is manage for a team that exists.
func (s *Service) manageTeam(ctx context.Context, actor evidence.Actor, organisation, team string, fn func(*sql.Tx) error) error {
	return s.manage(ctx, actor, organisation, func(tx *sql.Tx, _ *credential) error {
		if err := requireTeam(ctx, tx, organisation, team); err != nil {
			return err
		}
		return fn(tx)
	})
}

func requireTeam(ctx context.Context, q querier, organisation, team string) error {
	var n int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM team WHERE organisation = $1 AND name = $2`, organisation, team).Scan(&n); err != nil {
		return fmt.Errorf("look for team: %w", err)
	}
	if n == 0 {
		return fault.New(fault.NotFound, "team-unknown", "%s has no team %q; list its teams to see which there are", organisation, clip(team))
	}
	return nil
}

// Teams returns an organisation's teams by name, to its members and site administrators.
func (s *Service) Teams(ctx context.Context, actor evidence.Actor, organisation string) ([]Team, error) {
	if err := s.mayLook(ctx, actor, organisation); err != nil {
		return nil, err
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT name, description FROM team WHERE organisation = $1 ORDER BY name`, organisation)
	return collect(rows, err, func(rows *sql.Rows) (Team, error) {
		t := Team{Organisation: organisation}
		err := rows.Scan(&t.Name, &t.Description)
		return t, err
	})
}

// TeamMembers returns the users in a team by name, to members of the organisation and site administrators.
func (s *Service) TeamMembers(ctx context.Context, actor evidence.Actor, organisation, team string) ([]string, error) {
	if err := s.mayLookAt(ctx, actor, organisation, team); err != nil {
		return nil, err
	}
	const query = `SELECT t.account FROM team_member t JOIN organisation_member m ON m.organisation = t.organisation AND m.account = t.account
		WHERE t.organisation = $1 AND t.team = $2 ORDER BY t.account`
	rows, err := s.db.Query().QueryContext(ctx, query, organisation, team)
	return collect(rows, err, func(rows *sql.Rows) (string, error) {
		var name string
		err := rows.Scan(&name)
		return name, err
	})
}

// TeamGrants returns what a team may do, by ecosystem and name, to members of the organisation and site
// administrators.
func (s *Service) TeamGrants(ctx context.Context, actor evidence.Actor, organisation, team string) ([]TeamGrant, error) {
	if err := s.mayLookAt(ctx, actor, organisation, team); err != nil {
		return nil, err
	}
	const query = `SELECT ecosystem, name, role FROM team_grant WHERE organisation = $1 AND team = $2 ORDER BY ecosystem, name`
	rows, err := s.db.Query().QueryContext(ctx, query, organisation, team)
	return collect(rows, err, func(rows *sql.Rows) (TeamGrant, error) {
		var g TeamGrant
		err := rows.Scan(&g.Ecosystem, &g.Name, &g.Role)
		return g, err
	})
}

func (s *Service) mayLookAt(ctx context.Context, actor evidence.Actor, organisation, team string) error {
	if err := s.mayLook(ctx, actor, organisation); err != nil {
		return err
	}
	return requireTeam(ctx, s.db.Query(), organisation, team)
}

func (s *Service) mayLook(ctx context.Context, actor evidence.Actor, organisation string) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	return requireRole(ctx, s.db.Query(), c, organisation, Reader)
}

// byTeam returns everybody whom teams of an organisation give a role on a name, once for each grant. Who
// has left the organisation has nothing from its teams.
func byTeam(ctx context.Context, q querier, organisation, ecosystem, name string) ([]Member, error) {
	names := append([]string{name}, rules[ecosystem].holders(name)...)
	args, places := []any{organisation, ecosystem}, make([]string, len(names))
	for i, n := range names {
		args = append(args, n)
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	query := `SELECT t.account, g.role FROM team_grant g
		JOIN team_member t ON t.organisation = g.organisation AND t.team = g.team
		JOIN organisation_member m ON m.organisation = t.organisation AND m.account = t.account
		WHERE g.organisation = $1 AND g.ecosystem = $2 AND g.name IN (` + strings.Join(places, ", ") + `)`
	rows, err := q.QueryContext(ctx, query, args...)
	return collect(rows, err, scanMember)
}

// teamRole is the strongest role that teams give an account on a name.
func teamRole(ctx context.Context, q querier, organisation string, k grantKey) (Role, error) {
	if k.account == "" {
		return "", nil
	}
	members, err := byTeam(ctx, q, organisation, k.ecosystem, k.name)
	var role Role
	for _, m := range members {
		if m.Account == k.account {
			role = higher(role, m.Role)
		}
	}
	return role, err
}

// RoleOn returns the strongest role that a user has on a name, through the organisation, a team or
// directly; empty for none. Whether the caller may know is the caller's to authorise.
func (s *Service) RoleOn(ctx context.Context, ecosystem, name, user string) (Role, error) {
	g, err := s.grant(ctx, user, ecosystem, name, evidence.Read)
	return g.role, err
}
