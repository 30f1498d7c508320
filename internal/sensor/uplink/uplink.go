// Package uplink is the agent's line to the server: it watches what is to be enforced, hands over what was
// seen, and asks what images are made of.
//
// The line may be down for as long as it likes. What is watched is kept on disk and stays in force; what is
// to be reported waits in a spool on disk and is removed only when the server has it on the record. The
// package never sends its token in clear to another machine, and never writes it anywhere.
package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1/fleetv1connect"
	"github.com/hullmark/hullmark/internal/sensor/spool"
)

// Config is what a line needs.
type Config struct {
	Server string // "https://hullmark.example.com"
	// Token is the agent's, or TokenFile the file that holds it, which is read anew for each connection,
	// so that it may be replaced while the agent runs.
	Token, TokenFile string
	// State is the folder for the spool and for what was watched.
	State string
	// SpoolBytes bounds the spool. Default 256 MiB.
	SpoolBytes int64
	Clock      clock.Clock
	Logger     *slog.Logger
	Unique     func() string // names batches
}

// Line is a line to one server. Run works it.
type Line struct {
	Config
	client  fleetv1connect.FleetClient
	spool   *spool.Spool
	out     *outbox
	kick    chan struct{} // the sender looks at the spool
	handler Handler       // set by Run
	there   atomic.Bool   // a watch is open and in sync
}

// Handler takes what the server says. Its methods are called from one goroutine, with all that is in
// force: it replaces what was said before.
type Handler interface {
	Recalls([]*fleetv1.Recall)
	Exceptions(raw []byte) // JSON, array of package policy's Exception
}

// New returns a line. Nothing is sent before Run. It fails with codes server-address-invalid,
// server-address-insecure and agent-token-missing.
func New(c Config) (*Line, error) {
	u, err := url.Parse(c.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "server-address-invalid",
			"%q is not a server address; expected something like https://hullmark.example.com", c.Server)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fault.New(fault.Denied, "server-address-insecure", "a token is not sent over plain HTTP to %s; use https", u.Host)
	}
	if c.SpoolBytes == 0 {
		c.SpoolBytes = 256 << 20
	}
	l := &Line{Config: c, kick: make(chan struct{}, 1)}
	if _, err := l.token(); err != nil {
		return nil, err
	}
	if l.spool, err = spool.Open(filepath.Join(c.State, "spool"), c.SpoolBytes); err != nil {
		return nil, err
	}
	l.out = newOutbox(l.spool, c.Logger, c.Unique, l.wake, l.direct)
	l.client = fleetv1connect.NewFleetClient(&http.Client{Transport: bearer{l, transport(u.Scheme)}}, strings.TrimSuffix(c.Server, "/"))
	return l, nil
}

// transport speaks HTTP/2, in clear on loopback.
func transport(scheme string) *http.Transport {
	p := new(http.Protocols)
	if scheme == "http" {
		p.SetUnencryptedHTTP2(true)
	} else {
		p.SetHTTP2(true)
		p.SetHTTP1(true)
	}
	return &http.Transport{
		Protocols: p, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// token returns the agent's token.
func (l *Line) token() (string, error) {
	if l.Token != "" {
		return l.Token, nil
	}
	raw, err := os.ReadFile(l.TokenFile)
	token := strings.TrimSpace(string(raw))
	if err != nil || token == "" {
		return "", fault.New(fault.Unauthenticated, "agent-token-missing",
			"the agent has no token for the server; enrol it and name the file that holds the token with --token-file, or set $HULLMARK_AGENT_TOKEN").Because(err)
	}
	return token, nil
}

// bearer adds the token to every request.
type bearer struct {
	line *Line
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.line.token()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(r)
}

// Run works the line until ctx ends. What is still to be reported then is in the spool.
func (l *Line) Run(ctx context.Context, h Handler) error {
	l.handler = h
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.watch(ctx); return nil })
	g.Go(func() error { l.send(ctx); return nil })
	g.Go(func() error { l.out.run(ctx); return nil })
	return g.Wait()
}

// wake makes the sender look at the spool.
func (l *Line) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// backoff is how long to wait after a number of failures: doubling, with chance in it, so that a
// thousand agents do not come back in the same second.
func backoff(failures int) time.Duration {
	const first, longest = 250 * time.Millisecond, 30 * time.Second
	wait := longest
	if failures < 8 {
		wait = min(longest, first<<failures)
	}
	return wait/2 + rand.N(wait/2)
}

// pause waits, and reports false when ctx ended. early ends the wait.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
}

// Ping asks the server for nothing, to find out whether it answers and takes the token.
func (l *Line) Ping(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := l.firstUpdate(ctx); err != nil {
		return fmt.Errorf("watch: %w", plain(err))
	}
	return nil
}
