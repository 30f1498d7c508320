package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// MemberKind is the sort of a fleet member.
type MemberKind string

// The member kinds.
const (
	AgentMember     MemberKind = "agent"
	AdmissionMember MemberKind = "admission"
)

// Enrolment is a fleet member: a program that reports what it sees and enforces what it hears. Its
// secret opens the Fleet service as this member and nothing else, and no other secret opens that.
type Enrolment struct {
	ID      string // "flt_…"
	Kind    MemberKind
	Cluster string // "" for an agent outside of any
	Name    string // the node; an admission controller is called like its cluster
	MadeBy  string // account
	Created time.Time
	Seen    time.Time // to the minute; zero: never
}

// Receiver is what the member is called in the receipts of a recall: "agent/node-7",
// "agent/prod/node-7" where a cluster is known, "admission/prod".
func (e Enrolment) Receiver() string {
	if e.Kind == AdmissionMember || e.Cluster == "" {
		return string(e.Kind) + "/" + e.Name
	}
	return string(e.Kind) + "/" + e.Cluster + "/" + e.Name
}

// Issuer is as whom the member's statements are issued.
func (e Enrolment) Issuer() evidence.Issuer {
	if e.Kind == AdmissionMember {
		return evidence.Issuer{Kind: evidence.Gate, ID: e.Receiver()}
	}
	return evidence.Issuer{Kind: evidence.Agent, ID: e.Receiver()}
}

// Gate is the gate that the member stands at.
func (e Enrolment) Gate() string {
	if e.Kind == AdmissionMember {
		return "admit"
	}
	return "run"
}

// memberName takes node names as Kubernetes and DNS have them; a name lands in every receipt.
var memberName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`)

// check fails with code enrolment-invalid.
func (e Enrolment) check() error {
	if e.Kind != AgentMember && e.Kind != AdmissionMember {
		return fault.New(fault.Invalid, "enrolment-invalid", "%q is no kind of fleet member; use agent or admission", clip(string(e.Kind)))
	}
	if !memberName.MatchString(e.Name) {
		return fault.New(fault.Invalid, "enrolment-invalid", "%q is not a name of a node or cluster: lower-case letters, digits, '.', '-' and '_'", clip(e.Name))
	}
	if e.Cluster != "" && !memberName.MatchString(e.Cluster) {
		return fault.New(fault.Invalid, "enrolment-invalid", "%q is not a name of a cluster: lower-case letters, digits, '.', '-' and '_'", clip(e.Cluster))
	}
	return nil
}

// Enrol makes a fleet member from e's kind, cluster and name and returns its secret, once. Only site
// administrators may. Codes: admin-required, enrolment-invalid, enrolment-exists.
func (s *Service) Enrol(ctx context.Context, actor evidence.Actor, e Enrolment) (secret string, made Enrolment, err error) {
	if err := s.administer(ctx, actor); err != nil {
		return "", Enrolment{}, err
	}
	if e.Kind == AdmissionMember {
		e.Cluster = e.Name
	}
	if err := e.check(); err != nil {
		return "", Enrolment{}, err
	}
	if secret, err = s.newSecret(memberPrefix); err != nil {
		return "", Enrolment{}, err
	}
	id, err := s.randomText(tokenIDRandom)
	if err != nil {
		return "", Enrolment{}, err
	}
	e.ID, e.MadeBy, e.Created, e.Seen = "flt_"+id, actor.Account, fromMillis(s.clk.Now().UnixMilli()), time.Time{}
	err = s.change(ctx, func(tx *sql.Tx) error {
		var taken bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM enrolment WHERE kind = $1 AND cluster = $2 AND name = $3 AND revoked = 0)`,
			e.Kind, e.Cluster, e.Name).Scan(&taken)
		if err != nil {
			return fmt.Errorf("look for enrolment: %w", err)
		}
		if taken {
			return fault.New(fault.Conflict, "enrolment-exists", "%s is enrolled already; revoke it first to give it a new token", e.Receiver())
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO enrolment (id, hash, kind, cluster, name, made_by, created, seen, revoked)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`, e.ID, hashSecret(secret), e.Kind, e.Cluster, e.Name, e.MadeBy, millis(e.Created))
		return err
	})
	if err != nil {
		return "", Enrolment{}, err
	}
	return secret, e, nil
}

const selectEnrolment = `SELECT id, kind, cluster, name, made_by, created, seen, hash FROM enrolment WHERE revoked = 0`

// memberRow is a fleet member with the hash of its secret.
type memberRow struct {
	Enrolment
	hash string
}

func scanEnrolment(row interface{ Scan(...any) error }) (memberRow, error) {
	var m memberRow
	var created, seen int64
	err := row.Scan(&m.ID, &m.Kind, &m.Cluster, &m.Name, &m.MadeBy, &created, &seen, &m.hash)
	m.Created, m.Seen = fromMillis(created), fromMillis(seen)
	return m, err
}

// Enrolments returns every fleet member that is not revoked, to site administrators.
func (s *Service) Enrolments(ctx context.Context, actor evidence.Actor) ([]Enrolment, error) {
	if err := s.requireAdmin(ctx, actor); err != nil {
		return nil, err
	}
	return s.Fleet(ctx)
}

// Fleet returns every fleet member that is not revoked, by kind, cluster and name. It asks for no
// right: it is for the stages that count on the members, not for callers.
func (s *Service) Fleet(ctx context.Context) ([]Enrolment, error) {
	rows, err := s.db.Query().QueryContext(ctx, selectEnrolment+` ORDER BY kind, cluster, name`)
	return collect(rows, err, func(rows *sql.Rows) (Enrolment, error) {
		m, err := scanEnrolment(rows)
		return m.Enrolment, err
	})
}

// RevokeEnrolment ends a fleet member, named by its ID: when it returns, no call is let through for it
// any more, and its open streams are told to end. Codes: admin-required, enrolment-unknown.
func (s *Service) RevokeEnrolment(ctx context.Context, actor evidence.Actor, id string) error {
	if err := s.administer(ctx, actor); err != nil {
		return err
	}
	err := s.change(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE enrolment SET revoked = $1 WHERE id = $2 AND revoked = 0`, s.clk.Now().UnixMilli(), id)
		if err != nil {
			return fmt.Errorf("revoke enrolment: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.NotFound, "enrolment-unknown", "no fleet member has this id; list them with: hullmark enroll list"))
		}
		return nil
	})
	if err == nil {
		s.left.tell(id)
	}
	return err
}

// Member returns the fleet member that secret is. It fails with code enrolment-unauthenticated.
func (s *Service) Member(ctx context.Context, secret string) (Enrolment, error) {
	if !validSecret(memberPrefix, secret) {
		return Enrolment{}, errMember()
	}
	hash := hashSecret(secret)
	cache := s.cache.Load() // before the read: a revocation in between must not be missed
	if m, ok := cache.members.get(hash); ok {
		return m.Enrolment, nil
	}
	m, err := scanEnrolment(s.db.Query().QueryRowContext(ctx, selectEnrolment+` AND hash = $1`, hash))
	if errors.Is(err, sql.ErrNoRows) || err == nil && subtle.ConstantTimeCompare([]byte(m.hash), []byte(hash)) != 1 {
		return Enrolment{}, errMember()
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("read enrolment: %w", err)
	}
	cache.members.put(hash, m)
	return m.Enrolment, nil
}

// MemberUntil is Member for a call that stays open: left is closed when the member is revoked.
func (s *Service) MemberUntil(ctx context.Context, secret string) (e Enrolment, left <-chan struct{}, err error) {
	if e, err = s.Member(ctx, secret); err != nil {
		return e, nil, err
	}
	left = s.left.of(e.ID)
	e, err = s.Member(ctx, secret) // it may have been revoked before left was there to be closed
	return e, left, err
}

func errMember() error {
	return fault.New(fault.Unauthenticated, "enrolment-unauthenticated",
		"this needs the token of a fleet member that is enrolled; make one with: hullmark enroll")
}

// Seen writes down that members called, by ID. The caller collects them: one commit a minute for a
// whole fleet instead of one a member.
func (s *Service) Seen(ctx context.Context, ids []string) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		now := s.clk.Now().UnixMilli()
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `UPDATE enrolment SET seen = $1 WHERE id = $2`, now, id); err != nil {
				return fmt.Errorf("note who was seen: %w", err)
			}
		}
		return nil
	})
}

// departures tells who waits that a fleet member was revoked. The zero value is ready.
type departures struct {
	mu sync.Mutex
	by map[string]chan struct{} // by enrolment ID; closed and removed when told
}

func (d *departures) of(id string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]chan struct{}{}
	}
	if d.by[id] == nil {
		d.by[id] = make(chan struct{})
	}
	return d.by[id]
}

func (d *departures) tell(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.by[id]; c != nil {
		close(c)
		delete(d.by, id)
	}
}
