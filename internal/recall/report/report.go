// Package report takes reports of malicious packages from people, and puts them before the site
// administrators, who recall what is malicious and say so to who reported it.
//
// Reports weigh as much as who made them. Where the operator has said from which weight on, a release
// that several people have reported is quarantined until an administrator has looked: a recall at the
// publish and the pull gate.
//
// It refuses reports from nobody, about what the reporter may not see, and floods. It tells only
// administrators who reported: an owner who is reported must not learn by whom. Reports are no
// statements, because an accusation that nobody has looked at does not belong into a record that
// forgets nothing; what comes of it, a recall, does.
package report

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/store"
)

//go:embed schema.sql
var schemaSQL string

// Schema returns the package's tables.
func Schema() store.Schema { return store.Schema{Owner: "report", Steps: []string{schemaSQL}} }

const (
	maxReason  = 2000 // bytes
	maxADay    = 20   // reports of one account
	maxAtOnce  = 500  // that one list shows
	idBytes    = 10   // random
	everyLimit = 24 * time.Hour
)

// State is what became of a report.
type State string

// The states.
const (
	Open      State = "open"
	Upheld    State = "upheld"
	Unfounded State = "unfounded"
)

// Report is what somebody says of a package.
type Report struct {
	ID                       string
	PURL                     purl.PURL
	Ecosystem, Name, Version string // no version: the whole name
	Reason                   string
	Account                  string
	Weight                   int
	At                       time.Time
	State                    State
	Closed                   time.Time
	ClosedBy, Note           string
}

// Accounts knows who may see what, whom to tell, and who is no newcomer. The account service implements it.
type Accounts interface {
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
	RequireAdmin(ctx context.Context, actor evidence.Actor) error
	// Administer is RequireAdmin for what changes something.
	Administer(ctx context.Context, actor evidence.Actor) error
	// Established reports whether the actor's account is no newcomer and has a second factor.
	Established(ctx context.Context, actor evidence.Actor) (bool, error)
	// TellAdmins and Tell leave notices for every site administrator, and for one account.
	TellAdmins(ctx context.Context, kind string, data map[string]any) error
	Tell(ctx context.Context, account, kind string, data map[string]any) error
}

// Recalls quarantines. *recall.Service implements it.
type Recalls interface {
	Quarantine(ctx context.Context, subject purl.PURL, reason string) (recall.Recall, error)
}

// Settings are what an operator may choose.
type Settings struct {
	// QuarantineAt is the weight of the open reports of a release, by two people at least, from which on
	// it is quarantined. Whoever has enough accounts can stop any release until an administrator looks.
	// Default 0: never.
	QuarantineAt int
}

// Config is what the service is made of; all fields are needed.
type Config struct {
	DB       *store.DB // with the projections of the record
	Accounts Accounts
	Recalls  Recalls
	Settings Settings
	Clock    clock.Clock
	Random   io.Reader
}

// Service takes reports. It is safe for concurrent use.
type Service struct{ Config }

// New returns a service.
func New(c Config) *Service { return &Service{c} }

// Made is what became of a report at once.
type Made struct {
	Report
	Quarantined bool // the release is stopped until an administrator has looked
}

// Make takes a report of a package by purl, with or without version. Codes: purl-invalid, reason-invalid,
// release-unknown, report-exists, report-limit and those of Authorize.
func (s *Service) Make(ctx context.Context, actor evidence.Actor, subject, reason string) (Made, error) {
	r, err := s.new(ctx, actor, subject, reason)
	if err != nil {
		return Made{}, err
	}
	if r.Weight, err = s.weigh(ctx, actor); err != nil {
		return Made{}, err
	}
	if err := s.DB.Write(ctx, func(tx *sql.Tx) error { return s.insert(ctx, tx, r) }); err != nil {
		return Made{}, err
	}
	made := Made{Report: r}
	if made.Quarantined, err = s.quarantine(ctx, r); err != nil {
		return made, err
	}
	return made, s.Accounts.TellAdmins(ctx, "package-reported", map[string]any{
		"report": r.ID, "package": string(r.PURL), "by": r.Account, "reason": r.Reason, "quarantined": made.Quarantined,
	})
}

// new checks what is asked for.
func (s *Service) new(ctx context.Context, actor evidence.Actor, subject, reason string) (Report, error) {
	if actor.Anonymous() {
		return Report{}, fault.New(fault.Unauthenticated, "login-required", "who reports a package signs in first, so that somebody can ask back")
	}
	p, err := purl.Parse(subject)
	if err != nil {
		return Report{}, err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxReason {
		return Report{}, fault.New(fault.Invalid, "reason-invalid", "a reason of 1 to %d bytes is needed; say what the package does, and where", maxReason)
	}
	r := Report{PURL: p, Reason: reason, Account: actor.Account, At: s.Clock.Now(), State: Open}
	r.Ecosystem, r.Name, r.Version = p.Split()
	if r.Ecosystem == purl.OCI {
		r.Name = p.Qualifier("repository_url")
	}
	if err := s.Accounts.Authorize(ctx, actor, evidence.Read, r.Ecosystem, r.Name); err != nil {
		return Report{}, err
	}
	if err := s.known(ctx, r); err != nil {
		return Report{}, err
	}
	id := make([]byte, idBytes)
	if _, err := io.ReadFull(s.Random, id); err != nil {
		return Report{}, fmt.Errorf("read randomness: %w", err)
	}
	r.ID = "rep_" + hex.EncodeToString(id)
	return r, nil
}

// known fails with code release-unknown for what was never here: nothing could be done about it.
func (s *Service) known(ctx context.Context, r Report) error {
	query, args := `SELECT EXISTS (SELECT 1 FROM package WHERE ecosystem = $1 AND name = $2)`, []any{r.Ecosystem, r.Name}
	if r.Version != "" {
		query, args = `SELECT EXISTS (SELECT 1 FROM release WHERE purl = $1)`, []any{string(r.PURL)}
	}
	var yes bool
	if err := s.DB.Query().QueryRowContext(ctx, query, args...).Scan(&yes); err != nil {
		return fmt.Errorf("look for %s: %w", r.PURL, err)
	}
	if !yes {
		return fault.New(fault.NotFound, "release-unknown", "%s was never published or fetched here; check the spelling, or report it to the registry that has it", r.PURL)
	}
	return nil
}

// insert is the report unless its maker has one on the package, or has made too many.
func (s *Service) insert(ctx context.Context, tx *sql.Tx, r Report) error {
	var same, today int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM malware_report WHERE account = $1 AND purl = $2 AND state = 'open'),
		(SELECT count(*) FROM malware_report WHERE account = $1 AND created > $3)`, r.Account, string(r.PURL), r.At.Add(-everyLimit).UnixMilli()).Scan(&same, &today)
	if err != nil {
		return fmt.Errorf("count reports: %w", err)
	}
	if same > 0 {
		return fault.New(fault.Conflict, "report-exists", "you have reported %s already, and nobody has decided yet; write to the administrators to add something", r.PURL)
	}
	if today >= maxADay {
		return fault.New(fault.Denied, "report-limit", "an account makes %d reports a day; write to the administrators when there are more", maxADay)
	}
	const put = `INSERT INTO malware_report (id, purl, ecosystem, name, version, reason, account, weight, created, state, closed, closed_by, note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', 0, '', '')`
	if _, err := tx.ExecContext(ctx, put, r.ID, string(r.PURL), r.Ecosystem, r.Name, r.Version, r.Reason, r.Account, r.Weight, r.At.UnixMilli()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// weigh says what a report of the actor weighs: 0 when more of theirs were unfounded than upheld, 3 when one
// was upheld, else 2 for an account that is no newcomer and has a second factor, and 1 for the others.
func (s *Service) weigh(ctx context.Context, actor evidence.Actor) (int, error) {
	var upheld, unfounded int
	err := s.DB.Query().QueryRowContext(ctx, `SELECT (SELECT count(*) FROM malware_report WHERE account = $1 AND state = 'upheld'),
		(SELECT count(*) FROM malware_report WHERE account = $1 AND state = 'unfounded')`, actor.Account).Scan(&upheld, &unfounded)
	switch {
	case err != nil:
		return 0, fmt.Errorf("count reports: %w", err)
	case unfounded > upheld:
		return 0, nil
	case upheld > 0:
		return 3, nil
	}
	established, err := s.Accounts.Established(ctx, actor)
	if established {
		return 2, err
	}
	return 1, err
}

// quarantine stops the release when its reports weigh enough.
func (s *Service) quarantine(ctx context.Context, r Report) (bool, error) {
	if s.Settings.QuarantineAt <= 0 || r.Version == "" {
		return false, nil
	}
	var weight, people int
	err := s.DB.Query().QueryRowContext(ctx, `SELECT coalesce(sum(weight), 0), count(DISTINCT account) FROM malware_report
		WHERE purl = $1 AND state = 'open' AND weight > 0`, string(r.PURL)).Scan(&weight, &people)
	if err != nil {
		return false, fmt.Errorf("weigh reports: %w", err)
	}
	if weight < s.Settings.QuarantineAt || people < 2 {
		return false, nil
	}
	_, err = s.Recalls.Quarantine(ctx, r.PURL, fmt.Sprintf("quarantined until an administrator has looked: %d people report it as malicious", people))
	if f := fault.As(err); err != nil && (f.Code == "recall-exists" || f.Code == "recall-narrower") {
		return true, nil // it is stopped already
	}
	return err == nil, err
}

// List returns reports in a state, oldest first, to site administrators.
func (s *Service) List(ctx context.Context, actor evidence.Actor, state State) ([]Report, error) {
	if err := s.Accounts.RequireAdmin(ctx, actor); err != nil {
		return nil, err
	}
	rows, err := s.DB.Query().QueryContext(ctx, columns+` WHERE state = $1 ORDER BY created, id LIMIT $2`, string(state), maxAtOnce)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	defer rows.Close()
	var out []Report
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list reports: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Close decides a report, for site administrators, and tells who made it. What is upheld is not recalled
// by it. Codes: report-unknown, report-decided, report-outcome-invalid, admin-required.
func (s *Service) Close(ctx context.Context, actor evidence.Actor, id string, outcome State, note string) (r Report, err error) {
	if err := s.Accounts.Administer(ctx, actor); err != nil {
		return r, err
	}
	if outcome != Upheld && outcome != Unfounded {
		return r, fault.New(fault.Invalid, "report-outcome-invalid", "a report is upheld or unfounded")
	}
	if note = strings.TrimSpace(note); len(note) > maxReason {
		return r, fault.New(fault.Invalid, "reason-invalid", "a note has at most %d bytes", maxReason)
	}
	err = s.DB.Write(ctx, func(tx *sql.Tx) error {
		if r, err = scan(tx.QueryRowContext(ctx, columns+` WHERE id = $1`, id)); errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "report-unknown", "there is no report with that id; list them to see which there are")
		} else if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		if r.State != Open {
			return fault.New(fault.Conflict, "report-decided", "%s decided this report: it is %s", r.ClosedBy, r.State)
		}
		r.State, r.Closed, r.ClosedBy, r.Note = outcome, s.Clock.Now(), actor.Account, note
		_, err := tx.ExecContext(ctx, `UPDATE malware_report SET state = $1, closed = $2, closed_by = $3, note = $4 WHERE id = $5`,
			string(r.State), r.Closed.UnixMilli(), r.ClosedBy, r.Note, id)
		return err
	})
	if err != nil {
		return r, err
	}
	return r, s.Accounts.Tell(ctx, r.Account, "report-decided", map[string]any{"package": string(r.PURL), "outcome": string(r.State), "note": r.Note})
}

const columns = `SELECT id, purl, ecosystem, name, version, reason, account, weight, created, state, closed, closed_by, note FROM malware_report`

func scan(row interface{ Scan(...any) error }) (r Report, err error) {
	var created, closed int64
	err = row.Scan(&r.ID, &r.PURL, &r.Ecosystem, &r.Name, &r.Version, &r.Reason, &r.Account, &r.Weight, &created, &r.State, &closed, &r.ClosedBy, &r.Note)
	r.At = time.UnixMilli(created).UTC()
	if closed > 0 {
		r.Closed = time.UnixMilli(closed).UTC()
	}
	return r, err
}
