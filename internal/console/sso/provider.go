package sso

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	flowLifetime = 10 * time.Minute
	callTimeout  = 10 * time.Second
	maxAnswer    = 1 << 20 // bytes of what a provider says
	secretBytes  = 32
)

// Provider is one identity provider. It is safe for concurrent use.
type Provider struct {
	ProviderConfig
	secret   string
	redirect string
	client   *http.Client
	clk      clock.Clock
	random   *lockedReader
	flows    flows

	// found is what discovery answered: asked for when it is first needed, so that a provider that is
	// down does not keep the server from starting.
	mu    sync.Mutex
	found *oidc.Provider
}

// New returns the providers of a configuration, or fails with code sso-config-invalid. publicURL is where
// browsers reach the server. random is the source of every secret.
func New(c Config, publicURL string, clk clock.Clock, random io.Reader) ([]*Provider, error) {
	var all []*Provider
	seen := map[string]bool{}
	locked := &lockedReader{r: random}
	for _, pc := range c.Providers {
		if err := pc.check(); err != nil {
			return nil, err
		}
		if seen[pc.ID] || seen[pc.Issuer] {
			return nil, errConfig("%s, or its issuer, is there twice", pc.ID)
		}
		seen[pc.ID], seen[pc.Issuer] = true, true
		secret, err := pc.secret()
		if err != nil {
			return nil, err
		}
		pc.applyDefaults()
		all = append(all, &Provider{
			ProviderConfig: pc, secret: secret, redirect: publicURL + "/account/sign-on/" + pc.ID + "/callback",
			client: newClient(), clk: clk, random: locked,
		})
	}
	return all, nil
}

func (c *ProviderConfig) applyDefaults() {
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.NameClaim == "" {
		c.NameClaim = "preferred_username"
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile", "email"}
	}
}

// newClient asks a provider. It follows no redirect: the issuer's own address is what was trusted.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     limited{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// limited cuts answers off at maxAnswer.
type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// The keys are fetched again later with this context's client, when it has long ended.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "sso-unavailable", "%s does not answer as an identity provider; try again, or sign in another way", p.Label).Because(err)
	}
	p.found = found
	return found, nil
}

func (p *Provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.secret, Endpoint: found.Endpoint(), RedirectURL: p.redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...),
	}
}

// Begun is a sign-in under way.
type Begun struct {
	// Address is where the browser goes.
	Address string
	// Binding goes into a cookie: it ties the way back to this browser.
	Binding string
}

// Begin starts a sign-in. next is where it leads; by is who wants to link the identity to their account, and
// nobody for a sign-in. Codes: sso-unavailable, sso-busy.
func (p *Provider) Begin(ctx context.Context, next string, by evidence.Actor) (Begun, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return Begun{}, err
	}
	var secrets [4]string
	for i := range secrets {
		if secrets[i], err = p.random.text(); err != nil {
			return Begun{}, err
		}
	}
	state, nonce, verifier, binding := secrets[0], secrets[1], secrets[2], secrets[3]
	f := flow{nonce: nonce, verifier: verifier, binding: binding, next: next, by: by, expires: p.clk.Now().Add(flowLifetime)}
	if !p.flows.put(state, f, p.clk.Now()) {
		return Begun{}, fault.New(fault.Unavailable, "sso-busy", "too many sign-ins are under way; try again in a few minutes")
	}
	return Begun{
		Address: p.oauth(found).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)),
		Binding: binding,
	}, nil
}

// Answer is what the browser came back with.
type Answer struct {
	State, Code, Error, Issuer string // of the address
	Binding                    string // of the cookie
}

// Finished is a sign-in whose person is known.
type Finished struct {
	account.Assertion
	Next string
	By   evidence.Actor // who began, to link; nobody for a sign-in
}

// Finish verifies an answer. Codes: sso-unknown, sso-refused, sso-unavailable.
func (p *Provider) Finish(ctx context.Context, a Answer) (Finished, error) {
	f, ok := p.flows.take(a.State, a.Binding, p.clk.Now())
	if !ok {
		return Finished{}, fault.New(fault.NotFound, "sso-unknown", "this sign-in has expired, was used already, or began in another browser; start it again")
	}
	if a.Error != "" {
		return Finished{}, p.refused("%s did not sign you in", p.Label).Because(errors.New(a.Error))
	}
	if a.Issuer != "" && a.Issuer != p.Issuer {
		return Finished{}, p.refused("the answer is another provider's")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Finished{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	answer, err := p.oauth(found).Exchange(ctx, a.Code, oauth2.VerifierOption(f.verifier))
	if err != nil {
		return Finished{}, p.refused("%s did not take back the code that it gave out", p.Label).Because(err)
	}
	raw, ok := answer.Extra("id_token").(string)
	if !ok {
		return Finished{}, p.refused("%s sent no ID token", p.Label)
	}
	token, err := p.verify(ctx, found, raw, f.nonce)
	if err != nil {
		return Finished{}, p.refused("the ID token of %s does not hold", p.Label).Because(err)
	}
	assertion, err := p.assert(token)
	return Finished{Assertion: assertion, Next: f.next, By: f.by}, err
}

func (p *Provider) refused(format string, args ...any) *fault.Error {
	return fault.New(fault.Denied, "sso-refused", "%s; start again, or ask whoever runs the server to look at its log", fmt.Sprintf(format, args...))
}

// verify checks an ID token (OpenID Connect Core 1.0, 3.1.3.7).
func (p *Provider) verify(ctx context.Context, found *oidc.Provider, raw, nonce string) (*oidc.IDToken, error) {
	token, err := found.VerifierContext(ctx, &oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256}, Now: p.clk.Now,
	}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if !same(token.Nonce, nonce) {
		return nil, errors.New("the nonce is another sign-in's")
	}
	var c struct {
		AZP string `json:"azp"`
	}
	if err := token.Claims(&c); err != nil {
		return nil, err
	}
	if c.AZP != "" && c.AZP != p.ClientID || c.AZP == "" && len(token.Audience) > 1 {
		return nil, errors.New("the token was made for another client")
	}
	return token, nil
}

// lockedReader makes secrets of a source that need not be safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) text() (string, error) {
	raw := make([]byte, secretBytes)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := io.ReadFull(l.r, raw); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}
