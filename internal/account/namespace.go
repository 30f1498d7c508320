package account

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Visibility says who may read what is in a namespace.
type Visibility string

// The visibilities.
const (
	Private Visibility = "private" // members; the default
	Public  Visibility = "public"  // anyone
)

// Namespace is a set of names in one ecosystem that an organisation owns.
type Namespace struct {
	Ecosystem string
	// Pattern is an npm scope ("@acme" owns "@acme/…"), an unscoped npm name (owns itself), an OCI path
	// prefix ("acme" owns "acme" and all below it, but for narrower claims), a PyPI, RubyGems or NuGet name
	// or prefix ("acme-*", "acme.*" own "acme" and what begins so), or a Maven groupId and all below it.
	Pattern      string
	Organisation string
	Visibility   Visibility
	// Cooldown is how old a version must be before consumers get it; 0 is off.
	Cooldown  time.Duration
	Created   time.Time
	CreatedBy string
}

func (v Visibility) check() error {
	if v != Private && v != Public {
		return fault.New(fault.Invalid, "visibility-invalid", "%q is not a visibility; use private or public", clip(string(v)))
	}
	return nil
}

// Namespace returns the namespace that a name falls into; its Organisation is empty when nobody
// owns the name. The fields Created and CreatedBy are not set.
func (s *Service) Namespace(ctx context.Context, ecosystem, name string) (Namespace, error) {
	g, err := s.grant(ctx, "", ecosystem, name, evidence.Read)
	if err != nil || g.namespace == "" {
		return Namespace{}, err
	}
	return Namespace{Ecosystem: ecosystem, Pattern: g.namespace, Organisation: g.owner, Visibility: g.visibility, Cooldown: g.age()}, nil
}

// Owned reports whether a name is in a namespace that was claimed here; it implements registry.Owners.
func (s *Service) Owned(ctx context.Context, ecosystem, name string) (bool, error) {
	n, err := s.Namespace(ctx, ecosystem, name)
	return n.Pattern != "", err
}

// ClaimNamespace gives an organisation that the actor owns a namespace that nobody has. A namespace
// inside another one needs ownership of that other one too; for OCI the other one must exist:
// "acme/team" is given away by who owns "acme". A Maven groupId is a domain turned around, and
// nothing is published to it until [Service.ProveNamespace] has seen the proof. An empty visibility
// is private. Codes: organisation-unknown, organisation-not-yours, namespace-invalid,
// namespace-taken, namespace-occupied, namespace-unowned, namespace-not-yours, name-similar,
// name-known, visibility-invalid.
func (s *Service) ClaimNamespace(ctx context.Context, actor evidence.Actor, organisation, ecosystem, pattern string, v Visibility) error {
	return s.claim(ctx, actor, organisation, ecosystem, pattern, v, false)
}

// ClaimSimilarNamespace is ClaimNamespace for a name that is like another one, or known elsewhere, or
// around names that others have: somebody has looked at it. Only site administrators may.
func (s *Service) ClaimSimilarNamespace(ctx context.Context, actor evidence.Actor, organisation, ecosystem, pattern string, v Visibility) error {
	if err := s.requireAdmin(ctx, actor); err != nil {
		return err
	}
	return s.claim(ctx, actor, organisation, ecosystem, pattern, v, true)
}

func (s *Service) claim(ctx context.Context, actor evidence.Actor, organisation, ecosystem, pattern string, v Visibility, looked bool) error {
	if v == "" {
		v = Private
	}
	pattern, err := checkClaim(ecosystem, pattern, v)
	if err != nil {
		return err
	}
	challenge, err := s.randomText(tokenRandom)
	if err != nil {
		return err
	}
	return s.manage(ctx, actor, organisation, func(tx *sql.Tx, c *credential) error {
		if err := requireParent(ctx, tx, c, ecosystem, pattern); err != nil {
			return err
		}
		if !looked {
			if err := s.mayBeCalled(ctx, tx, organisation, ecosystem, pattern); err != nil {
				return err
			}
		}
		if err := s.take(ctx, tx, Namespace{Ecosystem: ecosystem, Pattern: pattern, Organisation: organisation, Visibility: v, CreatedBy: c.account}); err != nil {
			return err
		}
		if err := s.askProof(ctx, tx, organisation, ecosystem, pattern, challenge); err != nil {
			return err
		}
		return endPackageRoles(ctx, tx, ecosystem, pattern)
	})
}

// take writes a namespace that nobody has.
func (s *Service) take(ctx context.Context, tx *sql.Tx, n Namespace) error {
	const insert = `INSERT INTO namespace (ecosystem, pattern, organisation, visibility, created, created_by)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (ecosystem, pattern) DO NOTHING`
	made, err := affected(tx.ExecContext(ctx, insert, n.Ecosystem, n.Pattern, n.Organisation, string(n.Visibility), s.clk.Now().UnixMilli(), n.CreatedBy))
	if err != nil {
		return fmt.Errorf("claim namespace: %w", err)
	}
	if made == 0 {
		return fault.New(fault.Conflict, "namespace-taken", "%q has an owner already; ask it for a role, or choose another name", n.Pattern)
	}
	return nil
}

// endPackageRoles takes back the roles on single names, people's and teams', that a namespace covers, when it is claimed
// inside another one or handed over: they were the former owner's to give.
func endPackageRoles(ctx context.Context, tx *sql.Tx, ecosystem, pattern string) error {
	rows, err := tx.QueryContext(ctx, `SELECT name FROM package_member WHERE ecosystem = $1
		UNION SELECT name FROM team_grant WHERE ecosystem = $1`, ecosystem)
	names, err := collect(rows, err, func(rows *sql.Rows) (string, error) {
		var name string
		return name, rows.Scan(&name)
	})
	if err != nil {
		return fmt.Errorf("read package roles: %w", err)
	}
	for _, name := range names {
		if !slices.Contains(rules[ecosystem].holders(name), pattern) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM package_member WHERE ecosystem = $1 AND name = $2`, ecosystem, name); err != nil {
			return fmt.Errorf("end package roles: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM team_grant WHERE ecosystem = $1 AND name = $2`, ecosystem, name); err != nil {
			return fmt.Errorf("end roles of teams: %w", err)
		}
	}
	return nil
}

// checkClaim returns the pattern in the spelling under which it is kept.
func checkClaim(ecosystem, pattern string, v Visibility) (string, error) {
	r, err := ruleFor(ecosystem)
	if err != nil {
		return "", err
	}
	pattern = r.spelt(pattern)
	if !r.validNamespace(pattern) {
		return "", fault.New(fault.Invalid, "namespace-invalid",
			"%q cannot be a namespace of %s; expected something like @acme or left-pad for npm, acme or acme/team for oci, "+
				"acme-* or acme-ui for pypi and gem, acme.* for nuget, com.acme for maven", clip(pattern), ecosystem)
	}
	return pattern, v.check()
}

// requireParent checks that the actor owns the namespace around a nested one.
func requireParent(ctx context.Context, tx *sql.Tx, c *credential, ecosystem, pattern string) error {
	r := rules[ecosystem]
	around := r.holders(pattern)[1:]
	if len(around) == 0 {
		return nil
	}
	g, err := readGrant(ctx, tx, grantKey{c.account, ecosystem, around[0]})
	if err != nil {
		return fmt.Errorf("read parent: %w", err)
	}
	if g.namespace == "" && !r.nested {
		return nil
	}
	return g.decide(c, evidence.Own, ecosystem, around[0])
}

// SetVisibility changes who may read a namespace; owners of its organisation and site
// administrators may.
func (s *Service) SetVisibility(ctx context.Context, actor evidence.Actor, ecosystem, pattern string, v Visibility) error {
	pattern, err := checkClaim(ecosystem, pattern, v)
	if err != nil {
		return err
	}
	return s.changeNamespace(ctx, actor, ecosystem, pattern, `UPDATE namespace SET visibility = $1 WHERE ecosystem = $2 AND pattern = $3`, string(v))
}

// changeNamespace runs an update of one setting of a namespace, for who may make it.
func (s *Service) changeNamespace(ctx context.Context, actor evidence.Actor, ecosystem, pattern, update string, value any) error {
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		g, err := readGrant(ctx, tx, grantKey{c.account, ecosystem, pattern})
		if err != nil {
			return fmt.Errorf("read namespace: %w", err)
		}
		if g.namespace != pattern {
			return errUnowned(ecosystem, pattern)
		}
		if err := requireRole(ctx, tx, c, g.owner, Owner); err != nil {
			return err
		}
		level, err := managing(ctx, tx, g.owner)
		if err != nil {
			return err
		}
		if err := s.govern(ctx, c, actor, level); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, update, value, ecosystem, pattern); err != nil {
			return fmt.Errorf("change namespace: %w", err)
		}
		return nil
	})
}

// ListNamespaces returns the namespaces of an organisation, to its members and site administrators,
// by ecosystem and pattern.
func (s *Service) ListNamespaces(ctx context.Context, actor evidence.Actor, organisation string) ([]Namespace, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	if err := requireRole(ctx, s.db.Query(), c, organisation, Reader); err != nil {
		return nil, err
	}
	const query = `SELECT ecosystem, pattern, organisation, visibility, cooldown, created, created_by FROM namespace
		WHERE organisation = $1 ORDER BY ecosystem, pattern`
	rows, err := s.db.Query().QueryContext(ctx, query, organisation)
	return collect(rows, err, func(rows *sql.Rows) (Namespace, error) {
		var n Namespace
		var cooldown, created int64
		err := rows.Scan(&n.Ecosystem, &n.Pattern, &n.Organisation, &n.Visibility, &cooldown, &created, &n.CreatedBy)
		n.Cooldown, n.Created = time.Duration(cooldown)*time.Second, fromMillis(created)
		return n, err
	})
}

// PublicNamespaces returns the namespaces of an ecosystem that everybody may see, by pattern.
func (s *Service) PublicNamespaces(ctx context.Context, ecosystem string) ([]Namespace, error) {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT pattern, organisation FROM namespace
		WHERE ecosystem = $1 AND visibility = $2 ORDER BY pattern`, ecosystem, Public)
	return collect(rows, err, func(rows *sql.Rows) (Namespace, error) {
		n := Namespace{Ecosystem: ecosystem, Visibility: Public}
		err := rows.Scan(&n.Pattern, &n.Organisation)
		return n, err
	})
}
