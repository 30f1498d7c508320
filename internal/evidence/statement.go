// Package evidence is the record: what every gate saw, as append-only statements, and the
// read-only tables that are projected from them.
//
// Everything else in the program hangs on this file. A [Statement] is an in-toto Statement v1
// with a place in the log, a time, an issuer and an assurance. Statements are appended with
// [Record.Append], never edited; a correction is a new statement. Every projection table can be
// dropped and rebuilt from them ([Record.Rebuild]). Other packages may SELECT from the projection
// tables (schema.sql documents them) and may not write to them.
//
// The package refuses to guess: what is not known is a visible gap, not a default.
package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// StatementType is the in-toto Statement v1 type.
// Source: in-toto/attestation spec/v1/statement.md.
const StatementType = "https://in-toto.io/Statement/v1"

// MaxBody is the longest encoded statement in bytes. C2SP tlog-tiles entry bundles prefix every
// entry with a 16-bit length; what does not fit (a file index) is a blob that the predicate names.
const MaxBody = 1<<16 - 1

// Statement is one line of the record.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`

	// Seq is the statement's place in the record and its leaf index in the log, from 0, no gaps.
	Seq int64 `json:"seq"`
	// Time is when the record took it, UTC, never before the statement that precedes it.
	Time time.Time `json:"time"`
	// Issuer says who asserts it.
	Issuer Issuer `json:"issuer"`
	// Assurance says on what ground.
	Assurance Assurance `json:"assurance"`
}

// Subject is what a statement is about. Name is a purl or an image reference; Digest maps
// algorithm to hex. A subject without digest (a name that is reserved, say) is allowed.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// About returns the subject for a purl and an optional digest.
func About(p purl.PURL, d digest.Digest) Subject {
	s := Subject{Name: string(p)}
	if d != "" {
		s.Digest = map[string]string{d.Algorithm(): d.Hex()}
	}
	return s
}

// Issuer is who asserts a statement.
type Issuer struct {
	Kind IssuerKind `json:"kind"`
	ID   string     `json:"id"` // account name, workload identity, agent or gate
}

// IssuerKind is the sort of issuer.
type IssuerKind string

// The issuer kinds.
const (
	Account  IssuerKind = "account"
	Workload IssuerKind = "workload"
	Agent    IssuerKind = "agent"
	Gate     IssuerKind = "gate"
)

// Assurance is the ground on which a statement stands.
type Assurance string

// The assurances.
const (
	Observed      Assurance = "observed"      // we saw it ourselves
	Authenticated Assurance = "authenticated" // an authenticated party said so
	Verified      Assurance = "verified"      // a signature or proof that we checked
)

// Draft is a statement that the record has not taken yet.
type Draft struct {
	Subjects  []Subject
	Predicate Predicate
	Issuer    Issuer
	Assurance Assurance
	// Follow, when set, makes the draft from the number of the first statement of its append, which
	// nobody knows before; the other fields are not used.
	Follow func(first int64) Draft
}

// Fits fails as an append of d would, as far as that depends on d alone: code statement-too-large.
func (d Draft) Fits() error {
	s, err := d.statement(1<<53, time.Date(9999, 1, 1, 0, 0, 0, 999_999_000, time.UTC)) // the longest place and time
	if err != nil {
		return err
	}
	_, err = s.Encode()
	return err
}

// Predicate is the payload of a statement: one Go type per predicate type.
type Predicate interface {
	// PredicateType returns the type URI.
	PredicateType() string
}

// statement makes the statement that d becomes at place seq.
func (d Draft) statement(seq int64, at time.Time) (Statement, error) {
	if len(d.Subjects) == 0 {
		return Statement{}, fmt.Errorf("a %s statement without subject", d.Predicate.PredicateType())
	}
	raw, err := json.Marshal(d.Predicate)
	if err != nil {
		return Statement{}, fmt.Errorf("encode %s: %w", d.Predicate.PredicateType(), err)
	}
	return Statement{
		Type: StatementType, Subject: d.Subjects, PredicateType: d.Predicate.PredicateType(), Predicate: raw,
		Seq: seq, Time: at, Issuer: d.Issuer, Assurance: d.Assurance,
	}, nil
}

// Encode returns the statement's log entry: the bytes that the leaf hash is taken over.
func (s Statement) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fault.New(fault.TooLarge, "statement-too-large",
			"a statement of %d bytes is longer than the log takes (%d)", len(body), MaxBody)
	}
	return body, nil
}

// DecodeStatement parses a log entry.
func DecodeStatement(body []byte) (Statement, error) {
	var s Statement
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fault.New(fault.Integrity, "statement-malformed", "a log entry is not a statement").Because(err)
	}
	if s.Type != StatementType {
		return s, fault.New(fault.Integrity, "statement-malformed", "a log entry has type %q; expected %s", s.Type, StatementType)
	}
	return s, nil
}

// Decode returns the predicate of s as T. It fails when s carries another type.
func Decode[T Predicate](s Statement) (T, error) {
	var p T
	if s.PredicateType != p.PredicateType() {
		return p, fmt.Errorf("statement %d is a %s, not a %s", s.Seq, s.PredicateType, p.PredicateType())
	}
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		return p, fault.New(fault.Integrity, "statement-malformed", "statement %d carries a predicate that cannot be read", s.Seq).Because(err)
	}
	return p, nil
}
