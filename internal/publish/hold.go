package publish

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Hold is a release that waits for a person.
type Hold struct {
	Seq        int64  // of its publication
	ID         string // names it to clients; empty for holds of before there were ids
	Ecosystem  string
	Name       string
	Version    string
	PURL       purl.PURL
	Artifact   digest.Digest
	Publisher  string // account
	Credential string
	At         time.Time
	Code       string // the rule that holds it, or Staged
	Points     []Point
	Tags       []string
	Recalled   string // reason; empty when it is not
	Diff       Diff   // hooks only, in a list
	// Approved are the accounts whose approval counts so far, and Needed is how many it takes.
	Approved []string
	Needed   int
	// Expires is when it is withdrawn if nobody decides; the zero time for never.
	Expires time.Time
	// by are all accounts that brought it in.
	by []string
}

// Holds returns up to limit holds that were made after statement after, oldest first, of names that
// the actor may publish; site administrators see all. scanned is the last hold that was looked at: the next page
// begins after it. more says that there is one.
func (s *Service) Holds(ctx context.Context, actor evidence.Actor, after int64, limit int) (found []Hold, scanned int64, more bool, err error) {
	all, err := s.releases(ctx, `r.state = 'held' AND r.seq > $1`+firstFile+` ORDER BY r.seq LIMIT $2`, after, limit+1)
	if err != nil {
		return nil, 0, false, err
	}
	more, scanned = len(all) > limit, after
	for _, r := range all[:min(len(all), limit)] {
		scanned = r.seq
		if err := s.mayReview(ctx, actor, r); err != nil {
			if fault.KindOf(err) == fault.Internal {
				return nil, 0, false, err
			}
			continue
		}
		h, _, err := s.hold(ctx, r)
		if err != nil {
			return nil, 0, false, err
		}
		found = append(found, h)
	}
	return found, scanned, more, nil
}

// firstFile keeps of a version that consists of several files the one that has waited longest.
const firstFile = ` AND NOT EXISTS (SELECT 1 FROM release o WHERE o.package_id = r.package_id AND o.version = r.version
	AND o.mirrored = 0 AND o.state = 'held' AND o.seq < r.seq)`

// Show returns one hold with the whole difference, to who may publish the name and to site
// administrators. Codes: hold-unknown and those of Authorize.
func (s *Service) Show(ctx context.Context, actor evidence.Actor, p purl.PURL) (Hold, error) {
	r, err := s.held(ctx, actor, p)
	if err != nil {
		return Hold{}, err
	}
	h, b, err := s.hold(ctx, r)
	if err != nil {
		return Hold{}, err
	}
	h.Diff, err = s.difference(ctx, r, b)
	return h, err
}

// held returns the held release, provided that the actor may review it.
func (s *Service) held(ctx context.Context, actor evidence.Actor, p purl.PURL) (release, error) {
	r, err := s.find(ctx, actor, p)
	if err != nil {
		return release{}, err
	}
	if err := s.mayReview(ctx, actor, r); err != nil {
		return release{}, err
	}
	if r.state != stateHeld {
		return release{}, fault.New(fault.NotFound, "hold-unknown", "%s is not held; list what is with: hullmark hold list", p)
	}
	return r, nil
}

// mayReview lets those see a hold who may end it, and site administrators.
func (s *Service) mayReview(ctx context.Context, actor evidence.Actor, r release) error {
	err := s.access.Authorize(ctx, actor, evidence.Publish, r.ecosystem, r.name)
	if err == nil || evidence.NeedsFactor(err) || s.access.RequireAdmin(ctx, actor) == nil {
		return nil
	}
	return err
}

// hold reads what the publish gate said about a held release.
func (s *Service) hold(ctx context.Context, r release) (Hold, basis, error) {
	h := Hold{
		Seq: r.seq, Ecosystem: r.ecosystem, Name: r.name, Version: r.version, PURL: r.purl, Artifact: r.artifact,
		Publisher: r.publisher, At: r.published, Recalled: r.recalled,
	}
	statements, err := s.record.About(ctx, string(r.purl), r.seq-1, appended)
	if err != nil {
		return h, basis{}, err
	}
	var b basis
	for _, st := range statements {
		switch {
		case st.Seq == r.seq:
			p, err := evidence.Decode[evidence.Publication](st)
			if err != nil {
				return h, b, err
			}
			h.Credential = p.Actor.Credential
		case st.PredicateType == evidence.DecisionType && h.Code == "":
			d, err := evidence.Decode[evidence.Decision](st)
			if err != nil || d.Verdict != verdictHold {
				return h, b, err
			}
			h.Code, h.ID = d.Code, d.ID
			if err := json.Unmarshal(d.Input, &b); err != nil {
				return h, b, fmt.Errorf("input of decision %d: %w", st.Seq, err)
			}
			h.Points, h.Diff = b.Points, Diff{Against: b.Against, Hooks: b.Hooks, Made: b.Made}
		}
	}
	return h, b, s.progress(ctx, r, &h)
}

// progress fills in who asked for what while the release waits, and how many approvals it has.
func (s *Service) progress(ctx context.Context, r release, h *Hold) error {
	asked, err := s.asked(ctx, s.record.DB().Query(), r)
	if err != nil {
		return err
	}
	h.Tags, h.by = asked.tags, asked.accounts
	settings, err := s.of(ctx, r.ecosystem, r.name)
	if err != nil {
		return err
	}
	h.Needed = settings.Approvals
	if h.Code == Staged {
		h.Expires = r.published.Add(time.Duration(settings.StageLife))
	}
	h.Approved, err = s.standing(ctx, s.record.DB().Query(), r)
	return err
}

// difference compares again what the hold was decided from: both inventories are kept.
func (s *Service) difference(ctx context.Context, r release, b basis) (Diff, error) {
	files, err := s.releases(ctx, `r.purl = $1 AND r.state = 'held' ORDER BY r.seq`, r.purl)
	if err != nil {
		return Diff{}, err
	}
	after, err := s.inside(ctx, files)
	if err != nil {
		return Diff{}, err
	}
	var old []release
	if b.Against != "" {
		old, err = s.releases(ctx, `p.ecosystem = $1 AND p.name = $2 AND r.version = $3 ORDER BY r.seq`, r.ecosystem, r.name, b.Against)
		if err != nil {
			return Diff{}, err
		}
	}
	before, err := s.inside(ctx, old)
	if err != nil {
		return Diff{}, err
	}
	d := Compare(before, after)
	d.Against, d.Made = b.Against, b.Made
	if len(old) > 0 && len(b.Made) > 0 {
		err = s.remade(ctx, old[0], files[0], &d)
	}
	return d, err
}

// remade compares again what two versions are put together from: more may have been read since.
func (s *Service) remade(ctx context.Context, old, r release, d *Diff) error {
	was, err := s.made(ctx, old.purl, old.artifact, old.seq)
	if err != nil || was == nil {
		return err
	}
	is, err := s.made(ctx, r.purl, r.artifact, r.seq)
	if err != nil || is == nil {
		return err
	}
	d.Made, err = s.compareMade(ctx, was, is)
	return err
}

// inside is what the files of a version hold. Where there are several, the sort of file comes before the path.
func (s *Service) inside(ctx context.Context, files []release) (*evidence.Inventory, error) {
	all := &evidence.Inventory{Signals: &evidence.Signals{}}
	for _, r := range files {
		inv, err := s.inventory(ctx, r.purl, r.artifact, r.seq)
		if err != nil {
			return nil, err
		}
		if r.file == "" {
			return inv, nil
		}
		for _, f := range inv.Files {
			f.Path = r.sort + ": " + f.Path
			all.Files = append(all.Files, f)
		}
		all.Hooks = append(all.Hooks, inv.Hooks...)
		if s := inv.Signals; s != nil {
			all.Signals.Programs = append(all.Signals.Programs, s.Programs...)
			all.Signals.Hosts = append(all.Signals.Hosts, s.Hosts...)
			all.Signals.Opaque = append(all.Signals.Opaque, s.Opaque...)
			all.Signals.Dependencies = append(all.Signals.Dependencies, s.Dependencies...)
		}
	}
	return all, nil
}

// release is a release as its projection has it.
type release struct {
	seq                                                  int64
	last                                                 int64  // seq of the file that came last of those that wait
	file, sort                                           string // of a version that consists of several files
	ecosystem, name, version, state, publisher, recalled string
	purl                                                 purl.PURL
	artifact                                             digest.Digest
	published                                            time.Time
	by                                                   []string // accounts that brought it in; filled in by parts only
}

// What the states and verdicts are called in the record.
const (
	stateHeld, stateWithdrawn = "held", "withdrawn"
	verdictHold               = "hold"
)

func (s *Service) releases(ctx context.Context, where string, args ...any) ([]release, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT r.seq, p.ecosystem, p.name, r.version, r.state, r.publisher, r.recalled,
		r.purl, a.digest, r.published, r.file, r.artifact_type, (SELECT coalesce(max(o.seq), r.seq) FROM release o
			WHERE o.package_id = r.package_id AND o.version = r.version AND o.mirrored = 0 AND o.state = 'held')
		FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
		WHERE r.mirrored = 0 AND `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	defer rows.Close()
	var out []release
	for rows.Next() {
		var r release
		var published string
		err := rows.Scan(&r.seq, &r.ecosystem, &r.name, &r.version, &r.state, &r.publisher, &r.recalled, &r.purl, &r.artifact, &published,
			&r.file, &r.sort, &r.last)
		if err == nil {
			r.published, err = time.Parse(time.RFC3339Nano, published)
		}
		if err != nil {
			return nil, fmt.Errorf("read releases: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// find returns the release, whatever its state, when the actor may know of it. Codes: version-unknown
// and those of Authorize.
func (s *Service) find(ctx context.Context, actor evidence.Actor, p purl.PURL) (release, error) {
	found, err := s.releases(ctx, `r.purl = $1 ORDER BY r.state <> 'held', r.seq`, p)
	if err != nil {
		return release{}, err
	}
	if len(found) == 0 {
		return release{}, s.unknown(ctx, actor, p)
	}
	return found[0], s.access.Authorize(ctx, actor, evidence.Read, found[0].ecosystem, found[0].name)
}

// unknown says that there is no such version to who may read the name, and to everybody else what
// they are told of a name that they may not see.
func (s *Service) unknown(ctx context.Context, actor evidence.Actor, p purl.PURL) error {
	ecosystem, name, version := p.Split()
	if repository := p.Qualifier("repository_url"); repository != "" {
		name = repository
	}
	for _, perm := range []evidence.Permission{evidence.Read, evidence.Publish} {
		if err := s.access.Authorize(ctx, actor, perm, ecosystem, name); err != nil {
			return err
		}
	}
	return fault.New(fault.NotFound, "version-unknown", "%s has no version %q", name, version)
}

// stateOf reads a release's state inside an appending transaction.
func stateOf(ctx context.Context, tx *sql.Tx, r release) (state, recalled string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT state, recalled FROM release WHERE seq = $1`, r.seq).Scan(&state, &recalled)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", fmt.Errorf("release of statement %d is gone", r.seq)
	}
	return state, recalled, err
}
