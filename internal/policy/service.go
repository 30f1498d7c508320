package policy

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Access says who may do what. The account service implements it.
type Access interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	// RequireAdmin fails unless the actor is a site administrator.
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
}

// Service takes the statements that people make about policies: which set is in force, and what is let
// past it. It is safe for concurrent use.
type Service struct {
	record *evidence.Record
	blobs  blob.Store
	access Access
	clock  clock.Clock
	reader *Reader
	hosts  []string // see WithHosts

	mu       sync.Mutex
	programs map[string]*Program // by revision; guarded by mu
}

// NewService returns a service on record. blobs keeps the documents of policy sets.
func NewService(record *evidence.Record, blobs blob.Store, access Access, clk clock.Clock) *Service {
	return &Service{
		record: record, blobs: blobs, access: access, clock: clk, reader: NewReader(record.DB()), programs: map[string]*Program{},
	}
}

// WithHosts returns a service that knows under which names clients reach this server's registry:
// "registry.example/acme/shop" is the repository acme/shop here, and its owners decide about it.
func (s *Service) WithHosts(hosts ...string) *Service {
	return &Service{
		record: s.record, blobs: s.blobs, access: s.access, clock: s.clock, reader: s.reader, hosts: hosts, programs: map[string]*Program{},
	}
}

// Reader returns the reader that the service explains decisions with.
func (s *Service) Reader() *Reader { return s.reader }

const (
	maxReason = 500 // bytes; whoever is let past, or is not, reads it
	maxTicket = 200
	maxScope  = 1000 // bytes of each field
	// MaxLife is the longest that an exception may be in force.
	MaxLife = 90 * 24 * time.Hour
)

// RequestException asks for an exception: Policy, Scope, Reason, Ticket and Expires of x. It lets
// nothing past until somebody else approves it. Codes: login-required, exception-invalid, policy-unknown.
func (s *Service) RequestException(ctx context.Context, actor evidence.Actor, x evidence.Exception) (ListedException, error) {
	if actor.Anonymous() {
		return ListedException{}, fault.New(fault.Unauthenticated, "login-required", "this needs a login; log in or send a token")
	}
	if actor.Workload != nil {
		return ListedException{}, fault.New(fault.Denied, "workload-denied", "an exception is asked for by a person; a pipeline's token only publishes")
	}
	x.Event, x.ID, x.Actor = evidence.Requested, 0, actor
	x.Expires = x.Expires.UTC().Truncate(time.Second)
	x.Reason, x.Ticket = strings.TrimSpace(x.Reason), strings.TrimSpace(x.Ticket)
	if err := checkException(x, s.clock.Now()); err != nil {
		return ListedException{}, err
	}
	if err := s.mustExist(ctx, x.Policy); err != nil {
		return ListedException{}, err
	}
	made, err := s.append(ctx, nil, actor, x)
	if err != nil {
		return ListedException{}, err
	}
	return s.Exception(ctx, made)
}

func checkException(x evidence.Exception, now time.Time) error {
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "exception-invalid", format, args...)
	}
	scope := x.Scope
	for _, field := range []string{x.Policy, scope.Cluster, scope.Namespace, scope.Kind, scope.Name, scope.Image, scope.Component} {
		if len(field) > maxScope {
			return invalid("a part of the scope is longer than %d bytes", maxScope)
		}
	}
	switch {
	case x.Policy == "":
		return invalid("name the policy that is to be let past, or * for all of them")
	case scope == evidence.ExceptionScope{}:
		return invalid("the scope is empty: name at least a cluster, a namespace, a workload, an image or a component")
	case strings.ContainsAny(scope.Image, " \t\n*"):
		return invalid("the image %.100q is no digest and no beginning of a reference; patterns are not taken", scope.Image)
	case scope.Component != "" && !strings.HasPrefix(scope.Component, "pkg:"):
		return invalid("the component %.100q is no purl; expected something like pkg:npm/%%40acme/ui@1.2.3", scope.Component)
	case x.Reason == "" || len(x.Reason) > maxReason:
		return invalid("a reason of 1 to %d bytes is needed: it is shown wherever the exception is used", maxReason)
	case x.Ticket == "" || len(x.Ticket) > maxTicket:
		return invalid("a ticket of 1 to %d bytes is needed: where the real repair is tracked", maxTicket)
	case !x.Expires.After(now):
		return invalid("it expires at %s, which has passed", x.Expires.Format(time.RFC3339))
	case x.Expires.After(now.Add(MaxLife)):
		return invalid("it expires at %s; an exception lasts at most 90 days", x.Expires.Format(time.RFC3339))
	}
	return nil
}

// ApproveException puts an exception in force. Whoever approves is somebody else than who asked: a site
// administrator or, where the policy says so ([ExceptionsAnnotation]) and the scope names images here, an owner of
// the namespace of every image in scope. Codes: exception-unknown, exception-decided,
// exception-expired, exception-own, exception-not-yours, and those of Access.
func (s *Service) ApproveException(ctx context.Context, actor evidence.Actor, id int64) (ListedException, error) {
	x, err := s.Exception(ctx, id)
	if err != nil {
		return ListedException{}, err
	}
	if err := s.mayApprove(ctx, actor, x.Exception); err != nil {
		return ListedException{}, err
	}
	if x.Requester == actor.Account {
		return ListedException{}, fault.New(fault.Denied, "exception-own",
			"%s asked for exception #%d; somebody else has to approve it", actor.Account, id)
	}
	if !s.clock.Now().Before(x.Expires) {
		return ListedException{}, fault.New(fault.Conflict, "exception-expired",
			"exception #%d expired at %s; ask for a new one", id, x.Expires.Format(time.RFC3339))
	}
	guard := func(tx *sql.Tx) error { return undecided(ctx, tx, id, true) }
	if _, err := s.append(ctx, guard, actor, s.step(x.Exception, evidence.Approved, "", actor)); err != nil {
		return ListedException{}, err
	}
	return s.Exception(ctx, id)
}

// RevokeException ends an exception, or takes a request back. Who asked for it may, who approved it, the owners of
// the images in scope, and site administrators. Codes as of [Service.ApproveException].
func (s *Service) RevokeException(ctx context.Context, actor evidence.Actor, id int64, reason string) error {
	x, err := s.Exception(ctx, id)
	if err != nil {
		return err
	}
	if len(reason) > maxReason {
		return fault.New(fault.Invalid, "reason-invalid", "a reason of at most %d bytes is taken", maxReason)
	}
	if actor.Anonymous() || actor.Account != x.Requester && actor.Account != x.Approver {
		if err := s.mayDecide(ctx, actor, x.Exception); err != nil {
			return err
		}
	}
	guard := func(tx *sql.Tx) error { return undecided(ctx, tx, id, false) }
	_, err = s.append(ctx, guard, actor, s.step(x.Exception, evidence.Revoked, reason, actor))
	return err
}

// undecided fails with code exception-decided when the exception was revoked or, for an approval,
// approved meanwhile.
func undecided(ctx context.Context, tx *sql.Tx, id int64, approval bool) error {
	var approved, revoked int64
	err := tx.QueryRowContext(ctx, `SELECT approved_seq, revoked_seq FROM exception WHERE id = $1`, id).Scan(&approved, &revoked)
	switch {
	case err != nil:
		return fmt.Errorf("exception %d: %w", id, err)
	case revoked != 0:
		return fault.New(fault.Conflict, "exception-decided", "exception #%d was revoked; ask for a new one", id)
	case approval && approved != 0:
		return fault.New(fault.Conflict, "exception-decided", "exception #%d is approved already", id)
	}
	return nil
}

// step is the statement that moves an exception on. It repeats what it is about, so that who reads it
// alone understands it.
func (s *Service) step(x Exception, event evidence.ExceptionEvent, reason string, actor evidence.Actor) evidence.Exception {
	return evidence.Exception{
		Event: event, ID: x.ID, Policy: x.Policy, Scope: x.Scope, Reason: reason, Ticket: x.Ticket, Expires: x.Expires, Actor: actor,
	}
}

func (s *Service) append(ctx context.Context, guard evidence.Guard, actor evidence.Actor, x evidence.Exception) (id int64, err error) {
	drafts := []evidence.Draft{{
		Subjects: subjectsOf(x), Predicate: x, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	}}
	if s.record.Head() == 0 { // an exception has its statement's number, and 0 means none
		drafts = append([]evidence.Draft{{
			Subjects:  subjectsOf(x),
			Predicate: evidence.Gap{What: "what was decided before", Reason: "the record begins here"},
			Issuer:    evidence.Issuer{Kind: evidence.Gate, ID: "admit"}, Assurance: evidence.Observed,
		}}, drafts...)
	}
	made, err := s.record.Append(ctx, guard, drafts...)
	if err != nil {
		return 0, fmt.Errorf("exception: %w", err)
	}
	return made[len(made)-1].Seq, nil
}

// subjectsOf are what the record of an exception is found by: the policy, and the image or component that
// is let past.
func subjectsOf(x evidence.Exception) []evidence.Subject {
	subjects := []evidence.Subject{{Name: "policy:" + x.Policy}}
	if d, err := digest.Parse(x.Scope.Image); err == nil {
		subjects = append(subjects, evidence.About("", d))
	}
	if x.Scope.Component != "" {
		subjects = append(subjects, evidence.Subject{Name: x.Scope.Component})
	}
	return subjects
}
