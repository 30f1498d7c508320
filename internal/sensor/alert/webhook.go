package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

// The headers of a webhook's request. The signature is the hex HMAC-SHA256, under the shared secret, of the
// timestamp header, a full stop and the body; a receiver refuses old timestamps, so that a recorded
// request cannot be sent again.
const (
	SignatureHeader = "Hullmark-Signature" // "sha256=<hex>"
	TimestampHeader = "Hullmark-Timestamp" // seconds since 1970
	MissedHeader    = "Hullmark-Missed"    // alerts left out before this one, for want of room
)

const (
	webhookQueue   = 4096
	webhookTimeout = 10 * time.Second
	firstRetry     = 200 * time.Millisecond
	slowestRetry   = 30 * time.Second
)

// Webhook posts every alert as JSON. [Webhook.Send] never waits; [Webhook.Run] does the posting, in order,
// and tries again until the receiver takes it.
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
	clock  clock.Clock
	log    *slog.Logger
	queue  chan Alert
	missed atomic.Int64 // how many did not fit since the last that was posted
}

// NewWebhook checks the address. secret may be empty: then requests are not signed. It fails with code
// webhook-invalid.
func NewWebhook(address string, secret []byte, c clock.Clock, log *slog.Logger) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "webhook-invalid", "the webhook's address must be an http or https URL")
	}
	w := &Webhook{
		url: address, secret: secret, client: &http.Client{Timeout: webhookTimeout}, clock: c, log: log,
		queue: make(chan Alert, webhookQueue),
	}
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w, nil
}

// Send takes an alert to be posted.
func (w *Webhook) Send(a Alert) {
	select {
	case w.queue <- a:
	default:
		w.missed.Add(1)
	}
}

// Run posts until ctx ends.
func (w *Webhook) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-w.queue:
			w.deliver(ctx, a)
		}
	}
}

// deliver tries until it is taken, or refused for good.
func (w *Webhook) deliver(ctx context.Context, a Alert) {
	body, err := json.Marshal(a)
	if err != nil {
		w.log.Error("alert not encoded", "error", err)
		return
	}
	missed := w.missed.Swap(0)
	for wait := firstRetry; ; wait = min(2*wait, slowestRetry) {
		again, err := w.post(ctx, body, missed)
		if err == nil {
			return
		}
		w.log.Warn("webhook not delivered", "error", err, "again", again)
		if !again {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// post sends one request. again reports whether a failure may pass.
func (w *Webhook) post(ctx context.Context, body []byte, missed int64) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	stamp := strconv.FormatInt(w.clock.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(TimestampHeader, stamp)
	if missed > 0 {
		req.Header.Set(MissedHeader, strconv.FormatInt(missed, 10))
	}
	if len(w.secret) > 0 {
		req.Header.Set(SignatureHeader, Sign(w.secret, stamp, body))
	}
	resp, err := w.client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return true, wrapped.Err // the address may hold a secret: it stays out of the log
	}
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	// The connection is used again only when the answer was read.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 300 {
		return false, nil
	}
	refused := resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout
	return !refused, fmt.Errorf("the receiver answered %s", resp.Status)
}

// Sign returns the signature header for a body at a timestamp.
func Sign(secret []byte, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
