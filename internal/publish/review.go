package publish

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Candidate is a version that is about to be published.
type Candidate struct {
	Actor     evidence.Actor
	Ecosystem string
	Name      string
	Version   string
	File      string // of a version that consists of several; else empty
	Type      string // the sort of file: it is compared with the same sort
	PURL      purl.PURL
	Size      int64 // bytes of the artifact
	// Inventory is what it holds; nil where that is not known before it is published.
	Inventory *evidence.Inventory
	// Order compares two versions as the ecosystem does; nil means by the time of publication.
	Order func(a, b string) int
	// Tags are what will point at it, and Made what it is put together from as far as that is known; nil where
	// an artifact is one archive, which Inventory tells.
	Tags []string
	Made *evidence.Contents
	// Stage says that its publisher wants it to wait.
	Stage bool
}

// Finding is what the gate makes of a candidate: why it must wait, or what is noted about it.
type Finding struct {
	ID      string // of the hold; empty when there is none
	Code    string
	Summary string          // for the publisher
	Reasons []string        // for who reviews it
	Input   json.RawMessage // a basis
	// Noted says that it need not wait, and Warn that its publisher is told all the same.
	Noted, Warn bool
}

// Waits reports whether there is a reason to wait.
func (f *Finding) Waits() bool { return f != nil && !f.Noted }

// Point is what one rule found.
type Point struct {
	Rule    string   `json:"rule"`
	Stage   Stage    `json:"stage"`
	Summary string   `json:"summary"`
	Details []string `json:"details,omitempty"` // the first of them
}

// basis is what a hold was decided from; the rest is in the two inventories.
type basis struct {
	Against string       `json:"against,omitempty"` // the version that it was compared with
	Hooks   []HookChange `json:"hooks,omitempty"`
	Made    []MadeChange `json:"made,omitempty"`
	Points  []Point      `json:"points,omitempty"`
}

// Review returns why the candidate must wait for a person, or what is noted about it, or nil for
// neither. It refuses a publication that proves less than the ones before it: code trust-downgrade.
func (s *Service) Review(ctx context.Context, c Candidate) (*Finding, error) {
	settings, err := s.of(ctx, c.Ecosystem, c.Name)
	if err != nil {
		return nil, err
	}
	if err := s.checkTrust(ctx, c); err != nil {
		return nil, err
	}
	r := &review{Service: s, ctx: ctx, candidate: c, settings: settings, now: s.record.Now()}
	for _, look := range []func() error{r.lookAtContents, r.lookAtMade, r.lookAtPublisher, r.lookAtBurst} {
		if err := look(); err != nil {
			return nil, fmt.Errorf("review %s: %w", c.PURL, err)
		}
	}
	return r.finding()
}

// review is one candidate being looked at.
type review struct {
	*Service
	ctx       context.Context
	candidate Candidate
	settings  Settings
	now       time.Time
	diff      Diff
	points    []Point
}

// found notes what a rule found, unless the rule is off.
func (r *review) found(rule, summary string, details ...string) {
	stage := r.settings.Rules[rule]
	if strength[stage] == 0 {
		return
	}
	p := Point{Rule: rule, Stage: stage, Summary: clip(summary, maxSummary)}
	for _, d := range details[:min(len(details), briefDetails)] {
		p.Details = append(p.Details, clip(d, briefName))
	}
	if more := len(details) - briefDetails; more > 0 {
		p.Details = append(p.Details, fmt.Sprintf("and %d more", more))
	}
	r.points = append(r.points, p)
}

// finding sums up. What holds comes first; a staged version waits whatever was found.
func (r *review) finding() (*Finding, error) {
	slices.SortStableFunc(r.points, func(a, b Point) int { return cmp.Compare(strength[b.Stage], strength[a.Stage]) })
	waits, err := r.versionWaits()
	if err != nil {
		return nil, err
	}
	f := &Finding{Noted: true}
	if len(r.points) > 0 {
		first := r.points[0]
		f.Code, f.Summary, f.Warn, f.Noted = first.Rule, first.Summary, first.Stage == Warn, first.Stage != Wait
	}
	switch {
	case r.candidate.Stage:
		f.Code, f.Summary, f.Noted = Staged, "it was staged", false
	case waits:
		f.Code, f.Summary, f.Noted = Staged, "it belongs to a version that waits for a person", false
	case *r.settings.Staged:
		f.Code, f.Summary, f.Noted = Staged, "everything that is published under this name waits for a person", false
	case len(r.points) == 0:
		return nil, nil
	}
	if !f.Noted {
		id, err := newID(r.random)
		if err != nil {
			return nil, err
		}
		f.ID, f.Warn = id, false
	}
	return f, r.explain(f)
}

// versionWaits reports whether another file of the candidate's version waits: they are offered together.
func (r *review) versionWaits() (waits bool, err error) {
	c := r.candidate
	if c.File == "" {
		return false, nil
	}
	err = r.record.DB().Query().QueryRowContext(r.ctx, `SELECT EXISTS (SELECT 1 FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.mirrored = 0 AND r.state = 'held')`, c.Ecosystem, c.Name, c.Version).Scan(&waits)
	return waits, err
}

func newID(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	id, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return "", fmt.Errorf("id of a hold: %w", err)
	}
	return id.String(), nil
}

// maxBasis is what reasons and basis may take together of a statement's 64 KiB, where every byte of
// foreign text can need two.
const maxBasis = 40 << 10

// explain fills in reasons and basis. What is too long is left out, details first: they can be had from
// the inventories again.
func (r *review) explain(f *Finding) (err error) {
	b := basis{Against: r.diff.Against, Hooks: r.diff.brief(), Made: r.diff.Made[:min(len(r.diff.Made), briefMade)], Points: r.points}
	var lines []string
	if !f.Noted {
		lines = r.diff.lines()
	}
	for {
		f.Reasons = nil
		if f.Code == Staged {
			f.Reasons = append(f.Reasons, f.Summary)
		}
		for _, p := range b.Points {
			f.Reasons = append(f.Reasons, string(p.Stage)+", "+p.Rule+": "+p.Summary)
		}
		f.Reasons = append(f.Reasons, lines...)
		if f.Input, err = json.Marshal(b); err != nil {
			return fmt.Errorf("encode basis: %w", err)
		}
		size := len(f.Input)
		for _, reason := range f.Reasons {
			size += len(reason)
		}
		switch {
		case size <= maxBasis:
			return nil
		case len(b.Points) > 0 && hasDetails(b.Points):
			b.Points = withoutDetails(b.Points)
		case len(lines) > 0:
			lines = nil
		case len(b.Made) > 0:
			b.Made = b.Made[:len(b.Made)/2]
		default:
			return nil
		}
	}
}

func hasDetails(points []Point) bool {
	return slices.ContainsFunc(points, func(p Point) bool { return len(p.Details) > 0 })
}

func withoutDetails(points []Point) []Point {
	points = slices.Clone(points)
	for i := range points {
		points[i].Details = nil
	}
	return points
}
