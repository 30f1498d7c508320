package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/fault"
)

// StepUpError is a refusal for want of a second factor: a person gives it at AuthURL.
type StepUpError struct {
	Fault   *fault.Error
	AuthURL string
	DoneURL string
}

// Error implements error.
func (e StepUpError) Error() string { return e.Fault.Error() }

// Unwrap returns the fault.
func (e StepUpError) Unwrap() error { return e.Fault }

// Asker gets what a request is repeated with from a person; "" gives up.
type Asker func(ctx context.Context, missing StepUpError) (otp string, err error)

// WithFactor sends otp with every request, unless it is empty, and asks for a factor that is missing
// all the same. It returns c.
func (c *Client) WithFactor(otp string, ask Asker) *Client {
	c.otp, c.ask = otp, ask
	return c
}

// AwaitProof polls until somebody has confirmed at e.AuthURL, or ctx ends. It sends no credential: the
// address is one. The address must be the server's own.
func (c *Client) AwaitProof(ctx context.Context, e StepUpError) (string, error) {
	ours, err := url.Parse(c.base)
	if err != nil {
		return "", fmt.Errorf("parse address: %w", err)
	}
	at, err := url.Parse(e.DoneURL)
	if err != nil || at.Host != ours.Host && !(loopback(at.Hostname()) && loopback(ours.Hostname())) {
		return "", fault.New(fault.Unavailable, "server-answer-unreadable", "the server named an address of another server; is it behind a proxy that it does not know?")
	}
	for {
		token, err := c.pollProof(ctx, e.DoneURL)
		if err != nil || token != "" {
			return token, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (c *Client) pollProof(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return "", fault.New(fault.Unavailable, "server-unreachable", "the server stopped answering; try again").Because(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode >= 300 {
		return "", problem(answer.StatusCode, text)
	}
	var p resource.StepUpProof
	err = json.Unmarshal(text, &p)
	return p.Token, err
}

// Factors returns the caller's.
func (c *Client) Factors(ctx context.Context) (f resource.Factors, err error) {
	return f, c.do(ctx, http.MethodGet, "/mfa", nil, nil, &f)
}

// BeginTOTP makes the secret of an authenticator app.
func (c *Client) BeginTOTP(ctx context.Context) (made resource.NewTOTP, err error) {
	return made, c.do(ctx, http.MethodPost, "/mfa/totp", nil, nil, &made)
}

// ConfirmTOTP puts the app into force; the first factor brings recovery codes.
func (c *Client) ConfirmTOTP(ctx context.Context, code string) (codes resource.RecoveryCodes, err error) {
	return codes, c.do(ctx, http.MethodPost, "/mfa/totp/confirmation", nil, resource.Code{Code: code}, &codes)
}

// RemoveTOTP removes it.
func (c *Client) RemoveTOTP(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/mfa/totp", nil, nil, nil)
}

// RenewRecoveryCodes replaces the recovery codes.
func (c *Client) RenewRecoveryCodes(ctx context.Context) (codes resource.RecoveryCodes, err error) {
	return codes, c.do(ctx, http.MethodPost, "/mfa/recovery-codes", nil, nil, &codes)
}

// MFARules returns the rules of an organisation and of the names that it owns.
func (c *Client) MFARules(ctx context.Context, organisation string) ([]resource.MFARule, error) {
	return all[resource.MFARule](ctx, c, path("organisations", organisation, "mfa"), nil)
}

// SetMFA sets a rule on what it names, or removes it.
func (c *Client) SetMFA(ctx context.Context, r resource.MFARule) (set resource.MFARule, err error) {
	target := path("organisations", r.Organisation, "mfa")
	switch {
	case r.Package != "":
		target = path("packages", r.Ecosystem, r.Package, "mfa")
	case r.Namespace != "":
		target = path("namespaces", r.Ecosystem, r.Namespace, "mfa")
	}
	in := resource.NewMFARule{Action: r.Action, Level: r.Level, Automation: r.Automation}
	return set, c.do(ctx, http.MethodPut, target, nil, in, &set)
}
