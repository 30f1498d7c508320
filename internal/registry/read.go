package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

const releaseColumns = `r.version, r.file, r.origin, r.unlisted, r.purl, a.digest, a.size, a.media_type, r.metadata, r.subject, r.artifact_type, r.state,
	r.recalled, r.deprecated, r.published, r.publisher, r.seq, EXISTS (SELECT 1 FROM approval y WHERE y.purl = r.purl AND y.seq > r.seq)`

const releaseTables = ` FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
	WHERE p.ecosystem = $1 AND p.name = $2 AND r.mirrored = 0`

func scanRelease(row interface{ Scan(...any) error }) (Release, error) {
	var r Release
	var published string
	err := row.Scan(&r.Version, &r.File, &r.Origin, &r.Unlisted, &r.PURL, &r.Artifact, &r.Size, &r.MediaType, &r.Metadata, &r.Subject, &r.ArtifactType, &r.State,
		&r.Recalled, &r.Deprecated, &published, &r.Publisher, &r.Seq, &r.Approved)
	if err != nil {
		return r, err
	}
	r.Published, err = time.Parse(time.RFC3339Nano, published)
	return r, err
}

// Lookup returns a package, or NotFound with code name-unknown.
func (c *Core) Lookup(ctx context.Context, ecosystem, name string) (Package, error) {
	p := Package{Ecosystem: ecosystem, Name: name}
	var created, modified string
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT id, created, modified, revision FROM package
		WHERE ecosystem = $1 AND name = $2`, ecosystem, name).Scan(&p.id, &created, &modified, &p.Revision)
	if errors.Is(err, sql.ErrNoRows) {
		return p, fault.New(fault.NotFound, "name-unknown", "there is no %s package %q here", ecosystem, name)
	}
	if err == nil {
		p.Created, err = time.Parse(time.RFC3339Nano, created)
	}
	if err == nil {
		p.Modified, err = time.Parse(time.RFC3339Nano, modified)
	}
	if err != nil {
		return p, fmt.Errorf("look up %s: %w", name, err)
	}
	return p, nil
}

// Releases and what follows read what was published here; what was kept of an upstream's is read by [Core.Listed].

// Release returns one version, withdrawn ones included, or NotFound with code version-unknown. Of a version
// that consists of several files it returns the one that was published first.
func (c *Core) Release(ctx context.Context, ecosystem, name, version string) (Release, error) {
	r, err := scanRelease(c.record.DB().Query().QueryRowContext(ctx,
		`SELECT `+releaseColumns+releaseTables+` AND r.version = $3 ORDER BY r.seq LIMIT 1`, ecosystem, name, version))
	if errors.Is(err, sql.ErrNoRows) {
		return r, versionUnknown(name, version)
	}
	if err != nil {
		return r, fmt.Errorf("release %s %s: %w", name, version, err)
	}
	return r, nil
}

// File returns one file of a name by its name, withdrawn ones included, or NotFound with code version-unknown.
func (c *Core) File(ctx context.Context, ecosystem, name, file string) (Release, error) {
	r, err := scanRelease(c.record.DB().Query().QueryRowContext(ctx,
		`SELECT `+releaseColumns+releaseTables+` AND r.file = $3 ORDER BY r.seq LIMIT 1`, ecosystem, name, file))
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "version-unknown", "%s has no file %q", name, file)
	}
	if err != nil {
		return r, fmt.Errorf("file %s of %s: %w", file, name, err)
	}
	return r, nil
}

// Resolve returns the release that a tag points at, or NotFound with code version-unknown.
func (c *Core) Resolve(ctx context.Context, ecosystem, name, tag string) (Release, error) {
	r, err := scanRelease(c.record.DB().Query().QueryRowContext(ctx, `SELECT `+releaseColumns+releaseTables+`
		AND r.version = (SELECT t.version FROM tag t WHERE t.package_id = p.id AND t.tag = $3) ORDER BY r.seq LIMIT 1`, ecosystem, name, tag))
	if errors.Is(err, sql.ErrNoRows) {
		return r, versionUnknown(name, tag)
	}
	if err != nil {
		return r, fmt.Errorf("resolve %s %s: %w", name, tag, err)
	}
	return r, nil
}

func versionUnknown(name, version string) error {
	return fault.New(fault.NotFound, "version-unknown", "%s has no version or tag %q", name, version)
}

// Releases returns every version, and every file of each, in the order in which they were published,
// withdrawn ones included.
func (c *Core) Releases(ctx context.Context, ecosystem, name string) ([]Release, error) {
	return c.releases(ctx, `SELECT `+releaseColumns+releaseTables+` ORDER BY r.seq`, ecosystem, name)
}

// Referrers returns the active releases of a name that refer to subject. artifactType, when not
// empty, selects.
func (c *Core) Referrers(ctx context.Context, ecosystem, name string, subject digest.Digest, artifactType string) ([]Release, error) {
	return c.releases(ctx, `SELECT `+releaseColumns+releaseTables+` AND r.subject = $3 AND r.state = 'active'
		AND ($4 = '' OR r.artifact_type = $4) ORDER BY r.seq`, ecosystem, name, subject, artifactType)
}

func (c *Core) releases(ctx context.Context, query string, args ...any) ([]Release, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	defer rows.Close()
	var out []Release
	for rows.Next() {
		r, err := scanRelease(rows)
		if err != nil {
			return nil, fmt.Errorf("list releases: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Tag is a movable name for a version.
type Tag struct{ Name, Version string }

// Tags returns up to limit tags in byte order, those after the given one. limit < 0 means all.
func (c *Core) Tags(ctx context.Context, ecosystem, name, after string, limit int) ([]Tag, error) {
	return c.tags(ctx, `SELECT t.tag, t.version FROM tag t JOIN package p ON p.id = t.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND t.tag > $3 ORDER BY t.tag LIMIT $4`, ecosystem, name, after, limit)
}

// TagsOf returns the names of the tags that point at a version.
func (c *Core) TagsOf(ctx context.Context, ecosystem, name, version string) ([]string, error) {
	tags, err := c.tags(ctx, `SELECT t.tag, t.version FROM tag t JOIN package p ON p.id = t.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND t.version = $3 ORDER BY t.tag`, ecosystem, name, version)
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Name
	}
	return names, err
}

func (c *Core) tags(ctx context.Context, query string, args ...any) ([]Tag, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	defer rows.Close()
	var out []Tag
	for rows.Next() {
		var t Tag
		if err := rows.Scan(&t.Name, &t.Version); err != nil {
			return nil, fmt.Errorf("list tags: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}
