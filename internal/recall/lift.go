package recall

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Lift ends the recall of subject and of everything that the same statement stopped. Two people are
// needed, and administrators are people: who made the recall asks for it, which is put on the record
// and answered with code recall-second-person, and somebody else confirms: an owner of the namespace, a
// site administrator or, where nobody here owns it, any other account. A site administrator who did
// not make it lifts it without being asked. An owner's stolen credential alone undoes nothing.
// Codes: recall-unknown, recall-not-yours, recall-second-person and those of [Service.Recall].
func (s *Service) Lift(ctx context.Context, actor evidence.Actor, subject, reason string) error {
	reason, err := checkReason(reason)
	if err != nil {
		return err
	}
	if subject, err = canonical(subject); err != nil {
		return err
	}
	right := s.rightTo(ctx, actor, subject)
	if right.err != nil && !right.unowned {
		return right.err
	}
	made, err := s.inForce(ctx, subject)
	if err != nil {
		return errors.Join(right.err, err)
	}
	if err := s.mayLift(actor, made, right); err != nil {
		return err
	}
	if actor.Account == made.Account {
		return s.ask(ctx, actor, made, reason)
	}
	return s.lift(ctx, actor, made, reason)
}

// right is what somebody may do about a subject.
type right struct {
	admin   bool
	unowned bool  // nothing here is called so: nobody can own it
	err     error // why they may not recall it
}

func (s *Service) rightTo(ctx context.Context, actor evidence.Actor, subject string) right {
	r := right{admin: s.access.RequireAdmin(ctx, actor) == nil}
	about, err := s.targets(ctx, `r.purl = $1 OR a.digest = $1`, subject)
	if err != nil {
		return right{err: err}
	}
	r.unowned = len(about) == 0 && !actor.Anonymous()
	_, r.err = s.subjects(ctx, actor, subject, s.owns)
	return r
}

func (s *Service) mayLift(actor evidence.Actor, made Recall, r right) error {
	switch {
	case r.admin, actor.Account == made.Account && r.err == nil:
		return nil
	case made.Undo != "" && made.Undo != actor.Account && (r.err == nil || r.unowned):
		return nil
	case r.err != nil:
		return r.err
	}
	if made.Account == "" {
		return fault.New(fault.Denied, "recall-not-yours", "this waits for a site administrator to look at what was reported; ask one")
	}
	return fault.New(fault.Denied, "recall-not-yours",
		"%s recalled this; ask them to lift it first, and confirm it then, or ask a site administrator", made.Account)
}

// ask puts on the record that who made the recall wants it lifted.
func (s *Service) ask(ctx context.Context, actor evidence.Actor, made Recall, reason string) error {
	if made.Undo == "" {
		left, err := s.keysOf(ctx, made.Seq)
		if err != nil {
			return err
		}
		_, err = s.append(ctx, nil, evidence.Draft{
			Subjects: left, Predicate: evidence.Recall{Reason: reason, Requested: true, Actor: actor},
			Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Conflict, "recall-second-person",
		"a second person is needed to undo a recall: your request is on the record, and somebody else confirms it with the same command")
}

func (s *Service) lift(ctx context.Context, actor evidence.Actor, made Recall, reason string) error {
	left, err := s.keysOf(ctx, made.Seq)
	if err != nil {
		return err
	}
	guard := func(tx *sql.Tx) error { // it may have been recalled anew meanwhile, by the one who lifts
		for _, key := range keys(left) {
			var seq int64
			err := tx.QueryRowContext(ctx, `SELECT seq FROM recall WHERE subject = $1`, key).Scan(&seq)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("recall of %s: %w", key, err)
			}
			if seq != made.Seq {
				return fault.New(fault.Conflict, "recall-exists", "%s was recalled or lifted by somebody else meanwhile; look at it again", key)
			}
		}
		return nil
	}
	_, err = s.append(ctx, guard, evidence.Draft{
		Subjects: left, Predicate: evidence.Recall{Reason: reason, Lifted: true, Actor: actor},
		Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	})
	return err
}

// undoOf returns who asked to lift the recall with that number.
func (s *Service) undoOf(ctx context.Context, seq int64) (string, error) {
	var by string
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT coalesce(max(undo_by), '') FROM recall WHERE seq = $1`, seq).Scan(&by)
	if err != nil {
		return "", fmt.Errorf("recall %d: %w", seq, err)
	}
	return by, nil
}

// keysOf returns what the recall with that sequence number still stops: a later one may have
// taken a part over.
func (s *Service) keysOf(ctx context.Context, seq int64) ([]evidence.Subject, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT subject FROM recall WHERE seq = $1 ORDER BY subject`, seq)
	if err != nil {
		return nil, fmt.Errorf("subjects of recall %d: %w", seq, err)
	}
	defer rows.Close()
	var out []evidence.Subject
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, fmt.Errorf("subjects of recall %d: %w", seq, err)
		}
		out = append(out, subjectOf(key))
	}
	return out, rows.Err()
}

// inForce returns the recall that stops subject, or fails with code recall-unknown.
func (s *Service) inForce(ctx context.Context, subject string) (Recall, error) {
	var seq int64
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT seq FROM recall WHERE subject = $1`, subject).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return Recall{}, fault.New(fault.NotFound, "recall-unknown", "%s is not recalled; list the recalls to see what is", subject)
	}
	if err != nil {
		return Recall{}, fmt.Errorf("recall of %s: %w", subject, err)
	}
	made, err := s.at(ctx, seq)
	if err != nil {
		return Recall{}, err
	}
	made.Undo, err = s.undoOf(ctx, seq)
	return made, err
}
