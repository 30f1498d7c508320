package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/singleflight"
)

// Page is a document that was made from what a name offers, ready to be sent.
type Page struct {
	key    string
	state  string
	header http.Header

	plain, packed         []byte // packed is gzip; nil when it would not be smaller
	plainETag, packedETag string
	until                 time.Time // zero for as long as the state holds
	order                 int64
}

// NewPage returns a page. until is when it has to be made anew although nothing was written: when a version
// ripens, say; the zero time for never. header, which may be nil, is sent with every answer; an ETag in it takes the place of ours.
func NewPage(contentType string, body []byte, until time.Time, header http.Header) *Page {
	p := &Page{header: header.Clone(), plain: body, until: until}
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set("Content-Type", contentType)
	p.header.Set("X-Content-Type-Options", "nosniff")
	p.header.Set("Vary", "Accept, Accept-Encoding, Authorization")
	// Clients may keep it and must ask each time: a recall reaches them with the next install.
	p.header.Set("Cache-Control", "no-cache")
	sum := sha256.Sum256(body)
	tag := base64.RawURLEncoding.EncodeToString(sum[:18])
	p.plainETag, p.packedETag = `"`+tag+`"`, `"`+tag+`-gz"`
	if own := p.header.Get("Etag"); own != "" {
		p.plainETag, p.packedETag = own, "W/"+own // clients compute it from what they have unpacked
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body)
	z.Close()
	if b.Len() < len(body) {
		p.packed = bytes.Clone(b.Bytes())
	}
	return p
}

// Serve answers a GET or HEAD: with 304 when the caller has the page, packed for who takes that, and with
// a range of it (of the unpacked bytes) for who asks for one.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for key, values := range p.header {
		h[key] = values
	}
	body, tag := p.plain, p.plainETag
	ranged := r.Header.Get("Range") != ""
	if p.packed != nil && !ranged && AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = p.packed, p.packedETag
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Etag", tag)
	if ranged {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return
	}
	if MatchesETag(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // a failure means that the caller has gone
	}
}

// Body returns the page's bytes, which must not be changed.
func (p *Page) Body() []byte { return p.plain }

// AcceptsGzip reports whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3).
func AcceptsGzip(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(one, ";")
		if coding = strings.TrimSpace(coding); coding != "gzip" && coding != "*" {
			continue
		}
		q := strings.TrimPrefix(strings.TrimSpace(weight), "q=")
		return strings.Trim(q, "0.") != "" || q == ""
	}
	return false
}

// MatchesETag reports whether an If-None-Match header names the tag (RFC 9110, 13.1.2), comparing weakly.
func MatchesETag(header, tag string) bool {
	if header == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// CacheKey, CacheRevision and CacheWeight implement Cacheable.
func (p *Page) CacheKey() string     { return p.key }
func (p *Page) CacheRevision() int64 { return p.order }

// CacheWeight is what it takes in memory, about.
func (p *Page) CacheWeight() int64 { return 600 + int64(len(p.plain)+len(p.packed)) }

// Pages makes pages and keeps them while they hold. It is safe for concurrent use.
type Pages struct {
	core   *Core
	now    func() time.Time
	cache  *Cache[*Page]
	making singleflight.Group

	mu   sync.Mutex
	made int64
}

// NewPages returns pages of up to limit bytes in memory.
func NewPages(core *Core, limit int64, now func() time.Time) *Pages {
	return &Pages{core: core, now: now, cache: NewCache[*Page](limit)}
}

// Get returns the page of a form ("simple+json") of a name's offer. It is made when there is none, or
// when its state has changed: state is [Core.State] of the name, with whatever else the page depends on, the
// digest of an upstream's document, say. Callers who want the same page wait for one of them to make it.
func (p *Pages) Get(ctx context.Context, ecosystem, name, form, state string, render func(context.Context) (*Page, error)) (*Page, error) {
	key := ecosystem + " " + form + " " + name
	if page := p.cache.Get(key); page != nil && page.state == state && (page.until.IsZero() || p.now().Before(page.until)) {
		return page, nil
	}
	made, err, _ := p.making.Do(key+" "+state, func() (any, error) {
		page, err := render(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.made++
		page.order = p.made
		p.mu.Unlock()
		page.key, page.state = key, state
		p.cache.Put(page)
		return page, nil
	})
	if err != nil {
		return nil, err
	}
	return made.(*Page), nil
}

// State is a word that changes with anything that a name may offer: with its releases and recalls, its
// cooldown, whose it is, and what is known of its vulnerabilities. It is meant to be asked with every request, and reads the database only
// when something was written since it was asked last.
func (c *Core) State(ctx context.Context, ecosystem, name string) (string, error) {
	s, err := c.state(ctx, ecosystem, name)
	if err != nil {
		return "", err
	}
	cooldown, err := c.Cooldown(ctx, ecosystem, name)
	if err != nil {
		return "", err
	}
	owned := false
	if c.owners != nil {
		if owned, err = c.owners.Owned(ctx, ecosystem, name); err != nil {
			return "", err
		}
	}
	exempt, err := c.exempted(ctx)
	if err != nil {
		return "", err
	}
	mark := "" // an exception that ends changes nothing in the record
	if cooldown > 0 && exempt.last > 0 {
		mark = exempt.mark(c.now())
	}
	return fmt.Sprintf("%d.%d.%d.%t.%s.%s", s.revision, s.recall, cooldown, owned, mark, c.Vulnerabilities().Mark(ecosystem, name)), nil
}

// state returns what the record says of a name, as of now.
func (c *Core) state(ctx context.Context, ecosystem, name string) (nameState, error) {
	head := c.record.Head()
	key := ecosystem + " " + name
	known, _ := c.states.Load(key)
	s, ok := known.(nameState)
	if ok && s.head == head {
		return s, nil
	}
	s = nameState{head: head}
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT coalesce((SELECT revision FROM package WHERE ecosystem = $1 AND name = $2), -1),
		coalesce((SELECT max(seq) FROM recall_event), -1),
		EXISTS (SELECT 1 FROM release r JOIN package p ON p.id = r.package_id WHERE p.ecosystem = $1 AND p.name = $2 AND r.mirrored = 0)`,
		ecosystem, name).Scan(&s.revision, &s.recall, &s.published)
	if err != nil {
		return s, fmt.Errorf("state of %s %s: %w", ecosystem, name, err)
	}
	if c.known.Add(1) > maxStates {
		c.states.Clear() // whoever asks for made-up names must not fill the memory
		c.known.Store(0)
	}
	c.states.Store(key, s)
	return s, nil
}

// nameState is what the record says that a name's offer depends on.
type nameState struct {
	head, revision, recall int64
	published              bool // here
}

// maxStates bounds how many names' states are kept.
const maxStates = 50_000
