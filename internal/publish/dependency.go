package publish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// maxDependencies is how many new dependencies are looked up; more are told of as unknown.
const maxDependencies = 200

// lookAtDependencies looks at how long the names are known that the candidate newly depends on. Only
// this record is asked: a name that was never published here has no age that could be relied on, and that
// is said instead of guessed. What is published under the same namespace is no stranger.
func (r *review) lookAtDependencies() error {
	var young, unknown []string
	own, err := r.namespace(r.candidate.Name)
	if err != nil {
		return err
	}
	for i, dep := range r.diff.Dependencies {
		line := dep.Name + " " + dep.Range
		if dep.Elsewhere || i >= maxDependencies {
			unknown = append(unknown, line)
			continue
		}
		first, err := r.firstSeen(r.ctx, r.candidate.Ecosystem, dep.Name)
		if err != nil {
			return err
		}
		theirs, err := r.namespace(dep.Name)
		switch age := r.now.Sub(first); {
		case err != nil:
			return err
		case first.IsZero():
			unknown = append(unknown, line)
		case age < time.Duration(r.settings.DependencyAge) && (theirs == "" || theirs != own):
			young = append(young, fmt.Sprintf("%s, first published %s ago", line, age.Truncate(time.Minute)))
		}
	}
	if len(young) > 0 {
		r.found(DependencyYoung, fmt.Sprintf("it depends on %s that came out less than %s ago (%s)",
			some(len(young), "name"), time.Duration(r.settings.DependencyAge), young[0]), young...)
	}
	if len(unknown) > 0 {
		r.found(DependencyUnknown, fmt.Sprintf("it depends on %s of which this record knows no age (%s)",
			some(len(unknown), "name"), unknown[0]), unknown...)
	}
	return nil
}

// namespace returns the namespace of a name; "" also for what is none here.
func (r *review) namespace(name string) (string, error) {
	if r.people == nil {
		return "", nil
	}
	return r.people.NamespaceOf(r.ctx, r.candidate.Ecosystem, name)
}

// firstSeen returns when a name first offered something that it still offers; the zero time when it does
// not.
func (s *Service) firstSeen(ctx context.Context, ecosystem, name string) (time.Time, error) {
	var at string
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT r.published FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.state = 'active' AND r.recalled = '' ORDER BY r.seq LIMIT 1`, ecosystem, name).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("age of %s: %w", name, err)
	}
	return time.Parse(time.RFC3339Nano, at)
}
