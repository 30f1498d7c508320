// Package trace answers one question in both directions: where is this thing, and where did it
// come from? It joins the projections of the record, by digest first and by purl second:
//
//	release → layers → images        and back        image → layers → releases → publication
//
// A release is in a layer by metadata (a package database or a manifest file names its purl), by
// content (the layer holds files that only this version ships), or both. The answer is one tree of
// plain nodes ([Node]); the caller renders it.
//
// What a layer holds an image may not: upper layers delete and replace. A component is gone where
// its image's statement says so, a file where an upper layer has a whiteout for it or a folder above
// it, or another indexed file in its place. What replaced it without being indexed is not seen.
//
// Every node carries the sequence numbers of the statements that it rests on. What the record
// does not know is a node of kind "gap", never a guess. What the actor may not read is counted and
// not named. What does not fit is a node of kind "truncated" that says how much is missing; the
// counts in the summary are of everything.
//
// The package only reads. It does not look into blobs.
package trace

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/store"
)

// concurrent bounds the traces that run at a time. Each holds one of the store's readers while
// Access may need another: with as many traces as readers nobody would get one.
const concurrent = 4

// Access says what an actor may read. The account service implements it.
type Access interface {
	// Authorize fails with Unauthenticated, Denied or NotFound when the actor may not.
	Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error
}

// Limits bound the size of an answer, in nodes of one sort.
type Limits struct {
	Images   int // in the whole tree
	Layers   int // below one release or file
	Releases int // below one layer, file, package or publisher
}

// defaultLimits keep an answer readable and below about half a megabyte.
var defaultLimits = Limits{Images: 100, Layers: 50, Releases: 50}

// Tracer answers traces. It is safe for concurrent use.
type Tracer struct {
	db     *store.DB
	access Access
	limits Limits
	hosts  []string // see WithHosts
	slots  chan struct{}
}

// New returns a tracer over the evidence projections in db.
func New(db *store.DB, access Access) *Tracer {
	return &Tracer{db: db, access: access, limits: defaultLimits, slots: make(chan struct{}, concurrent)}
}

// WithLimits returns a tracer that answers with at most l.
func (t *Tracer) WithLimits(l Limits) *Tracer {
	c := *t
	c.limits = l
	return &c
}

// Trace answers query, which is a purl, a digest (of an archive, manifest, layer or layer blob),
// the SHA-256 of a file, an image reference or a publisher; see [Parse]. The answer is one
// consistent snapshot and names only what actor may read.
//
// It fails with code trace-query-invalid, and trace-unknown when nothing readable has that name or
// the reference is to another registry (see [Tracer.WithHosts]).
func (t *Tracer) Trace(ctx context.Context, actor evidence.Actor, query string) (*Result, error) {
	q, err := Parse(query)
	if err != nil {
		return nil, err
	}
	if !t.mine(q.Host) {
		return nil, foreign(q)
	}
	result := &Result{Query: query}
	err = t.snapshot(ctx, actor, func(r *reader) error { return r.answer(q, result) })
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	return result, nil
}

// snapshot runs fn on one consistent state of the store, when a slot is free.
func (t *Tracer) snapshot(ctx context.Context, actor evidence.Actor, fn func(*reader) error) error {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return t.db.Read(ctx, func(tx *sql.Tx) error {
		r := t.reader(ctx, tx, actor)
		defer r.Close()
		return fn(r)
	})
}

func (r *reader) answer(q Query, result *Result) error {
	head, err := r.head()
	if err != nil {
		return err
	}
	result.Head = head
	for _, try := range r.starts(q) {
		root, summary, err := try()
		if err != nil {
			return err
		}
		if root != nil {
			result.Kind, result.Root, result.Summary = root.Kind, root, summary
			return nil
		}
	}
	return unknown(q.Text)
}

// starts are the ways in which q can be meant, the likeliest first.
func (r *reader) starts(q Query) []func() (*Node, string, error) {
	type start = func() (*Node, string, error)
	switch {
	case q.PURL != "":
		return []start{func() (*Node, string, error) { return r.byPURL(q.PURL) }}
	case q.Repository == "" && q.Digest != "":
		return []start{func() (*Node, string, error) { return r.byDigest(q.Digest) }}
	case q.Publisher != "" && q.Repository == "":
		return []start{func() (*Node, string, error) { return r.byPublisher(q.Publisher) }}
	case q.Publisher != "":
		return []start{
			func() (*Node, string, error) { return r.byReference(q) },
			func() (*Node, string, error) { return r.byPublisher(q.Publisher) },
		}
	}
	return []start{func() (*Node, string, error) { return r.byReference(q) }}
}

func unknown(query string) error {
	return fault.New(fault.NotFound, "trace-unknown",
		"nothing here is known as %q, or you may not read it; try the full purl or digest", clip(query))
}

func clip(s string) string { return s[:min(len(s), 200)] }
