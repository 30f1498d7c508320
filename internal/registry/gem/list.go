package gem

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// sight is what one caller does not see of the list.
type sight struct {
	rights any             // what it was found with; another one may show other names
	upto   int             // how many lines were looked at
	hidden map[string]bool // by the core's spelling; who is not in it is seen
	mark   string          // callers with the same mark see the same
}

// maxSights bounds for how many callers it is remembered what they see.
const maxSights = 1000

// list is /versions as callers with the same rights see it, with what is made of it.
type list struct {
	key   string
	made  int64
	etag  string
	heads http.Header
	body  []byte
	// shared says that body is the index's own.
	shared bool
	names  []string // as their authors spell them, sorted; nil until somebody asked
	// tuples are what the list says that is offered here; made with names.
	tuples []gemspec.Tuple

	pack   sync.Once
	packed []byte

	mu    sync.Mutex
	packs map[string][]byte // indexes in Marshal, by name
}

// CacheKey, CacheRevision and CacheWeight implement registry.Cacheable.
func (l *list) CacheKey() string     { return l.key }
func (l *list) CacheRevision() int64 { return l.made }

// CacheWeight is what it takes in memory, about.
func (l *list) CacheWeight() int64 {
	weight := int64(len(l.body)/2 + 16*len(l.names) + 48*len(l.tuples)) // half of it when it is packed
	if !l.shared {
		weight += int64(len(l.body))
	}
	return weight
}

// listFor returns the list as the actor sees it, and with catalogue the names and tuples of it, too.
func (x *index) listFor(ctx context.Context, actor evidence.Actor, catalogue bool) (*list, error) {
	x.askForeign(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.sync(ctx); err != nil {
		return nil, err
	}
	s, err := x.sightOf(ctx, actor)
	if err != nil {
		return nil, err
	}
	l := x.lists.Get(s.mark)
	if l == nil || l.made != x.made {
		l = x.build(s)
		x.lists.Put(l)
	}
	if catalogue && l.names == nil {
		x.catalogue(l, s)
		x.lists.Grown(l, int64(16*len(l.names)+48*len(l.tuples)))
	}
	return l, nil
}

// sightOf finds out which names the actor does not see. Only new lines are looked at while nobody's rights
// change.
func (x *index) sightOf(ctx context.Context, actor evidence.Actor) (*sight, error) {
	everyone, rights, err := x.r.accounts.Seen(ctx, actor)
	if err != nil {
		return nil, err
	}
	key := actor.Account + " " + actor.Credential
	s := x.seen[key]
	if s == nil || s.rights != rights {
		if len(x.seen) >= maxSights {
			clear(x.seen)
		}
		s = &sight{rights: rights, hidden: map[string]bool{}}
		x.seen[key] = s
	}
	if s.mark != "" && s.upto == len(x.lines) {
		return s, nil
	}
	for _, l := range x.lines[s.upto:] {
		name := normal(x.nameOf(l))
		if s.hidden[name] || everyone(name) {
			continue
		}
		err := x.r.core.MayRead(ctx, actor, purl.Gem, name)
		if err != nil && fault.KindOf(err) == fault.Internal {
			return nil, err
		}
		if err != nil {
			s.hidden[name] = true
		}
	}
	s.upto, s.mark = len(x.lines), markOf(s.hidden)
	return s, nil
}

func markOf(hidden map[string]bool) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(hidden)) {
		h.Write([]byte(name + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// build makes the list without what is hidden. Nearly everybody sees everything, and has the index's own bytes.
func (x *index) build(s *sight) *list {
	l := &list{key: s.mark, made: x.made, packs: map[string][]byte{}}
	l.body, l.shared = x.body[:len(x.body):len(x.body)], len(s.hidden) == 0
	if !l.shared {
		l.body = append(make([]byte, 0, len(x.body)), x.body[:bytes.Index(x.body, listBegins)+len(listBegins)]...)
		for _, one := range x.lines {
			if !s.hidden[normal(x.nameOf(one))] {
				l.body = append(l.body, x.body[one.from:one.to+1]...)
			}
		}
	}
	l.etag = strconv.Quote(md5Hex(l.body))
	l.heads = digestHeaders(l.body)
	return l
}

// catalogue fills in what the list is made of, name by name. It changes l, which only the holder of x.mu does.
func (x *index) catalogue(l *list, s *sight) {
	l.names = []string{}
	for _, name := range slices.Sorted(maps.Keys(x.last)) {
		newest := x.lines[x.last[name]]
		versions := x.versionsOf(name)
		if s.hidden[name] || len(versions) == 0 {
			continue
		}
		display := x.nameOf(newest)
		l.names = append(l.names, display)
		if newest.foreign {
			versions = x.foreign.asked[name]
		}
		for _, v := range versions {
			number, platform, found := strings.Cut(v, "-")
			if !found {
				platform = gemspec.RubyPlatform
			}
			l.tuples = append(l.tuples, gemspec.Tuple{Name: display, Version: number, Platform: platform})
		}
	}
}

// serveVersions answers GET /versions. Clients have most of it, and ask for what comes after.
func (r *Registry) serveVersions(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	l, err := r.index.listFor(req.Context(), actor, false)
	if err != nil {
		return err
	}
	h := w.Header()
	maps.Copy(h, l.heads)
	h["Content-Type"], h["Cache-Control"], h["Vary"], h["X-Content-Type-Options"] = textHeader, revalidate, varies, nosniff
	if req.Header.Get("Range") == "" && registry.AcceptsGzip(req.Header.Get("Accept-Encoding")) && !registry.MatchesETag(req.Header.Get("If-None-Match"), l.etag) {
		packed := l.gzip()
		h["Content-Encoding"], h["Etag"] = gzipHeader, []string{"W/" + l.etag}
		h.Set("Content-Length", strconv.Itoa(len(packed)))
		if req.Method != http.MethodHead {
			w.Write(packed) // a failure means that the caller has gone
		}
		return nil
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(l.body))
	return nil
}

// Header values that never change.
var (
	textHeader = []string{plainText}
	gzipHeader = []string{"gzip"}
	varies     = []string{"Accept-Encoding, Authorization"}
	revalidate = []string{"no-cache"}
	nosniff    = []string{"nosniff"}
)

// gzip packs the list for who reads it whole: that is seldom enough to wait for it.
func (l *list) gzip() []byte {
	l.pack.Do(func() { l.packed = packed(l.body) })
	return l.packed
}

func packed(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	z.Write(body)
	z.Close()
	return b.Bytes()
}

// serveNames answers GET /names.
func (r *Registry) serveNames(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	l, err := r.index.listFor(req.Context(), actor, true)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("---\n")
	for _, name := range l.names {
		b.WriteString(name + "\n")
	}
	indexPage([]byte(b.String()), time.Time{}).Serve(w, req)
	return nil
}

// serveSpecs answers GET /specs.4.8.gz and its two siblings: gem search, list and fetch read them whole.
func (r *Registry) serveSpecs(which string, choose func([]gemspec.Tuple) []gemspec.Tuple) registry.Endpoint {
	return func(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
		l, err := r.index.listFor(req.Context(), actor, true)
		if err != nil {
			return err
		}
		body := l.marshal(which, choose)
		h := w.Header()
		h.Set("Etag", strconv.Quote(md5Hex(body)))
		h["Content-Type"], h["Cache-Control"], h["Vary"], h["X-Content-Type-Options"] = []string{"application/octet-stream"}, revalidate, varies, nosniff
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
		return nil
	}
}

func (l *list) marshal(which string, choose func([]gemspec.Tuple) []gemspec.Tuple) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.packs[which] == nil {
		m := gemspec.NewMarshaller()
		m.Tuples(choose(l.tuples))
		l.packs[which] = packed(m.Out)
	}
	return l.packs[which]
}

func released(all []gemspec.Tuple) []gemspec.Tuple {
	return slices.DeleteFunc(slices.Clone(all), func(t gemspec.Tuple) bool { return gemspec.Prerelease(t.Version) })
}

func prereleased(all []gemspec.Tuple) []gemspec.Tuple {
	return slices.DeleteFunc(slices.Clone(all), func(t gemspec.Tuple) bool { return !gemspec.Prerelease(t.Version) })
}

// latest keeps the highest released version of each name and platform. all is in the order of names.
func latest(all []gemspec.Tuple) []gemspec.Tuple {
	var out []gemspec.Tuple
	from := 0
	for _, t := range released(all) {
		if from < len(out) && out[from].Name != t.Name {
			from = len(out)
		}
		i := slices.IndexFunc(out[from:], func(o gemspec.Tuple) bool { return o.Platform == t.Platform })
		switch {
		case i < 0:
			out = append(out, t)
		case gemspec.CompareVersions(t.Version, out[from+i].Version) > 0:
			out[from+i] = t
		}
	}
	return out
}
