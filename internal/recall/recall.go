// Package recall stops a release or an artifact with one statement, and lifts it again with
// another. The gates read the projection of these statements; this package asks none of them.
//
// A recall names the purl and, so that the same bytes are stopped wherever they turn up, the
// artifact's digest; the projection follows it into what holds it. Every gate answers with a receipt, and
// who has not answered is listed.
//
// It refuses to let one owner stop another's release: the digest is left out when a name that the
// actor does not own offers the same bytes. It refuses to be undone by one person alone.
package recall

import (
	"context"
	"database/sql"
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
	// MayStop is Authorize for Own, also while a change of credentials keeps the actor from publishing.
	MayStop(ctx context.Context, actor evidence.Actor, ecosystem, name string) error
	// RequireAdmin fails unless the actor is a site administrator.
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
}

// Service recalls. It is safe for concurrent use.
type Service struct {
	record *evidence.Record
	access Access
	fleet  Fleet

	rehearsing chan struct{} // one slot: a preview keeps appends waiting
}

// New returns a service on record. fleet says whose receipts are waited for; nil is for nobody's but the
// server's.
func New(record *evidence.Record, access Access, fleet Fleet) *Service {
	if fleet == nil {
		fleet = func(context.Context) ([]Member, error) { return nil, nil }
	}
	return &Service{record: record, access: access, fleet: fleet, rehearsing: make(chan struct{}, 1)}
}

// Recall is a recall in force.
type Recall struct {
	Subjects []string // purls and digests
	Reason   string
	Cause    Cause
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
	// Undo is who asked to lift it; empty while nobody has.
	Undo string
}

// target is one release that a recall is about.
type target struct {
	ecosystem, name, purl, artifact string
}

// Order asks for a recall.
type Order struct {
	Subject string // a purl or a digest: of an artifact, a layer or a file
	Reason  string
	// Cause is the sort of reason; empty means malware.
	Cause Cause
	// Gates are those that are to enforce it; none means all.
	Gates []string
	// System lets it reach system namespaces too.
	System bool
	// Canary, when set, is where running processes are stopped; elsewhere they are only observed.
	Canary *evidence.WorkloadRef
}

// Recall stops what the order names, and everything that holds it. Owners of the namespace may stop
// their releases, site administrators anything, also what was never published here. The receipts of the
// server's own gates are part of the same commit. Codes: reason-invalid, subject-invalid,
// recall-scope-invalid, recall-cause-invalid, login-required, namespace-not-yours, name-unknown, admin-required, recall-exists,
// recall-narrower.
func (s *Service) Recall(ctx context.Context, actor evidence.Actor, o Order) (Recall, error) {
	drafts, subjects, err := s.drafts(ctx, actor, o)
	if err != nil {
		return Recall{}, err
	}
	guard := func(tx *sql.Tx) error { return s.mayReplace(ctx, tx, actor, subjects, o) }
	made, err := s.append(ctx, guard, drafts...)
	if err != nil {
		return Recall{}, err
	}
	made.Known, err = s.known(ctx, made.Subjects)
	return made, err
}

// drafts are the statement that the order becomes, and the receipts of the server's gates for it.
func (s *Service) drafts(ctx context.Context, actor evidence.Actor, o Order) ([]evidence.Draft, []evidence.Subject, error) {
	reason, err := checkReason(o.Reason)
	if err != nil {
		return nil, nil, err
	}
	subject, err := canonical(o.Subject)
	if err != nil {
		return nil, nil, err
	}
	if o.Gates, err = checkScope(o); err != nil {
		return nil, nil, err
	}
	cause, err := o.Cause.check()
	if err != nil {
		return nil, nil, err
	}
	subjects, err := s.subjects(ctx, actor, subject, s.access.MayStop)
	if err != nil {
		return nil, nil, err
	}
	drafts := []evidence.Draft{{
		Subjects: subjects, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Recall{
			Reason: reason, Cause: string(cause), Actor: actor, Gates: o.Gates, System: o.System, Canary: o.Canary,
			Admin: s.access.RequireAdmin(ctx, actor) == nil,
		},
	}}
	for _, gate := range serverGates {
		if enforces(o.Gates, gate) {
			drafts = append(drafts, s.ownReceipt(gate))
		}
	}
	return drafts, subjects, nil
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

// may is the right to a name that somebody needs.
type may func(ctx context.Context, actor evidence.Actor, ecosystem, name string) error

// owns is the right to let a release go again: whoever may only stop things must wait with it.
func (s *Service) owns(ctx context.Context, actor evidence.Actor, ecosystem, name string) error {
	return s.access.Authorize(ctx, actor, evidence.Own, ecosystem, name)
}

// subjects returns what a recall of subject must name, provided that the actor has the right to all of it.
func (s *Service) subjects(ctx context.Context, actor evidence.Actor, subject string, right may) ([]evidence.Subject, error) {
	isPURL := strings.HasPrefix(subject, "pkg:")
	admin := s.access.RequireAdmin(ctx, actor)
	about, err := s.targets(ctx, `r.purl = $1 OR a.digest = $1`, subject)
	if err != nil {
		return nil, err
	}
	if admin != nil {
		if err := s.must(ctx, actor, about, right, admin); err != nil {
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
	if admin != nil && s.must(ctx, actor, shared, right, admin) != nil {
		return []evidence.Subject{subjectOf(subject)}, nil
	}
	return []evidence.Subject{{Name: subject, Digest: subjectOf(about[0].artifact).Digest}}, nil
}

// must fails unless the actor has a right to every target. notAdmin is the answer when there is none:
// what was not published here only administrators stop.
func (s *Service) must(ctx context.Context, actor evidence.Actor, targets []target, right may, notAdmin error) error {
	if len(targets) == 0 {
		return notAdmin
	}
	for _, t := range targets {
		if err := s.access.Authorize(ctx, actor, evidence.Read, t.ecosystem, t.name); err != nil {
			return err
		}
		if err := right(ctx, actor, t.ecosystem, t.name); err != nil {
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

func (s *Service) append(ctx context.Context, guard evidence.Guard, drafts ...evidence.Draft) (Recall, error) {
	made, err := s.record.Append(ctx, guard, drafts...)
	if err != nil {
		return Recall{}, fmt.Errorf("recall: %w", err)
	}
	return fromStatement(made[0])
}

func fromStatement(st evidence.Statement) (Recall, error) {
	p, err := evidence.Decode[evidence.Recall](st)
	return Recall{
		Subjects: keys(st.Subject), Reason: p.Reason, Account: p.Actor.Account, At: st.Time, Seq: st.Seq,
		Cause: causeOf(p), Gates: p.Gates, System: p.System, Canary: p.Canary,
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
