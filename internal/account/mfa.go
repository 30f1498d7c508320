package account

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// MFARule asks for a second factor. Of the rules that reach a name the strongest holds: a rule on a
// package never weakens the one of its organisation.
type MFARule struct {
	// Organisation alone: everything that it owns. Ecosystem with Namespace or Package: what they name.
	Organisation string
	Ecosystem    string
	Namespace    string
	Package      string
	// Action is "stage", "publish" or "own", each with what includes it, or "manage": members,
	// namespaces and settings of the organisation.
	Action string
	Level  Level // NoFactor removes the rule
	// Automation lets tokens with a bypass through, but for "manage".
	Automation bool
}

// manageAction is what a rule says for changes of an organisation itself.
const manageAction = "manage"

// kind is what the rule is on, and its name as the table has it.
func (r MFARule) kind() (kind, name string) {
	switch {
	case r.Package != "":
		return "package", r.Package
	case r.Namespace != "":
		return "namespace", r.Namespace
	}
	return "organisation", ""
}

// check fails with code mfa-rule-invalid.
func (r MFARule) check() error {
	kind, _ := r.kind()
	_, isPermission := ranks[evidence.Permission(r.Action)]
	named := r.Ecosystem != "" && (r.Namespace == "") != (r.Package == "")
	switch {
	case r.Organisation != "" && (kind != "organisation" || r.Ecosystem != ""), r.Organisation == "" && !named:
		return errRule("name an organisation, or an ecosystem with a namespace or a package")
	case !isPermission && r.Action != manageAction, r.Action == string(evidence.Read):
		return errRule("%q is not an action; use stage, publish, own or manage", clip(r.Action))
	case r.Action == manageAction && kind != "organisation":
		return errRule("manage is about an organisation; leave namespace and package out")
	case !r.Level.known() || r.Level == "":
		return errRule("%q is not a level; use none, any or phishing-resistant", clip(string(r.Level)))
	}
	return nil
}

func errRule(format string, args ...any) error {
	return fault.New(fault.Invalid, "mfa-rule-invalid", "the rule cannot be set: %s", fmt.Sprintf(format, args...))
}

// SetMFA sets or removes a rule; owners of the organisation, or of the name, may. To weaken a rule
// takes a factor that meets it. Codes: mfa-rule-invalid, those of SetMember and of Authorize.
func (s *Service) SetMFA(ctx context.Context, actor evidence.Actor, r MFARule) error {
	if err := r.check(); err != nil {
		return err
	}
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	kind, name := r.kind()
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := s.mayRule(ctx, tx, c, r); err != nil {
			return err
		}
		var before Level
		const current = `SELECT COALESCE((SELECT level FROM mfa_rule WHERE organisation = $1 AND ecosystem = $2 AND kind = $3 AND name = $4 AND action = $5), '')`
		if err := tx.QueryRowContext(ctx, current, r.Organisation, r.Ecosystem, kind, name, r.Action).Scan(&before); err != nil {
			return fmt.Errorf("read rule: %w", err)
		}
		if err := s.govern(ctx, c, actor, before); err != nil {
			return err
		}
		return s.putRule(ctx, tx, c, r)
	})
}

// mayRule checks that the credential's account owns what the rule is on.
func (s *Service) mayRule(ctx context.Context, tx *sql.Tx, c *credential, r MFARule) error {
	kind, name := r.kind()
	if kind == "organisation" {
		return requireRole(ctx, tx, c, r.Organisation, Owner)
	}
	ecosystem, err := ruleFor(r.Ecosystem)
	if err != nil {
		return err
	}
	if kind == "package" && !ecosystem.validName(name) || kind == "namespace" && !ecosystem.validNamespace(name) {
		return errRule("%q is not a %s of %s", clip(name), kind, r.Ecosystem)
	}
	g, err := readGrant(ctx, tx, grantKey{c.account, r.Ecosystem, name})
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	if kind == "namespace" && g.namespace != name {
		return errUnowned(r.Ecosystem, name)
	}
	if c.admin && g.namespace != "" {
		return nil
	}
	return g.decide(c, evidence.Own, r.Ecosystem, name)
}

func (s *Service) putRule(ctx context.Context, tx *sql.Tx, c *credential, r MFARule) error {
	kind, name := r.kind()
	const remove = `DELETE FROM mfa_rule WHERE organisation = $1 AND ecosystem = $2 AND kind = $3 AND name = $4 AND action = $5`
	if _, err := tx.ExecContext(ctx, remove, r.Organisation, r.Ecosystem, kind, name, r.Action); err != nil || r.Level == NoFactor {
		return err
	}
	const insert = `INSERT INTO mfa_rule (organisation, ecosystem, kind, name, action, level, automation, made_by, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	_, err := tx.ExecContext(ctx, insert, r.Organisation, r.Ecosystem, kind, name, r.Action, string(r.Level), bit(r.Automation), c.account, s.clk.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("write rule: %w", err)
	}
	return nil
}

// MFARules returns the rules of an organisation and of the names that it owns, to its members.
func (s *Service) MFARules(ctx context.Context, actor evidence.Actor, organisation string) ([]MFARule, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	if err := requireRole(ctx, s.db.Query(), c, organisation, Reader); err != nil {
		return nil, err
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT organisation, ecosystem, kind, name, action, level, automation FROM mfa_rule
		ORDER BY kind, ecosystem, name, action`)
	all, err := collect(rows, err, scanRule)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	var own []MFARule
	for _, r := range all {
		_, name := r.kind()
		owner := r.Organisation
		if owner == "" {
			g, err := readGrant(ctx, s.db.Query(), grantKey{"", r.Ecosystem, name})
			if err != nil {
				return nil, fmt.Errorf("read owner: %w", err)
			}
			owner = g.owner
		}
		if owner == organisation {
			own = append(own, r)
		}
	}
	return own, nil
}

func scanRule(rows *sql.Rows) (r MFARule, err error) {
	var kind, name string
	err = rows.Scan(&r.Organisation, &r.Ecosystem, &kind, &name, &r.Action, &r.Level, &r.Automation)
	switch kind {
	case "package":
		r.Package = name
	case "namespace":
		r.Namespace = name
	}
	return r, err
}

// demands is what the rules ask for, by the rank of a permission.
type demands [5]requirement

// readDemands joins the rules that reach a name whose namespace was found. A rule for an action
// holds for whatever includes it: who may withdraw does no less harm than who may publish.
func readDemands(ctx context.Context, q querier, k grantKey, g grant) (d demands, err error) {
	const query = `SELECT action, level, automation FROM mfa_rule WHERE kind = 'organisation' AND organisation = $1
		OR kind = 'namespace' AND ecosystem = $2 AND name = $3 OR kind = 'package' AND ecosystem = $2 AND name = $4`
	rows, err := q.QueryContext(ctx, query, g.owner, k.ecosystem, g.namespace, k.name)
	all, err := collect(rows, err, func(rows *sql.Rows) (r MFARule, err error) {
		return r, rows.Scan(&r.Action, &r.Level, &r.Automation)
	})
	for _, r := range all {
		from := ranks[evidence.Permission(r.Action)]
		for rank := range d {
			if from > 0 && rank >= from {
				d[rank] = d[rank].add(requirement{r.Level, r.Automation})
			}
		}
	}
	return d, err
}

// managing is what the rules of an organisation ask for before it is changed.
func managing(ctx context.Context, q querier, organisation string) (l Level, err error) {
	const query = `SELECT COALESCE((SELECT level FROM mfa_rule WHERE kind = 'organisation' AND organisation = $1 AND action = 'manage'), '')`
	if err := q.QueryRowContext(ctx, query, organisation).Scan(&l); err != nil {
		return l, fmt.Errorf("read rules: %w", err)
	}
	return l, nil
}

// Critical reports whether publishing to the name asks for phishing-resistant proof.
func (s *Service) Critical(ctx context.Context, ecosystem, name string) (bool, error) {
	g, err := s.grant(ctx, "", ecosystem, name, evidence.Publish)
	return g.demands[ranks[evidence.Publish]].level == PhishingResistant, err
}
