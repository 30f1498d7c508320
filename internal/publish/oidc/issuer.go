package oidc

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Issuer is a source of identity tokens that a site administrator registered: a company's own GitHub or
// GitLab, a cluster, or something else that signs tokens.
type Issuer struct {
	URL      string // exactly as its tokens say it
	Provider string // how its tokens are to be read
	// Default: publishers of its provider that name no issuer are of this one. npm names none.
	Default bool
	// Internal lets its address be inside the network, where the server fetches from nobody else.
	Internal bool
	CA       string // PEM of who signs its certificate; empty: the machine's roots
	Keys     string // its JWKS, when it cannot be fetched from here
	// Builtin: the public service of a provider; nobody registered it.
	Builtin   bool
	Created   time.Time
	CreatedBy string

	provider *provider
	static   map[string]*jose.JSONWebKey // Keys, read
}

const maxCA = 64 << 10 // bytes

// issuerCache is the registered issuers; nil until they were read, and after a change.
type issuerCache struct {
	all atomic.Pointer[map[string]*Issuer]
}

// issuerOf returns the issuer that a token names, if tokens of it are taken. Nothing is fetched to find out.
// Code issuer-unknown.
func (s *Service) issuerOf(ctx context.Context, issuer string) (*Issuer, error) {
	registered, err := s.registered(ctx)
	if err != nil {
		return nil, err
	}
	if iss := registered[issuer]; iss != nil {
		return iss, nil
	}
	p := builtin(issuer)
	if p == nil {
		return nil, errIssuerUnknown(issuer)
	}
	if p.family != nil {
		// Anybody can make up a customer of the provider; only those that somebody trusts are asked.
		var used bool
		const query = `SELECT EXISTS (SELECT 1 FROM trusted_publisher WHERE issuer = $1 AND removed = 0)`
		if err := s.db.Query().QueryRowContext(ctx, query, issuer).Scan(&used); err != nil {
			return nil, fmt.Errorf("look for publishers of an issuer: %w", err)
		}
		if !used {
			return nil, errIssuerUnknown(issuer)
		}
	}
	return &Issuer{URL: issuer, Provider: p.name, Builtin: true, provider: p}, nil
}

func errIssuerUnknown(issuer string) error {
	return fault.New(fault.Unauthenticated, "issuer-unknown",
		"tokens of %q are not taken here; a site administrator registers an issuer with: hullmark trust issuer add", clip(issuer))
}

func (s *Service) registered(ctx context.Context) (map[string]*Issuer, error) {
	if all := s.issuers.all.Load(); all != nil {
		return *all, nil
	}
	list, err := s.readIssuers(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*Issuer, len(list))
	for _, iss := range list {
		all[iss.URL] = iss
	}
	s.issuers.all.Store(&all)
	return all, nil
}

func (s *Service) readIssuers(ctx context.Context) ([]*Issuer, error) {
	const query = `SELECT url, provider, standard, internal, ca, keys, created, created_by FROM trusted_issuer ORDER BY url`
	rows, err := s.db.Query().QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read issuers: %w", err)
	}
	defer rows.Close()
	var out []*Issuer
	for rows.Next() {
		iss := new(Issuer)
		var created int64
		if err := rows.Scan(&iss.URL, &iss.Provider, &iss.Default, &iss.Internal, &iss.CA, &iss.Keys, &created, &iss.CreatedBy); err != nil {
			return nil, fmt.Errorf("read issuers: %w", err)
		}
		iss.Created = fromMillis(created)
		if err := iss.complete(); err != nil {
			return nil, fmt.Errorf("read issuer %s: %w", iss.URL, err)
		}
		out = append(out, iss)
	}
	return out, rows.Err()
}

// complete fills in what follows from the rest.
func (iss *Issuer) complete() (err error) {
	if iss.provider, err = providerNamed(iss.Provider); err != nil {
		return err
	}
	if iss.Keys != "" {
		iss.static, err = parseKeys([]byte(iss.Keys))
	}
	return err
}

// AddIssuer registers an issuer; site administrators may. Codes: issuer-invalid, issuer-exists,
// provider-unknown, admin-required.
func (s *Service) AddIssuer(ctx context.Context, actor evidence.Actor, iss Issuer) (Issuer, error) {
	if err := s.administers(ctx, actor); err != nil {
		return Issuer{}, err
	}
	if err := iss.check(); err != nil {
		return Issuer{}, err
	}
	iss.Created, iss.CreatedBy = fromMillis(s.Clock.Now().UnixMilli()), actor.Account
	guard := func(tx *sql.Tx) error {
		const insert = `INSERT INTO trusted_issuer (url, provider, standard, internal, ca, keys, created, created_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (url) DO NOTHING`
		r, err := tx.ExecContext(ctx, insert, iss.URL, iss.Provider, bit(iss.Default), bit(iss.Internal),
			iss.CA, iss.Keys, millis(iss.Created), iss.CreatedBy)
		if err != nil {
			return fmt.Errorf("register issuer: %w", err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.Conflict, "issuer-exists", "%s is registered already; remove it first to change it", iss.URL))
		}
		return nil
	}
	_, err := s.Record.Append(ctx, guard, s.aboutIssuer(actor, "trust-issuer", iss))
	s.issuerChanged(iss.URL)
	return iss, err
}

// defaultIssuer returns the issuer that a publisher of a provider means when it names none.
func (s *Service) defaultIssuer(ctx context.Context, prov *provider, claims map[string]string) (string, error) {
	registered, err := s.registered(ctx)
	if err != nil {
		return "", err
	}
	organisation := strings.ToLower(claims["org_id"])
	for _, issuer := range slices.Sorted(maps.Keys(registered)) {
		iss := registered[issuer]
		if iss.provider == prov && iss.Default && (prov.family == nil || path.Base(issuer) == organisation) {
			return issuer, nil
		}
	}
	if prov.family != nil {
		return strings.TrimSuffix(circleIssuer, "<org_id>") + organisation, nil
	}
	if prov.issuer == "" {
		return "", unfit("a publisher of %s needs an issuer, which a site administrator has registered", prov.name)
	}
	return prov.issuer, nil
}

// administers asks for an administrator who is there in person: a stolen token must not make us believe
// somebody's issuer.
func (s *Service) administers(ctx context.Context, actor evidence.Actor) error {
	if err := s.Accounts.RequireAdmin(ctx, actor); err != nil {
		return err
	}
	return s.Accounts.RequireFactor(ctx, actor)
}

// issuerChanged makes the next token be looked at with what is in the tables now.
func (s *Service) issuerChanged(issuer string) {
	s.issuers.all.Store(nil)
	s.keys.forget(issuer)
}

// check says what is wrong with an issuer that somebody registers.
func (iss *Issuer) check() error {
	if err := iss.complete(); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			return err
		}
		return errIssuer("its keys cannot be used: %v", err)
	}
	u, err := url.Parse(iss.URL)
	switch {
	case err != nil || len(iss.URL) > maxPin || checkURL(iss.URL) != nil || u.RawQuery != "" || u.Host != strings.ToLower(u.Host):
		return errIssuer("give its address as its tokens say it, beginning with https:// (http only on this machine)")
	case !iss.provider.registered:
		return errIssuer("%s has one issuer for everybody, which is known here", iss.Provider)
	case len(iss.CA) > maxCA || iss.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(iss.CA)):
		return errIssuer("its CA is no PEM file of at most %d bytes with a certificate", maxCA)
	}
	return iss.checkBuiltin(u)
}

// checkBuiltin keeps anybody from registering what looks like a public service. One of them gives a customer
// an issuer below its own, and that is of its own kind.
func (iss *Issuer) checkBuiltin(u *url.URL) error {
	if strings.HasSuffix(u.Hostname(), "oidc.circleci.com") {
		return errIssuer("the issuers of CircleCI are known here")
	}
	for _, p := range providers {
		known, err := url.Parse(p.issuer)
		if p.issuer == "" || err != nil || known.Host != u.Host {
			continue
		}
		if p.name != iss.Provider || strings.Trim(u.Path, "/") == strings.Trim(known.Path, "/") {
			return errIssuer("%s is known here as %s", p.issuer, p.name)
		}
	}
	return nil
}

func errIssuer(format string, args ...any) error {
	return fault.New(fault.Invalid, "issuer-invalid", "the issuer cannot be registered: "+format, args...)
}

// RemoveIssuer takes a registered issuer away: its tokens are refused from now on. Publishers of it stay,
// with a flag.
func (s *Service) RemoveIssuer(ctx context.Context, actor evidence.Actor, issuer string) error {
	if err := s.administers(ctx, actor); err != nil {
		return err
	}
	guard := func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM trusted_issuer WHERE url = $1`, issuer)
		if err != nil {
			return fmt.Errorf("remove issuer: %w", err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.NotFound, "issuer-unregistered", "%q is not registered; list the issuers to see which are", clip(issuer)))
		}
		return nil
	}
	_, err := s.Record.Append(ctx, guard, s.aboutIssuer(actor, "untrust-issuer", Issuer{URL: issuer}))
	s.issuerChanged(issuer)
	return err
}

// aboutIssuer is the statement that an administrator changed whose tokens are taken. What an administrator
// does without owning anything must be seen by others.
func (s *Service) aboutIssuer(actor evidence.Actor, action string, iss Issuer) evidence.Draft {
	input, err := json.Marshal(map[string]any{"provider": iss.Provider, "internal": iss.Internal, "default": iss.Default})
	if err != nil {
		input = nil // strings and truth values: it cannot
	}
	d := s.decision(evidence.Decision{Action: action, Verdict: "allow", Actor: actor, Input: input}, "", "")
	d.Subjects = []evidence.Subject{IssuerSubject(iss.URL)}
	return d
}

// IssuerSubject is the subject of statements about an issuer.
func IssuerSubject(issuer string) evidence.Subject {
	return evidence.Subject{Name: "issuer:" + clip(issuer)}
}

// Issuers returns the issuers whose tokens are taken: the public ones, then those that were registered.
func (s *Service) Issuers(ctx context.Context) ([]Issuer, error) {
	var out []Issuer
	for _, p := range providers {
		if p.issuer != "" {
			out = append(out, Issuer{URL: p.issuer, Provider: p.name, Builtin: true})
		}
	}
	out = append(out, Issuer{URL: circleIssuer, Provider: "circleci", Builtin: true})
	list, err := s.readIssuers(ctx)
	for _, iss := range list {
		out = append(out, *iss)
	}
	return out, err
}

// circleIssuer is how the issuers of CircleCI look: one for each organisation.
const circleIssuer = "https://oidc.circleci.com/org/<org_id>"

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// millis stores a time; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
