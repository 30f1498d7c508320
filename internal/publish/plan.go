package publish

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

var (
	errMoved    = errors.New("the release changed in between")
	errApproved = errors.New("the account has approved it already")
)

// approvalPlan is what an approval was found to do. It is checked again inside the transaction, with
// every other append excluded.
type approvalPlan struct {
	release  release
	account  string
	needed   int
	standing []string // whose approvals count besides the account's own
	releases bool
	tags     []string
	asked    int // how often something was brought in: a file that came since is not approved with the others
	parts    []part
	before   Approval // the account's own earlier one, when there is
}

// part is a held release that another one consists of.
type part struct {
	release release
	tags    []string
}

// maxParts is how many waiting parts are released with one approval: a statement each, three at a time.
const maxParts = 300

// planRelease finds out whether the actor's approval is the last that a held release needs.
func (s *Service) planRelease(ctx context.Context, actor evidence.Actor, r release, p *approvalPlan) error {
	settings, err := s.of(ctx, r.ecosystem, r.name)
	if err != nil {
		return err
	}
	if err := s.count(ctx, s.record.DB().Query(), p); err != nil {
		return err
	}
	p.needed = settings.Approvals
	if p.releases = len(p.standing)+1 >= p.needed; !p.releases {
		return nil
	}
	if p.parts, err = s.parts(ctx, r); err != nil {
		return err
	}
	for _, one := range p.parts {
		if slices.Contains(one.release.by, actor.Account) {
			return s.refuse(ctx, actor, r, fault.New(fault.Denied, "approval-second-person",
				"%s pushed %s, which is part of %s, so somebody else has to approve it", actor.Account, one.release.purl, r.purl))
		}
	}
	return nil
}

// count reads what was asked for and who stands by the release, the account itself left out.
func (s *Service) count(ctx context.Context, q querier, p *approvalPlan) error {
	asked, err := s.asked(ctx, q, p.release)
	if err != nil {
		return err
	}
	p.tags, p.asked = asked.tags, asked.n
	all, err := s.standing(ctx, q, p.release)
	p.standing = slices.DeleteFunc(all, func(a string) bool { return a == p.account })
	return err
}

// checkPlan fails with errMoved when the plan no longer holds, and with errApproved when the approval
// would say nothing new.
func (s *Service) checkPlan(ctx context.Context, tx *sql.Tx, p *approvalPlan) error {
	r := p.release
	state, recalled, err := stateOf(ctx, tx, r)
	switch {
	case err != nil:
		return err
	case recalled != "":
		return fault.New(fault.Policy, "release-recalled", "%s was recalled: %s; lift the recall first", r.purl, recalled)
	case state == stateWithdrawn:
		return fault.New(fault.NotFound, "version-withdrawn", "%s was withdrawn or rejected; publish a new version", r.purl)
	case state != r.state:
		return errMoved
	}
	if state == stateHeld {
		now := &approvalPlan{release: r, account: p.account}
		if err := s.count(ctx, tx, now); err != nil {
			return err
		}
		if (len(now.standing)+1 >= p.needed) != p.releases || !slices.Equal(now.tags, p.tags) || now.asked != p.asked {
			return errMoved
		}
		if p.releases {
			return s.checkParts(ctx, tx, p)
		}
	}
	return s.checkFirst(ctx, tx, p)
}

func (s *Service) checkParts(ctx context.Context, tx *sql.Tx, p *approvalPlan) error {
	for _, one := range p.parts {
		state, recalled, err := stateOf(ctx, tx, one.release)
		if err != nil {
			return err
		}
		if state != stateHeld || recalled != "" {
			return errMoved
		}
	}
	return nil
}

// checkFirst fails with errApproved when the account has approved the release already.
func (s *Service) checkFirst(ctx context.Context, tx *sql.Tx, p *approvalPlan) error {
	before := Approval{PURL: p.release.purl, Account: p.account}
	var at string
	err := tx.QueryRowContext(ctx, `SELECT seq, reason, at FROM approval WHERE purl = $1 AND account = $2 AND seq > $3 ORDER BY seq LIMIT 1`,
		p.release.purl, p.account, p.release.last).Scan(&before.Seq, &before.Reason, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an approval: %w", err)
	}
	if before.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return err
	}
	p.before = before
	return errApproved
}

// querier reads the projections, inside a transaction or outside.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// asked is what was asked for while a release waits: by its publisher, and by who brought the same
// content in again.
type asked struct {
	tags, accounts []string
	n              int // publications
}

func (s *Service) asked(ctx context.Context, q querier, r release) (a asked, err error) {
	rows, err := q.QueryContext(ctx, `SELECT x.tags, x.account FROM publication x JOIN release r ON r.package_id = x.package_id AND r.version = x.version AND r.mirrored = 0
		WHERE r.seq = $1 AND x.event = 'held' AND x.seq >= r.seq ORDER BY x.seq`, r.seq)
	if err != nil {
		return a, fmt.Errorf("read what was asked for: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw, account string
		var tags []string
		if err := rows.Scan(&raw, &account); err != nil {
			return a, fmt.Errorf("read what was asked for: %w", err)
		}
		if err := json.Unmarshal([]byte(raw), &tags); err != nil {
			return a, fmt.Errorf("tags of %s: %w", r.purl, err)
		}
		a.n++
		a.tags, a.accounts = addNew(a.tags, tags...), addNew(a.accounts, account)
	}
	return a, rows.Err()
}

func addNew(list []string, more ...string) []string {
	for _, one := range more {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// standing returns the accounts that have approved a release since it came to be and may still publish
// its name: who has lost that does not stand for it any more.
func (s *Service) standing(ctx context.Context, q querier, r release) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT account FROM approval WHERE purl = $1 AND seq > $2 ORDER BY account`, r.purl, r.last)
	if err != nil {
		return nil, fmt.Errorf("read approvals: %w", err)
	}
	var all []string
	defer rows.Close()
	for rows.Next() {
		var account string
		if err := rows.Scan(&account); err != nil {
			return nil, fmt.Errorf("read approvals: %w", err)
		}
		all = append(all, account)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read approvals: %w", err)
	}
	var out []string
	for _, account := range all {
		may, err := s.access.HasRole(ctx, account, evidence.Publish, r.ecosystem, r.name)
		if err != nil {
			return nil, err
		}
		if may {
			out = append(out, account)
		}
	}
	return out, nil
}

// parts returns the releases of the same name that wait, and that a held release consists of: the
// manifests of an index, and those of an index in it.
func (s *Service) parts(ctx context.Context, r release) ([]part, error) {
	found, err := s.releases(ctx, `r.state = 'held' AND r.recalled = '' AND r.seq <> $1 AND r.package_id = (SELECT package_id FROM release WHERE seq = $1)
		AND r.artifact_id IN (WITH RECURSIVE inside(id) AS (
			SELECT m.manifest_id FROM index_manifest m JOIN release o ON o.artifact_id = m.index_id WHERE o.seq = $1
			UNION SELECT m.manifest_id FROM index_manifest m JOIN inside i ON i.id = m.index_id) SELECT id FROM inside)
		ORDER BY r.seq LIMIT $2`, r.seq, maxParts+1)
	if err != nil {
		return nil, err
	}
	if len(found) > maxParts {
		return nil, fault.New(fault.Policy, "parts-too-many", "%s consists of more than %d releases that wait; approve those first", r.purl, maxParts)
	}
	out := make([]part, len(found))
	for i, one := range found {
		asked, err := s.asked(ctx, s.record.DB().Query(), one)
		if err != nil {
			return nil, err
		}
		one.by = asked.accounts
		out[i] = part{release: one, tags: asked.tags}
	}
	return out, nil
}
