package publish

import (
	"context"
	"slices"

	"github.com/hullmark/hullmark/internal/digest"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// predecessor is what a candidate is compared with.
type predecessor struct {
	none    bool   // the package is new
	version string // empty when no earlier version may be trusted
	size    int64  // bytes of its artifact
	purl    purl.PURL
	seq     int64
	// artifact is, of a version that consists of several, the file of the candidate's sort.
	artifact digest.Digest
}

// predecessor finds the version that somebody who takes the candidate comes from: the highest one
// below it or, where there is no lower one, the one that was published last. A version of an old
// branch is so compared with its own branch, not with whatever came out yesterday.
//
// Only what is offered counts. A held version, were it one, would let the same thing through in the
// version after it; so would one that was recalled. A package that has nothing else is compared with
// nothing: taking all its versions away does not make a package new.
func (s *Service) predecessor(ctx context.Context, c Candidate) (predecessor, error) {
	seq, known, err := s.predecessorSeq(ctx, c)
	if err != nil || seq < 0 {
		return predecessor{none: !known}, err
	}
	var p predecessor
	err = s.record.DB().Query().QueryRowContext(ctx, `SELECT r.version, r.purl, a.size, r.seq, a.digest FROM release o
		JOIN release r ON r.package_id = o.package_id AND r.version = o.version AND r.mirrored = 0 AND r.state = 'active' AND r.recalled = ''
		JOIN artifact a ON a.id = r.artifact_id WHERE o.seq = $1 ORDER BY r.artifact_type <> $2, r.seq LIMIT 1`, seq, c.Type).Scan(
		&p.version, &p.purl, &p.size, &p.seq, &p.artifact)
	return p, err
}

// predecessorSeq returns the number of its publication, -1 for none, and whether the name is known at all.
// Names have thousands of versions, so it compares each once, beginning with the newest.
func (s *Service) predecessorSeq(ctx context.Context, c Candidate) (seq int64, known bool, err error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT r.version, r.seq, r.state = 'active' AND r.recalled = ''
		FROM release r JOIN package p ON p.id = r.package_id WHERE p.ecosystem = $1 AND p.name = $2 AND r.mirrored = 0
			AND ($3 = '' OR r.version <> $4) ORDER BY r.seq DESC`, c.Ecosystem, c.Name, c.File, c.Version)
	if err != nil {
		return -1, false, err
	}
	defer rows.Close()
	last, below, highest := int64(-1), int64(-1), ""
	for rows.Next() {
		var version string
		var at int64
		var offered bool
		if err := rows.Scan(&version, &at, &offered); err != nil {
			return -1, false, err
		}
		known = true
		if !offered {
			continue
		}
		if last < 0 {
			last = at
		}
		if c.Order == nil {
			break
		}
		if (below < 0 || c.Order(version, highest) > 0) && c.Order(version, c.Version) < 0 {
			below, highest = at, version
		}
	}
	if below < 0 {
		below = last
	}
	return below, known, rows.Err()
}

// appended is how many statements after a publication those that were appended with it are among.
const appended = 16

// inventory returns what the release's artifact, whose publication is statement seq, holds; an empty one when
// the record does not say.
func (s *Service) inventory(ctx context.Context, p purl.PURL, artifact digest.Digest, seq int64) (*evidence.Inventory, error) {
	statements, err := s.record.About(ctx, string(p), seq-1, appended)
	if err != nil {
		return nil, err
	}
	for _, st := range statements {
		if st.PredicateType != evidence.ContentsType || !slices.ContainsFunc(st.Subject, func(s evidence.Subject) bool {
			return s.Digest[artifact.Algorithm()] == artifact.Hex()
		}) {
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
