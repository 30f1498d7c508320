package trace

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Subject returns what the record calls subject: a layer is known by its diffID, but a manifest names
// its compressed bytes. Every other subject is returned as it is.
func (t *Tracer) Subject(ctx context.Context, subject string) (string, error) {
	var diffID string
	err := t.snapshot(ctx, evidence.Actor{}, func(r *reader) (err error) {
		diffID, err = inside.One[string](r.Reader, `SELECT a.digest FROM layer_blob x JOIN artifact a ON a.id = x.layer_id WHERE x.blob = $1`, subject)
		return err
	})
	return cmp.Or(diffID, subject), err
}

// MayRead reports, as an error, why actor may not read the record of subject, a purl or a digest.
// A digest may be read by whoever may read one name that offers it, or one image that has the
// layer. What no name here offers is anybody's to read when it is a purl (nobody owns it) and
// nobody's when it is a digest.
func (t *Tracer) MayRead(ctx context.Context, actor evidence.Actor, subject string) error {
	q, err := Parse(subject)
	if err != nil {
		return err
	}
	return t.snapshot(ctx, actor, func(r *reader) error {
		if q.PURL != "" {
			return r.mayReadPURL(q.PURL)
		}
		ok, err := r.mayReadDigest(string(q.Digest))
		if err == nil && !ok {
			return unknown(subject)
		}
		return err
	})
}

// mayReadPURL asks about the name in p as Access sees it, so that the answer says how to get in.
func (r *reader) mayReadPURL(p purl.PURL) error {
	name, err := r.nameOf(p)
	if err != nil {
		return err
	}
	err = r.access.Authorize(r.Context(), r.actor, evidence.Read, name.ecosystem, name.name)
	if err != nil && fault.KindOf(err) == fault.Invalid {
		return nil // an ecosystem that nobody publishes to here: no name in it is anyone's
	}
	return err
}

// nameOf returns the name that p is a version of.
func (r *reader) nameOf(p purl.PURL) (nameKey, error) {
	var key nameKey
	err := r.Each(`SELECT p.ecosystem, p.name FROM release r JOIN package p ON p.id = r.package_id WHERE r.purl = $1 LIMIT 1`,
		[]any{p}, func(rows *sql.Rows) error { return rows.Scan(&key.ecosystem, &key.name) })
	if err != nil || key.name != "" {
		return key, err
	}
	key.ecosystem, key.name, _ = p.Split()
	if _, qualifiers, _ := strings.Cut(string(p), "?"); key.ecosystem == purl.OCI {
		values, err := url.ParseQuery(strings.TrimSuffix(qualifiers, "#"))
		if err != nil {
			return key, fmt.Errorf("qualifiers of %s: %w", p, err)
		}
		key.name = values.Get("repository_url")
	}
	return key, nil
}

func (r *reader) mayReadDigest(d string) (bool, error) {
	all, err := r.releases(`WHERE a.digest = $1 ORDER BY r.seq`, d)
	if err != nil {
		return false, err
	}
	seen, _, err := r.visible(all)
	if err != nil || len(seen) > 0 {
		return len(seen) > 0, err
	}
	layer, err := inside.One[int64](r.Reader, `SELECT id FROM artifact WHERE digest = $1 AND kind = 'layer'`, d)
	if err != nil || layer == 0 {
		return false, err
	}
	c := newContainment()
	c.hit(layer).content = true
	if err := r.place(c, 0); err != nil {
		return false, err
	}
	return c.by[ByContent] > 0, nil
}
