// Package client speaks the REST interface: the command line and tests use it, and other programs
// may. Errors of the server come back as the faults that they were, with code, kind and sentence,
// so that a command ends with the same exit code as if it had asked the stage itself.
//
// It refuses to send a credential in clear to another machine.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	prefix    = "/api/v1"
	maxAnswer = 64 << 20 // bytes; a bundle is the longest answer
	timeout   = time.Minute
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	base  string // the server's address, without a slash at its end
	token string
	http  *http.Client
	ask   Asker // nil: a missing second factor is an error
	otp   string
}

// New returns a client of the server at address ("http://127.0.0.1:4873"). token may be empty. It
// fails with code server-address-invalid, and with server-address-insecure when a token would go
// over plain HTTP to a host that is not this one.
func New(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "server-address-invalid",
			"%q is not a server address; expected something like http://127.0.0.1:4873", address)
	}
	if token != "" && u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fault.New(fault.Denied, "server-address-insecure",
			"a token is not sent over plain HTTP to %s; use https", u.Host)
	}
	c := &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Client{base: strings.TrimSuffix(address, "/"), token: token, http: c}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// path joins segments, each percent-encoded as one.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// do sends a request and decodes the answer into out, when both are given. body is sent as JSON
// unless nil.
func (c *Client) do(ctx context.Context, method, target string, query url.Values, body, out any) error {
	answer, err := c.send(ctx, method, target, query, body)
	if err != nil || out == nil {
		return err
	}
	return decode(answer, out)
}

func decode(answer []byte, out any) error {
	if err := json.Unmarshal(answer, out); err != nil {
		return fault.New(fault.Internal, "server-answer-unreadable", "the server's answer cannot be read; is it a hullmark server?").Because(err)
	}
	return nil
}

// send returns the body of a successful answer.
func (c *Client) send(ctx context.Context, method, target string, query url.Values, body any) ([]byte, error) {
	request, err := c.request(ctx, method, prefix+target, query, body)
	if err != nil {
		return nil, err
	}
	return c.exchange(request)
}

func (c *Client) exchange(request *http.Request) ([]byte, error) {
	text, _, err := c.answer(request)
	return text, err
}

// answer sends a request and returns the body and header of a successful answer. When a second factor
// is missing it asks for it, and sends the request once more.
func (c *Client) answer(request *http.Request) ([]byte, http.Header, error) {
	if c.otp != "" {
		request.Header.Set(resource.OTPHeader, c.otp)
	}
	text, header, err := c.once(request)
	var missing StepUpError
	if c.ask == nil || !errors.As(err, &missing) {
		return text, header, err
	}
	otp, aerr := c.ask(request.Context(), missing)
	if aerr != nil || otp == "" {
		return nil, nil, errors.Join(aerr, err)
	}
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return nil, nil, fmt.Errorf("repeat request: %w", err)
		}
	}
	again.Header.Set(resource.OTPHeader, otp)
	return c.once(again)
}

func (c *Client) once(request *http.Request) ([]byte, http.Header, error) {
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "server-unreachable",
			"nothing answers at %s; is the server running, and is --server or $HULLMARK_URL right?", c.base).Because(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "server-unreachable", "the server's answer broke off; try again").Because(err)
	}
	if len(text) > maxAnswer {
		return nil, nil, fault.New(fault.TooLarge, "server-answer-unreadable", "the server's answer is longer than %d bytes", maxAnswer)
	}
	if answer.StatusCode >= 300 {
		return nil, nil, problem(answer.StatusCode, text)
	}
	return text, answer.Header, nil
}

func (c *Client) request(ctx context.Context, method, target string, query url.Values, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+target, content)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// problem makes of a problem document the fault that it was.
func problem(status int, text []byte) error {
	var p resource.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		return fault.New(fault.Unavailable, "server-answer-unreadable",
			"the server answered with status %d and no explanation; is it a hullmark server?", status)
	}
	f := &fault.Error{Kind: kindOf(p.Kind), Code: p.Code, Text: p.Detail}
	if p.AuthURL != "" && p.DoneURL != "" {
		return StepUpError{f, p.AuthURL, p.DoneURL}
	}
	return f
}

// kindOf finds a kind by its name; one that this program does not know is Internal.
func kindOf(name string) fault.Kind {
	for k := fault.Internal; k <= fault.Integrity; k++ {
		if k.String() == name {
			return k
		}
	}
	return fault.Internal
}

// all follows a list from page to page.
func all[T any](ctx context.Context, c *Client, target string, query url.Values) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(500))
	items := []T{} // an empty list is printed as one
	for {
		var p resource.Page[T]
		if err := c.do(ctx, http.MethodGet, target, query, nil, &p); err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if p.Next == "" {
			return items, nil
		}
		query.Set("cursor", p.Next)
	}
}

// SecurityContact reports whether the server says whom to tell of a vulnerability (RFC 9116).
func (c *Client) SecurityContact(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/.well-known/security.txt", nil)
	if err != nil {
		return false, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return false, fault.New(fault.Unavailable, "server-unreachable", "%s does not answer; is it running?", c.base).Because(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK, nil
}
