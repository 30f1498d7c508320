package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// Document implements [registry.Upstream].
func (c *Client) Document(ctx context.Context, q registry.Question) (*registry.Document, error) {
	if err := c.mayAsk(ctx, q.Ecosystem, q.Name); err != nil {
		return nil, err
	}
	known, err := c.known(ctx, q)
	if err != nil {
		return nil, err
	}
	if known != nil && c.clock.Now().Sub(known.asked) < c.age(known) {
		return c.answer(ctx, q, known, false)
	}
	if failed := c.failing(q); failed != nil {
		return c.fallBack(ctx, q, known, failed)
	}
	asked := c.asking.DoChan(key(q), func() (any, error) {
		c.owned.Add(1)
		defer c.owned.Done()
		if f := c.facts.Get(key(q)); f != nil && f != known && c.clock.Now().Sub(f.asked) < c.age(f) {
			return f, nil // somebody has asked since we looked
		}
		return c.ask(c.ctx, q, known)
	})
	var patience <-chan time.Time
	if known != nil && !known.missing {
		timer := time.NewTimer(time.Duration(c.settings.Patience))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience:
		return c.answer(ctx, q, known, true)
	case answer := <-asked:
		if answer.Err != nil {
			return c.fallBack(ctx, q, known, answer.Err)
		}
		return c.answer(ctx, q, answer.Val.(*fact), false)
	}
}

// mayAsk refuses names that are this registry's own.
func (c *Client) mayAsk(ctx context.Context, ecosystem, name string) error {
	if len(c.sources[ecosystem]) == 0 {
		return unknown(ecosystem, name)
	}
	if name == "" { // it is about the upstream itself, or a list of all names, which tells nobody which one is wanted
		return nil
	}
	hosted, err := c.core.Hosted(ctx, ecosystem, name)
	if err == nil && hosted {
		err = unknown(ecosystem, name)
	}
	return err
}

// age is how long a fact holds without asking again.
func (c *Client) age(f *fact) time.Duration {
	if f.missing {
		return time.Duration(c.settings.Missing)
	}
	return time.Duration(c.settings.Fresh)
}

// answer makes a document of a fact.
func (c *Client) answer(ctx context.Context, q registry.Question, f *fact, stale bool) (*registry.Document, error) {
	if f.missing {
		return nil, unknown(q.Ecosystem, q.Name)
	}
	d := &registry.Document{ContentType: f.contentType, Base: f.base, Digest: f.digest, Asked: f.asked, Stale: stale}
	if at, err := http.ParseTime(f.lastModified); err == nil {
		d.Modified = at.UTC()
	}
	if q.Have == f.digest {
		return d, nil
	}
	var err error
	d.Body, d.Digest, err = c.body(ctx, f)
	if errors.Is(err, fs.ErrNotExist) { // somebody has cleared the store
		c.facts.Forget(key(q))
		err = unavailable(f.source, err)
	}
	return d, err
}

// fallBack answers with what is known when the upstream fails.
func (c *Client) fallBack(ctx context.Context, q registry.Question, known *fact, cause error) (*registry.Document, error) {
	if known == nil || known.missing {
		if fault.KindOf(cause) == fault.Internal {
			cause = unavailable(c.sources[q.Ecosystem][0].base.String(), cause)
		}
		return nil, cause
	}
	return c.answer(ctx, q, known, true)
}

// ask asks the upstreams in their order until one has the document, and keeps the answer.
func (c *Client) ask(ctx context.Context, q registry.Question, known *fact) (*fact, error) {
	for _, src := range c.sources[q.Ecosystem] {
		f, err := c.askOne(ctx, src, q, known)
		if err != nil {
			c.fail(q, err)
			c.log.Warn("an upstream did not answer", "upstream", src.base.String(), "ecosystem", q.Ecosystem, "name", q.Name, "error", err)
			return nil, err
		}
		if f != nil {
			c.succeeded(q)
			return f, c.keep(ctx, q, f)
		}
	}
	c.succeeded(q)
	f := &fact{key: key(q), missing: true, asked: c.clock.Now()}
	if known == nil {
		f.order = c.order.Add(1)
		c.facts.Put(f)
		return f, nil
	}
	return f, c.keep(ctx, q, f)
}

// askOne returns nil when the upstream has no such document.
func (c *Client) askOne(ctx context.Context, src *source, q registry.Question, known *fact) (*fact, error) {
	address, ok := src.address(q.Path)
	if !ok {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(ctx, time.Duration(c.settings.Total))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "hullmark")
	if q.Accept != "" {
		r.Header.Set("Accept", q.Accept)
	}
	ours := known != nil && !known.missing && known.source == src.base.String()
	if ours {
		setUnlessEmpty(r.Header, "If-None-Match", known.etag)
		setUnlessEmpty(r.Header, "If-Modified-Since", known.lastModified)
	}
	resp, err := src.client.Do(r)
	if err != nil {
		return nil, unavailable(src.base.String(), err)
	}
	body := watch(resp.Body, time.Duration(c.settings.Idle), cancel)
	defer body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return c.read(ctx, src, q, resp, body)
	case http.StatusNotModified:
		if !ours {
			break
		}
		again := *known
		again.asked = c.clock.Now()
		return &again, nil
	case http.StatusNotFound, http.StatusGone:
		return nil, nil
	}
	return nil, unavailable(src.base.String(), fmt.Errorf("status %s", resp.Status))
}

func setUnlessEmpty(h http.Header, key, value string) {
	if value != "" {
		h.Set(key, value)
	}
}

// maxKept is the size in bytes up to which a document stays in memory: a list of all names is read once,
// by who makes a list of its own of it.
const maxKept = 4 << 20

// maxAhead is how many bytes of memory an upstream gets for saying that they come.
const maxAhead = 16 << 20

// defaultLimit bounds a document whose adapter names no limit, in bytes.
const defaultLimit = 64 << 20

// read takes in a new document and makes it durable.
func (c *Client) read(ctx context.Context, src *source, q registry.Question, resp *http.Response, from io.Reader) (*fact, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	var b bytes.Buffer
	if resp.ContentLength > 0 {
		b.Grow(int(min(resp.ContentLength, maxAhead)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(from, limit+1)); err != nil {
		return nil, unavailable(src.base.String(), errors.Join(err, context.Cause(ctx)))
	}
	data := b.Bytes()
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Unavailable, "upstream-too-large",
			"what the upstream %s says of %s is larger than the %d bytes that are read here", src.base, fault.Clip(q.Name), limit)
	}
	f := &fact{
		key: key(q), source: src.base.String(), base: resp.Request.URL.String(), digest: digest.FromBytes(data),
		contentType: resp.Header.Get("Content-Type"), etag: resp.Header.Get("Etag"),
		lastModified: resp.Header.Get("Last-Modified"), asked: c.clock.Now(),
	}
	if err := c.core.Blobs().WriteObject(ctx, object(f.key), data); err != nil {
		return nil, err
	}
	c.remember(f.digest, data)
	return f, nil
}

// failure is a document that could not be had.
type failure struct {
	at    time.Time
	cause error
}

// maxFailures bounds how many are remembered.
const maxFailures = 10_000

func (c *Client) fail(q registry.Question, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) >= maxFailures {
		clear(c.failed)
	}
	c.failed[key(q)] = failure{c.clock.Now(), cause}
}

func (c *Client) succeeded(q registry.Question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failed, key(q))
}

// failing returns why the upstream is left alone for now, or nil.
func (c *Client) failing(q registry.Question) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.failed[key(q)]
	if !ok || c.clock.Now().Sub(f.at) >= time.Duration(c.settings.Retry) {
		return nil
	}
	return f.cause
}
