package policy

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Installed is a policy set with how it came to be in force.
type Installed struct {
	Revision string
	Document []byte
	Policies []string // names
	// Account and At are who put it in force and when; Seq is the statement. Of the set that the program
	// ships, and that is in force while none was put, Account is empty and Seq is -1.
	Account string
	At      time.Time
	Seq     int64
}

// PutSet puts a set of policies in force, in place of the one before, when it parses and compiles.
// Only site administrators may. Putting what is in force already says nothing new. Codes:
// admin-required and those of [Parse] and [Compile].
func (s *Service) PutSet(ctx context.Context, actor evidence.Actor, document []byte) (Installed, error) {
	if err := s.access.RequireAdmin(ctx, actor); err != nil {
		return Installed{}, err
	}
	set, err := Parse(document)
	if err != nil {
		return Installed{}, err
	}
	program, err := Compile(set)
	if err != nil {
		return Installed{}, err
	}
	if have, err := s.Set(ctx); err != nil || have.Revision == program.Revision() {
		return have, err
	}
	if err := s.keep(ctx, set.Canonical(), digest.Digest(program.Revision())); err != nil {
		return Installed{}, err
	}
	revision := digest.Digest(program.Revision())
	_, err = s.record.Append(ctx, nil, evidence.Draft{
		Subjects:  []evidence.Subject{{Name: "policy-set", Digest: evidence.About("", revision).Digest}},
		Predicate: evidence.PolicySet{Revision: revision, Policies: program.Names(), Actor: actor},
		Issuer:    actor.Issuer(), Assurance: evidence.Authenticated,
	})
	if err != nil {
		return Installed{}, fmt.Errorf("put policy set: %w", err)
	}
	return s.Set(ctx)
}

// keep makes the document durable before a statement names it.
func (s *Service) keep(ctx context.Context, document []byte, revision digest.Digest) error {
	u, err := s.blobs.Create(ctx)
	if err != nil {
		return fmt.Errorf("keep policy set: %w", err)
	}
	if _, err := io.Copy(u, bytes.NewReader(document)); err != nil {
		return errors.Join(fmt.Errorf("keep policy set: %w", err), u.Abort())
	}
	_, err = u.Commit(ctx, revision)
	return err
}

// Set returns the policies that are in force: those that were put last, or those that the program ships.
func (s *Service) Set(ctx context.Context) (Installed, error) {
	return s.installed(ctx, `ORDER BY seq DESC LIMIT 1`)
}

// SetBefore returns the policies that were in force when the record had head statements.
func (s *Service) SetBefore(ctx context.Context, head int64) (Installed, error) {
	return s.installed(ctx, `WHERE seq < $1 ORDER BY seq DESC LIMIT 1`, head)
}

// SetAt returns the set of a revision that is or was in force. It fails with code policy-set-unknown.
func (s *Service) SetAt(ctx context.Context, revision string) (Installed, error) {
	found, err := s.installed(ctx, `WHERE revision = $1 ORDER BY seq DESC LIMIT 1`, revision)
	if err != nil || found.Revision == revision {
		return found, err
	}
	document, err := s.blobs.ReadObject(ctx, shippedObject(revision))
	if errors.Is(err, fs.ErrNotExist) {
		return Installed{}, fault.New(fault.NotFound, "policy-set-unknown",
			"no policy set %.100q was ever in force here; 'hullmark policy get' says which is", revision)
	}
	if err != nil {
		return Installed{}, fmt.Errorf("policy set %.100s: %w", revision, err)
	}
	found = Installed{Revision: revision, Document: document, Seq: -1}
	program, err := s.program(found)
	if err == nil {
		found.Policies = program.Names()
	}
	return found, err
}

// Ship keeps the set that this version of the program ships, so that what was decided by it can be recomputed
// after the next version ships another one. Call it at every start.
func (s *Service) Ship(ctx context.Context) error {
	set, err := shippedSet()
	if err != nil {
		return err
	}
	_, err = s.blobs.ReadObject(ctx, shippedObject(set.Revision))
	if errors.Is(err, fs.ErrNotExist) {
		err = s.blobs.WriteObject(ctx, shippedObject(set.Revision), set.Document)
	}
	if err != nil {
		return fmt.Errorf("keep the shipped policies: %w", err)
	}
	return nil
}

// shippedObject names the object that holds a shipped set. Objects are written by us alone, so
// nobody can slip a set in by uploading a blob.
func shippedObject(revision string) string {
	d, err := digest.Parse(revision)
	if err != nil {
		d = "" // of no set
	}
	return "policy/shipped/" + d.Hex()
}

// installed returns the set that a row of policy_set names, and the shipped one where there is none.
func (s *Service) installed(ctx context.Context, where string, args ...any) (Installed, error) {
	var found Installed
	var at string
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT seq, revision, account, at FROM policy_set `+where, args...).
		Scan(&found.Seq, &found.Revision, &found.Account, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return shippedSet()
	}
	if err != nil {
		return Installed{}, fmt.Errorf("policy set in force: %w", err)
	}
	found.At = parseTime(at)
	if found.Document, err = s.document(ctx, found.Revision); err != nil {
		return Installed{}, err
	}
	program, err := s.program(found)
	if err == nil {
		found.Policies = program.Names()
	}
	return found, err
}

func shippedSet() (Installed, error) {
	set := Shipped()
	program, err := Compile(set)
	if err != nil {
		return Installed{}, fmt.Errorf("shipped policies: %w", err)
	}
	return Installed{Revision: program.Revision(), Document: set.Canonical(), Policies: program.Names(), Seq: -1}, nil
}

func (s *Service) document(ctx context.Context, revision string) ([]byte, error) {
	f, err := s.blobs.Open(ctx, digest.Digest(revision))
	if err != nil {
		return nil, fmt.Errorf("policy set %s: %w", revision, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxDocument+1))
	if err == nil && digest.FromBytes(text) != digest.Digest(revision) {
		err = fault.New(fault.Integrity, "digest-mismatch", "the stored policy set %s has other bytes than its revision says", revision)
	}
	return text, err
}

// maxPrograms bounds how many compiled sets are kept: explanations ask for old ones.
const maxPrograms = 32

// Program returns a set compiled.
func (s *Service) Program(ctx context.Context, revision string) (*Program, error) {
	s.mu.Lock()
	program := s.programs[revision]
	s.mu.Unlock()
	if program != nil {
		return program, nil
	}
	found, err := s.SetAt(ctx, revision)
	if err != nil {
		return nil, err
	}
	return s.program(found)
}

func (s *Service) program(set Installed) (*Program, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if program := s.programs[set.Revision]; program != nil {
		return program, nil
	}
	parsed, err := Parse(set.Document)
	if err != nil {
		return nil, fmt.Errorf("policy set %s: %w", set.Revision, err)
	}
	program, err := Compile(parsed)
	if err != nil {
		return nil, fmt.Errorf("policy set %s: %w", set.Revision, err)
	}
	if len(s.programs) >= maxPrograms {
		clear(s.programs)
	}
	s.programs[set.Revision] = program
	return program, nil
}

// mustExist fails with code policy-unknown when the set in force has no policy of that name: an exception
// with a slip of the pen in it would wait for ever to be used.
func (s *Service) mustExist(ctx context.Context, policy string) error {
	set, err := s.Set(ctx)
	if err != nil || policy == "*" || slices.Contains(set.Policies, policy) {
		return err
	}
	return fault.New(fault.NotFound, "policy-unknown",
		"no policy %.100q is in force; 'hullmark policy list' names those that are", policy)
}
