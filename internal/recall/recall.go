// Package recall stops a release or an artifact with one statement, and lifts it again with
// another. The gates read the projection of these statements; this package asks none of them.
//
// A recall names the purl and, so that the same bytes are stopped wherever they turn up, the
// artifact's digest. It refuses to let one owner stop another's release: the digest is left out
// when a name that the actor does not own offers the same bytes.
package recall

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxReason bounds a reason in bytes: every client that is refused shows it.
const maxReason = 500

// maxNamed is how many releases the recall of a digest names. A digest is in as many as somebody cares
// to publish it in, and a statement that names them all would be too long to be taken; beyond this
// the digest stands alone, which stops every one of them just as well.
const maxNamed = 50

// Access says who owns what. The account service implements it.
type Access interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	// RequireAdmin fails unless the actor is a site administrator.
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
}

// Service recalls. It is safe for concurrent use.
type Service struct {
	record *evidence.Record
	access Access
}

// New returns a service on record.
func New(record *evidence.Record, access Access) *Service {
	return &Service{record: record, access: access}
}

// Recall is a recall in force.
type Recall struct {
	Subjects []string // purls and digests
	Reason   string
	Account  string
	At       time.Time
	Seq      int64
	// Known reports whether the record knows any of the subjects. A recall of something that it
	// does not know waits for it to be published, or has a slip of the pen in it.
	Known bool
	// Gates are those that enforce it; none means all.
	Gates []string
	// System lets it reach system namespaces too.
	System bool
	// Canary, when set, is where running processes are stopped; elsewhere they are only observed.
	Canary *evidence.WorkloadRef
}

// target is one release that a recall is about.
type target struct {
	ecosystem, name, purl, artifact string
}

// Recall stops subject, a purl or a digest. Owners of the namespace may stop their releases, site
// administrators anything, also what was never published here. Codes: reason-invalid,
// subject-invalid, login-required, namespace-not-yours, name-unknown, admin-required.
func (s *Service) Recall(ctx context.Context, actor evidence.Actor, subject, reason string) (Recall, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return Recall{}, err
	}
	subject, err = canonical(subject)
	if err != nil {
		return Recall{}, err
	}
	subjects, err := s.subjects(ctx, actor, subject)
	if err != nil {
		return Recall{}, err
	}
	guard := func(tx *sql.Tx) error { return s.mayReplace(ctx, tx, actor, subjects) }
	made, err := s.append(ctx, guard, actor, subjects, evidence.Recall{Reason: reason, Actor: actor})
	if err != nil {
		return Recall{}, err
	}
	made.Known, err = s.known(ctx, made.Subjects)
	return made, err
}

// known reports whether the record knows one of the subjects: as a release, as a component of a
// layer, or by its digest.
func (s *Service) known(ctx context.Context, subjects []string) (bool, error) {
	for _, subject := range subjects {
		var yes bool
		err := s.record.DB().Query().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM release WHERE purl = $1)
			OR EXISTS (SELECT 1 FROM component WHERE purl = $1) OR EXISTS (SELECT 1 FROM artifact WHERE digest = $1)
			OR EXISTS (SELECT 1 FROM layer_blob WHERE blob = $1)`, subject).Scan(&yes)
		if err != nil {
			return false, fmt.Errorf("look for %s: %w", subject, err)
		}
		if yes {
			return true, nil
		}
	}
	return false, nil
}

// mayReplace fails with code recall-exists when somebody else's recall is in force: a second one
// would take its place, and with it the right to lift it. Administrators may.
func (s *Service) mayReplace(ctx context.Context, tx *sql.Tx, actor evidence.Actor, subjects []evidence.Subject) error {
	if s.access.RequireAdmin(ctx, actor) == nil {
		return nil
	}
	for _, key := range keys(subjects) {
		var account string
		err := tx.QueryRowContext(ctx, `SELECT account FROM recall WHERE subject = $1`, key).Scan(&account)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("recall of %s: %w", key, err)
		}
		if err == nil && account != actor.Account {
			return fault.New(fault.Conflict, "recall-exists", "%s has been recalled by %s already", key, account)
		}
	}
	return nil
}

// Lift ends the recall of subject and of everything that the same statement stopped. Who made it
// may, as long as they own the namespace, and site administrators may: an owner's stolen
// credential cannot undo what an administrator stopped. Codes: recall-unknown, recall-not-yours
// and those of [Service.Recall].
func (s *Service) Lift(ctx context.Context, actor evidence.Actor, subject, reason string) error {
	reason, err := checkReason(reason)
	if err != nil {
		return err
	}
	subject, err = canonical(subject)
	if err != nil {
		return err
	}
	if _, err := s.subjects(ctx, actor, subject); err != nil {
		return err
	}
	made, err := s.inForce(ctx, subject)
	if err != nil {
		return err
	}
	if made.Account != actor.Account {
		if err := s.access.RequireAdmin(ctx, actor); err != nil {
			return fault.New(fault.Denied, "recall-not-yours",
				"%s recalled this; ask them or a site administrator to lift it", made.Account).Because(err)
		}
	}
	left, err := s.keysOf(ctx, made.Seq)
	if err != nil {
		return err
	}
	_, err = s.append(ctx, nil, actor, left, evidence.Recall{Reason: reason, Lifted: true, Actor: actor})
	return err
}

func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxReason {
		return "", fault.New(fault.Invalid, "reason-invalid", "a reason of 1 to %d bytes is needed; say what is wrong with the release", maxReason)
	}
	return reason, nil
}

func canonical(subject string) (string, error) {
	if strings.HasPrefix(subject, "pkg:") {
		p, err := purl.Parse(subject)
		return string(p), err
	}
	d, err := digest.Parse(subject)
	if err != nil {
		return "", fault.New(fault.Invalid, "subject-invalid", "%q is neither a purl nor a digest", subject[:min(len(subject), 200)])
	}
	return string(d), nil
}

// subjects returns what a recall of subject must name, provided that the actor may recall it.
func (s *Service) subjects(ctx context.Context, actor evidence.Actor, subject string) ([]evidence.Subject, error) {
	isPURL := strings.HasPrefix(subject, "pkg:")
	admin := s.access.RequireAdmin(ctx, actor)
	about, err := s.targets(ctx, `r.purl = $1 OR a.digest = $1`, subject)
	if err != nil {
		return nil, err
	}
	if admin != nil {
		if err := s.mustOwn(ctx, actor, about, admin); err != nil {
			return nil, err
		}
	}
	if len(about) == 0 || !isPURL && len(about) > maxNamed {
		return []evidence.Subject{subjectOf(subject)}, nil
	}
	if !isPURL {
		var all []evidence.Subject
		for _, t := range about {
			all = append(all, evidence.Subject{Name: t.purl, Digest: subjectOf(subject).Digest})
		}
		return all, nil
	}
	shared, err := s.targets(ctx, `a.digest = $1`, about[0].artifact)
	if err != nil {
		return nil, err
	}
	if admin != nil && s.mustOwn(ctx, actor, shared, admin) != nil {
		return []evidence.Subject{subjectOf(subject)}, nil
	}
	return []evidence.Subject{{Name: subject, Digest: subjectOf(about[0].artifact).Digest}}, nil
}

// mustOwn fails unless the actor owns every target. notAdmin is the answer when there is none:
// what was not published here only administrators stop.
func (s *Service) mustOwn(ctx context.Context, actor evidence.Actor, targets []target, notAdmin error) error {
	if len(targets) == 0 {
		return notAdmin
	}
	for _, t := range targets {
		if err := s.access.Authorize(ctx, actor, evidence.Read, t.ecosystem, t.name); err != nil {
			return err
		}
		if err := s.access.Authorize(ctx, actor, evidence.Own, t.ecosystem, t.name); err != nil {
			return err
		}
	}
	return nil
}

func subjectOf(key string) evidence.Subject {
	if d, err := digest.Parse(key); err == nil {
		return evidence.Subject{Digest: map[string]string{d.Algorithm(): d.Hex()}}
	}
	return evidence.Subject{Name: key}
}

func (s *Service) append(ctx context.Context, guard evidence.Guard, actor evidence.Actor, subjects []evidence.Subject, p evidence.Recall) (Recall, error) {
	made, err := s.record.Append(ctx, guard, evidence.Draft{
		Subjects: subjects, Predicate: p, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	})
	if err != nil {
		return Recall{}, fmt.Errorf("recall: %w", err)
	}
	return fromStatement(made[0])
}

func fromStatement(st evidence.Statement) (Recall, error) {
	p, err := evidence.Decode[evidence.Recall](st)
	return Recall{
		Subjects: keys(st.Subject), Reason: p.Reason, Account: p.Actor.Account, At: st.Time, Seq: st.Seq,
		Gates: p.Gates, System: p.System, Canary: p.Canary,
	}, err
}

// keys are the purls and digests that subjects name.
func keys(subjects []evidence.Subject) []string {
	var out []string
	for _, subject := range subjects {
		if subject.Name != "" {
			out = append(out, subject.Name)
		}
		for _, alg := range []string{digest.SHA256, digest.SHA512} {
			if hex := subject.Digest[alg]; hex != "" {
				out = append(out, alg+":"+hex)
			}
		}
	}
	return out
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
	return s.at(ctx, seq)
}

func (s *Service) at(ctx context.Context, seq int64) (Recall, error) {
	entries, err := s.record.Entries(ctx, seq, seq+1)
	if err != nil {
		return Recall{}, err
	}
	st, err := evidence.DecodeStatement(entries[0])
	if err != nil {
		return Recall{}, err
	}
	return fromStatement(st)
}

// List returns up to limit recalls in force, oldest first, that were made after the statement
// with that sequence number; -1 is from the start. The caller decides which of them to show.
func (s *Service) List(ctx context.Context, after int64, limit int) ([]Recall, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT DISTINCT seq FROM recall WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list recalls: %w", err)
	}
	defer rows.Close()
	var seqs []int64
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("list recalls: %w", err)
		}
		seqs = append(seqs, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list recalls: %w", err)
	}
	out := make([]Recall, len(seqs))
	for i, seq := range seqs {
		if out[i], err = s.at(ctx, seq); err != nil {
			return nil, err
		}
		if out[i].Known, err = s.known(ctx, out[i].Subjects); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// InForce returns every recall in force, oldest first.
func (s *Service) InForce(ctx context.Context) ([]Recall, error) {
	var all []Recall
	for after := int64(-1); ; {
		some, err := s.List(ctx, after, 500)
		if err != nil || len(some) == 0 {
			return all, err
		}
		all, after = append(all, some...), some[len(some)-1].Seq
	}
}

func (s *Service) targets(ctx context.Context, where, key string) ([]target, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT p.ecosystem, p.name, r.purl, a.digest FROM release r
		JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id WHERE `+where+` ORDER BY r.seq`, key)
	if err != nil {
		return nil, fmt.Errorf("releases of %s: %w", key, err)
	}
	defer rows.Close()
	var out []target
	for rows.Next() {
		var t target
		if err := rows.Scan(&t.ecosystem, &t.name, &t.purl, &t.artifact); err != nil {
			return nil, fmt.Errorf("releases of %s: %w", key, err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}
