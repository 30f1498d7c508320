package publish

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// The rules that hold a version.
const (
	HookNew     = "install-script-new"     // it runs something on install that its predecessor did not
	HookChanged = "install-script-changed" // what it runs on install is not what its predecessor ran
)

// Candidate is a version that is about to be published.
type Candidate struct {
	Actor     evidence.Actor
	Ecosystem string
	Name      string
	Version   string
	PURL      purl.PURL
	// Inventory is what it holds; nil where that is not known before it is published.
	Inventory *evidence.Inventory
	// Order compares two versions as the ecosystem does; nil means by the time of publication.
	Order func(a, b string) int
}

// Finding is why a candidate must wait.
type Finding struct {
	Code    string
	Summary string          // for the publisher
	Reasons []string        // for who reviews it
	Input   json.RawMessage // a basis
}

// basis is what a hold was decided from; the rest is in the two inventories.
type basis struct {
	Against string       `json:"against,omitempty"` // the version that it was compared with
	Hooks   []HookChange `json:"hooks"`
}

// Review returns why the candidate must wait for a person, or nil when it need not.
//
// A package's first version need not, whatever it runs: packages that download their program on
// install are usual, and nobody depends on a new name yet.
func (s *Service) Review(ctx context.Context, c Candidate) (*Finding, error) {
	if c.Inventory == nil || len(c.Inventory.Hooks) == 0 {
		return nil, nil
	}
	before, err := s.predecessor(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("predecessor of %s: %w", c.PURL, err)
	}
	if before.none {
		return nil, nil
	}
	diff := Compare(before.inventory, c.Inventory)
	diff.Against = before.version
	code := diff.code()
	if code == "" {
		return nil, nil
	}
	input, err := json.Marshal(basis{Against: diff.Against, Hooks: diff.brief()})
	if err != nil {
		return nil, fmt.Errorf("encode basis: %w", err)
	}
	return &Finding{Code: code, Summary: diff.summary(), Reasons: diff.lines(), Input: input}, nil
}

// predecessor is what a candidate is compared with.
type predecessor struct {
	none      bool   // the package is new
	version   string // empty when no earlier version may be trusted
	inventory *evidence.Inventory
}

// predecessor finds the version that somebody who takes the candidate comes from: the highest one
// below it or, where there is no lower one, the one that was published last. A version of an old
// branch is so compared with its own branch, not with whatever came out yesterday.
//
// Only what is offered counts. A held version, were it one, would let the same thing through in the
// version after it; so would one that was recalled. A package that has nothing else is compared with
// nothing: taking all its versions away does not make a package new.
func (s *Service) predecessor(ctx context.Context, c Candidate) (predecessor, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT r.version, r.purl, r.seq, r.state = 'active' AND r.recalled = ''
		FROM release r JOIN package p ON p.id = r.package_id WHERE p.ecosystem = $1 AND p.name = $2 ORDER BY r.seq`, c.Ecosystem, c.Name)
	if err != nil {
		return predecessor{}, err
	}
	defer rows.Close()
	type version struct {
		name string
		purl purl.PURL
		seq  int64
	}
	var last, below version
	known := false
	for rows.Next() {
		var v version
		var offered bool
		if err := rows.Scan(&v.name, &v.purl, &v.seq, &offered); err != nil {
			return predecessor{}, err
		}
		known = true
		if !offered {
			continue
		}
		last = v
		if c.Order != nil && c.Order(v.name, c.Version) < 0 && (below.name == "" || c.Order(v.name, below.name) > 0) {
			below = v
		}
	}
	if err := rows.Err(); err != nil || !known {
		return predecessor{none: !known}, err
	}
	if below.name == "" {
		below = last
	}
	if below.name == "" {
		return predecessor{inventory: &evidence.Inventory{}}, nil
	}
	inv, err := s.inventory(ctx, below.purl, below.seq)
	return predecessor{version: below.name, inventory: inv}, err
}

// appended is how many statements after a publication those that were appended with it are among.
const appended = 16

// inventory returns what the release, whose publication is statement seq, holds; an empty one when
// the record does not say.
func (s *Service) inventory(ctx context.Context, p purl.PURL, seq int64) (*evidence.Inventory, error) {
	statements, err := s.record.About(ctx, string(p), seq-1, appended)
	if err != nil {
		return nil, err
	}
	for _, st := range statements {
		if st.PredicateType != evidence.ContentsType {
			continue
		}
		contents, err := evidence.Decode[evidence.Contents](st)
		if err != nil {
			return nil, err
		}
		if contents.Inventory != "" {
			return s.record.Inventory(ctx, contents.Inventory)
		}
	}
	return &evidence.Inventory{}, nil
}
