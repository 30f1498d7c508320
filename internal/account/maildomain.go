package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// mailDomainSQL keeps since when a domain of somebody's address takes no mail. Whoever registers an
// abandoned domain reads the mail of those who left it, recovery codes included.
const mailDomainSQL = `CREATE TABLE mail_domain (
	domain  TEXT PRIMARY KEY,
	checked BIGINT NOT NULL,
	missing BIGINT NOT NULL
)`

// VerifyMailDomains looks, once a day for each, whether the domains of confirmed addresses still are
// there (RFC 5321, 5.1: a mail exchanger or, failing that, an address). One that has been missing for
// seven days takes the confirmation from its addresses: they recover no account and get no notices until
// they are confirmed anew. A name server that does not answer changes nothing. It is to be called every
// hour or so and returns how many domains were looked for.
func (s *Service) VerifyMailDomains(ctx context.Context) (looked int, err error) {
	due, err := s.dueMailDomains(ctx)
	if err != nil {
		return 0, fmt.Errorf("read domains: %w", err)
	}
	for domain, missing := range due {
		there, err := s.takesMail(ctx, domain)
		if err != nil {
			continue
		}
		if err := s.noteMailDomain(ctx, domain, missing, there); err != nil {
			return looked, fmt.Errorf("note domain: %w", err)
		}
		looked++
	}
	return looked, nil
}

// dueMailDomains maps those to look for to since when they are missing.
func (s *Service) dueMailDomains(ctx context.Context) (map[string]int64, error) {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT address FROM account_email WHERE address <> ''`)
	addresses, err := collect(rows, err, func(rows *sql.Rows) (string, error) {
		var a string
		return a, rows.Scan(&a)
	})
	if err != nil {
		return nil, err
	}
	due, horizon := map[string]int64{}, s.clk.Now().Add(-proofAge).UnixMilli()
	for _, a := range addresses {
		domain := strings.ToLower(a[strings.LastIndexByte(a, '@')+1:])
		if _, seen := due[domain]; seen {
			continue
		}
		var checked, missing int64
		err := s.db.Query().QueryRowContext(ctx, `SELECT checked, missing FROM mail_domain WHERE domain = $1`, domain).Scan(&checked, &missing)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if checked <= horizon {
			due[domain] = missing
		}
	}
	return due, nil
}

// takesMail reports whether a domain exists for mail. An error means that this is not known.
func (s *Service) takesMail(ctx context.Context, domain string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	_, err := s.resolver.LookupMX(ctx, domain+".")
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		_, err = s.resolver.LookupHost(ctx, domain+".")
	}
	if errors.As(err, &dns) && dns.IsNotFound {
		return false, nil
	}
	return err == nil, err
}

func (s *Service) noteMailDomain(ctx context.Context, domain string, missing int64, there bool) error {
	now := s.clk.Now()
	switch {
	case there:
		missing = 0
	case missing == 0:
		missing = now.UnixMilli()
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mail_domain (domain, checked, missing) VALUES ($1, $2, $3)
			ON CONFLICT (domain) DO UPDATE SET checked = $2, missing = $3`, domain, now.UnixMilli(), missing)
		if err != nil || missing == 0 || now.Before(time.UnixMilli(missing).Add(proofGrace)) {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE account_email SET address = '', verified = 0
			WHERE lower(substr(address, length(address) - length($1))) = '@' || $1`, domain)
		return err
	})
}
