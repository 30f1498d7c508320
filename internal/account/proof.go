package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// recordPrefix begins the TXT record that proves a domain.
	recordPrefix = "hullmark-domain-verification="
	// proofAge is how old a proof may grow before the record is looked for again.
	proofAge = 24 * time.Hour
	// proofGrace is how long a record may be missing before publishing stops: domains expire, and
	// whoever buys one next must not find its groupId open; zones also break for a day.
	proofGrace   = 7 * 24 * time.Hour
	proofTimeout = 10 * time.Second
)

// Resolver asks name servers. *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, domain string) ([]string, error)
	LookupMX(ctx context.Context, domain string) ([]*net.MX, error)
	LookupHost(ctx context.Context, domain string) ([]string, error)
}

// WithResolver sets who answers for domains; without it the machine's resolver does. It is called
// before the service is used.
func (s *Service) WithResolver(r Resolver) *Service {
	s.resolver = r
	return s
}

// Proof is what is known of a namespace that is a domain.
type Proof struct {
	// Domain needs a TXT record that says Record.
	Domain, Record string
	// Valid says that the namespace may be published to.
	Valid bool
	// Proven is when the record was last seen; zero for never. Missing is since when it is gone.
	Proven, Missing time.Time
	// VouchedBy is the site administrator who took the proof's place.
	VouchedBy string
}

// askProof begins the proof of a namespace that needs one. A part of a groupId whose organisation
// has proved a part around it needs none.
func (s *Service) askProof(ctx context.Context, tx *sql.Tx, organisation, ecosystem, pattern, challenge string) error {
	if !rules[ecosystem].proved {
		return nil
	}
	for _, around := range rules[ecosystem].holders(pattern)[1:] {
		var owner string
		err := tx.QueryRowContext(ctx, `SELECT organisation FROM namespace WHERE ecosystem = $1 AND pattern = $2`, ecosystem, around).Scan(&owner)
		if err == nil && owner == organisation {
			return nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read parent: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO namespace_proof (ecosystem, pattern, challenge, valid, vouched, proven, checked, missing)
		VALUES ($1, $2, $3, 0, '', 0, 0, 0)`, ecosystem, pattern, challenge)
	if err != nil {
		return fmt.Errorf("ask for a proof: %w", err)
	}
	return nil
}

func errUnproven(ecosystem, pattern string) error {
	return fault.New(fault.Denied, "namespace-unproven",
		"%q is a domain that its owners have not proved, or not lately; see which TXT record it takes with: hullmark namespace prove %s %s", pattern, ecosystem, pattern)
}

// domainOf turns a groupId around.
func domainOf(pattern string) string {
	labels := strings.Split(pattern, ".")
	slices.Reverse(labels)
	return strings.ToLower(strings.Join(labels, "."))
}

const selectProof = `SELECT challenge, valid, vouched, proven, missing FROM namespace_proof WHERE ecosystem = $1 AND pattern = $2`

func scanProof(row *sql.Row, pattern string) (Proof, error) {
	p := Proof{Domain: domainOf(pattern)}
	var proven, missing int64
	err := row.Scan(&p.Record, &p.Valid, &p.VouchedBy, &proven, &missing)
	p.Record, p.Proven, p.Missing = recordPrefix+p.Record, fromMillis(proven), fromMillis(missing)
	return p, err
}

// NamespaceProof returns the state of a namespace's proof to the members of its organisation and to
// site administrators. Codes: namespace-unowned, organisation-unknown, proof-needless.
func (s *Service) NamespaceProof(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) (Proof, error) {
	return s.withProof(ctx, actor, ecosystem, pattern, Reader)
}

func (s *Service) withProof(ctx context.Context, actor evidence.Actor, ecosystem, pattern string, least Role) (Proof, error) {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return Proof{}, err
	}
	c, err := s.live(ctx, actor)
	if err != nil {
		return Proof{}, err
	}
	g, err := readGrant(ctx, s.db.Query(), grantKey{c.account, ecosystem, pattern})
	if err != nil {
		return Proof{}, fmt.Errorf("read namespace: %w", err)
	}
	if g.namespace != pattern {
		return Proof{}, errUnowned(ecosystem, pattern)
	}
	if err := requireRole(ctx, s.db.Query(), c, g.owner, least); err != nil {
		return Proof{}, err
	}
	p, err := scanProof(s.db.Query().QueryRowContext(ctx, selectProof, ecosystem, pattern), pattern)
	if errors.Is(err, sql.ErrNoRows) {
		return Proof{}, fault.New(fault.Invalid, "proof-needless", "%q needs no proof of a domain", pattern)
	}
	return p, err
}

// ProveNamespace looks for the TXT record now. Owners of the organisation may. It fails with code
// proof-missing when the record is not there and proof-unanswered when nobody could be asked.
func (s *Service) ProveNamespace(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) (Proof, error) {
	if _, err := s.unrestricted(ctx, actor); err != nil {
		return Proof{}, err
	}
	p, err := s.withProof(ctx, actor, ecosystem, pattern, Owner)
	if err != nil {
		return p, err
	}
	found, err := s.lookForProof(ctx, p)
	if err != nil {
		return p, fault.New(fault.Unavailable, "proof-unanswered", "the name servers of %s did not answer; try again later", p.Domain).Because(err)
	}
	if err := s.noteProof(ctx, ecosystem, rules[ecosystem].spelt(pattern), p, found); err != nil {
		return p, err
	}
	if !found {
		return p, fault.New(fault.NotFound, "proof-missing",
			"%s has no TXT record that says %s; add it, wait until it is visible, and try again", p.Domain, p.Record)
	}
	return s.withProof(ctx, actor, ecosystem, pattern, Owner)
}

// VouchNamespace takes a site administrator's word for the proof of a namespace, as for a domain that
// takes no TXT record (io.github.alice). It is not looked for again.
func (s *Service) VouchNamespace(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) (Proof, error) {
	if err := s.administer(ctx, actor); err != nil {
		return Proof{}, err
	}
	if _, err := s.withProof(ctx, actor, ecosystem, pattern, Owner); err != nil {
		return Proof{}, err
	}
	err := s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE namespace_proof SET valid = 1, vouched = $1, missing = 0 WHERE ecosystem = $2 AND pattern = $3`,
			actor.Account, ecosystem, rules[ecosystem].spelt(pattern))
		return err
	})
	if err != nil {
		return Proof{}, fmt.Errorf("vouch for a namespace: %w", err)
	}
	return s.withProof(ctx, actor, ecosystem, pattern, Owner)
}

// lookForProof reports whether the record is there. An error means that this is not known.
func (s *Service) lookForProof(ctx context.Context, p Proof) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	records, err := s.resolver.LookupTXT(ctx, p.Domain+".")
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(records, func(r string) bool { return strings.TrimSpace(r) == p.Record }), nil
}

// noteProof writes down what a name server said. What was proved stays so while the record is
// missing for less than proofGrace.
func (s *Service) noteProof(ctx context.Context, ecosystem, pattern string, p Proof, found bool) error {
	now := s.clk.Now()
	valid, missing := p.Valid, p.Missing
	switch {
	case found:
		valid, missing = true, time.Time{}
	case missing.IsZero():
		missing = now
	}
	if !missing.IsZero() && !now.Before(missing.Add(proofGrace)) {
		valid = false
	}
	proven := p.Proven
	if found {
		proven = now
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		const update = `UPDATE namespace_proof SET valid = $1, proven = $2, checked = $3, missing = $4 WHERE ecosystem = $5 AND pattern = $6 AND vouched = ''`
		_, err := tx.ExecContext(ctx, update, bit(valid), millis(proven), now.UnixMilli(), millis(missing), ecosystem, pattern)
		return err
	})
}

// VerifyNamespaces looks again for the records of namespaces that were proved, and for no others: who
// has not proved theirs yet asks themselves. It is to be called every hour or so; a name server that
// does not answer changes nothing. It returns how many were looked for.
func (s *Service) VerifyNamespaces(ctx context.Context) (looked int, err error) {
	type due struct{ ecosystem, pattern string }
	rows, err := s.db.Query().QueryContext(ctx, `SELECT ecosystem, pattern FROM namespace_proof
		WHERE vouched = '' AND proven > 0 AND checked <= $1 ORDER BY checked LIMIT 1000`, s.clk.Now().Add(-proofAge).UnixMilli())
	all, err := collect(rows, err, func(rows *sql.Rows) (due, error) {
		var d due
		return d, rows.Scan(&d.ecosystem, &d.pattern)
	})
	if err != nil {
		return 0, fmt.Errorf("read proofs: %w", err)
	}
	for _, d := range all {
		p, err := scanProof(s.db.Query().QueryRowContext(ctx, selectProof, d.ecosystem, d.pattern), d.pattern)
		if err != nil {
			return looked, fmt.Errorf("read proof: %w", err)
		}
		found, err := s.lookForProof(ctx, p)
		if err != nil {
			continue
		}
		if err := s.noteProof(ctx, d.ecosystem, d.pattern, p, found); err != nil {
			return looked, err
		}
		looked++
	}
	return looked, nil
}
