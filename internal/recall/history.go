package recall

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Past is a recall that was made at some time, in force or not.
type Past struct {
	Recall
	// Targets are the releases that it names.
	Targets []Target
	// Ended is when it was lifted, or another took its place; the zero time while it is in force.
	Ended time.Time
	// Next is the recall that took its place; 0 when it was lifted or is in force.
	Next int64
	// Why is the reason why it was lifted.
	Why string
}

// Target is a release that a recall names. Names of what was never here are read from its purl.
type Target struct {
	Ecosystem, Name, Version, PURL string
	Artifact                       digest.Digest // "" when it was never here
}

// History returns every recall that was ever made, oldest first. The caller decides which to show.
func (s *Service) History(ctx context.Context) ([]Past, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT DISTINCT seq FROM recall_event WHERE lifted = 0 ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("history of recalls: %w", err)
	}
	defer rows.Close()
	var seqs []int64
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("history of recalls: %w", err)
		}
		seqs = append(seqs, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("history of recalls: %w", err)
	}
	out := make([]Past, len(seqs))
	for i, seq := range seqs {
		if out[i], err = s.Past(ctx, seq); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Past returns one recall by the number of its statement, in force or not. Code: recall-unknown.
func (s *Service) Past(ctx context.Context, seq int64) (Past, error) {
	r, err := s.Made(ctx, seq)
	if err != nil {
		return Past{}, err
	}
	p := Past{Recall: r}
	for _, key := range r.Subjects {
		if _, err := digest.Parse(key); err == nil {
			continue // of a release that a purl beside it names, or of what is no release
		}
		t, err := s.targetOf(ctx, key)
		if err != nil {
			return p, err
		}
		p.Targets = append(p.Targets, t)
	}
	return p, s.end(ctx, &p)
}

// end notes what came after the recall. It has ended when nothing that it named is left to it; what came
// last tells when.
func (s *Service) end(ctx context.Context, p *Past) error {
	for _, key := range p.Subjects {
		var at, why string
		var seq int64
		var lifted bool
		err := s.record.DB().Query().QueryRowContext(ctx,
			`SELECT at, seq, lifted, reason FROM recall_event WHERE subject = $1 AND seq > $2 ORDER BY seq LIMIT 1`, key, p.Seq).Scan(&at, &seq, &lifted, &why)
		if errors.Is(err, sql.ErrNoRows) {
			p.Ended, p.Next, p.Why = time.Time{}, 0, ""
			return nil
		}
		if err != nil {
			return fmt.Errorf("end of recall %d: %w", p.Seq, err)
		}
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return fmt.Errorf("end of recall %d: %w", p.Seq, err)
		}
		if when.Before(p.Ended) {
			continue
		}
		if p.Ended, p.Next, p.Why = when, seq, ""; lifted {
			p.Next, p.Why = 0, why
		}
	}
	return nil
}

func (s *Service) targetOf(ctx context.Context, key string) (Target, error) {
	t := Target{PURL: key}
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT p.ecosystem, p.name, r.version, a.digest FROM release r
		JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id WHERE r.purl = $1 ORDER BY r.seq LIMIT 1`, key).
		Scan(&t.Ecosystem, &t.Name, &t.Version, &t.Artifact)
	if errors.Is(err, sql.ErrNoRows) {
		t.Ecosystem, t.Name, t.Version = purl.PURL(key).Split()
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("release %s: %w", key, err)
	}
	return t, nil
}

// Quarantine stops a release at the publish and the pull gate on the server's own judgement: nobody is
// its author, so a site administrator lifts it. Code: recall-exists when it is recalled already.
func (s *Service) Quarantine(ctx context.Context, subject purl.PURL, reason string) (Recall, error) {
	by := evidence.Actor{}
	o := Order{Subject: string(subject), Reason: reason, Cause: Malware, Gates: serverGates[:]}
	reason, err := checkReason(reason)
	if err != nil {
		return Recall{}, err
	}
	subjects := []evidence.Subject{subjectOf(string(subject))}
	drafts := []evidence.Draft{{
		Subjects: subjects, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "server/reports"}, Assurance: evidence.Observed,
		Predicate: evidence.Recall{Reason: reason, Cause: string(Malware), Actor: by, Gates: o.Gates},
	}}
	for _, gate := range serverGates {
		drafts = append(drafts, s.ownReceipt(gate))
	}
	return s.append(ctx, func(tx *sql.Tx) error { return s.mayReplace(ctx, tx, by, subjects, o) }, drafts...)
}
