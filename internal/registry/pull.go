package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// MayRead asks whether the actor may see the name at all.
func (c *Core) MayRead(ctx context.Context, actor evidence.Actor, ecosystem, name string) error {
	return c.access.Authorize(ctx, actor, evidence.Read, ecosystem, name)
}

// NamesSeen returns names of an ecosystem that have text in them and that the actor may see, in byte order: of the
// first limit that there are.
func (c *Core) NamesSeen(ctx context.Context, actor evidence.Actor, ecosystem, text string, limit int) ([]string, error) {
	names, err := c.Names(ctx, ecosystem, text, "", limit)
	return slices.DeleteFunc(names, func(name string) bool { return c.MayRead(ctx, actor, ecosystem, name) != nil }), err
}

// MayDownload is the pull gate for the artifact of a release of the name: a withdrawn release is
// NotFound, a recalled one is refused with code release-recalled and the reason, and a held one with
// code release-held to everybody who neither published it nor may publish the name, and so approve it.
// One that is younger than the name's cooldown is refused with code release-too-young. The caller has
// asked MayRead. The decision is counted and reaches the record with the next flush.
func (c *Core) MayDownload(ctx context.Context, actor evidence.Actor, ecosystem, name string, r Release) error {
	p := pull{release: r.PURL, verdict: "allow", exception: none, account: actor.Account, credential: actor.Credential}
	err := c.pullGate(ctx, actor, ecosystem, name, r)
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Internal {
			return err // not a decision
		}
		p.verdict, p.code = "deny", f.Code
	} else {
		p.exception, p.reason = c.whyEarly(ctx, ecosystem, name, r)
	}
	c.pulls.add(p, 1)
	return err
}

func (c *Core) pullGate(ctx context.Context, actor evidence.Actor, ecosystem, name string, r Release) error {
	switch {
	case r.State == Withdrawn:
		return fault.New(fault.NotFound, "version-withdrawn", "%s was withdrawn by its publisher", r.PURL)
	case r.Recalled != "":
		return RecalledRelease(r)
	case r.State == Held && !actor.Anonymous() && actor.Account == r.Publisher:
		return nil // it has it anyway, and clients look whether it is there before they push again
	case r.State == Held && !c.MayPublish(ctx, actor, ecosystem, name):
		return heldBack(r.PURL)
	case r.State == Held:
		return nil
	}
	return c.checkRipe(ctx, actor, ecosystem, name, r)
}

// RecalledRelease is the refusal of a release that was recalled.
func RecalledRelease(r Release) error {
	return fault.New(fault.Policy, "release-recalled", "%s was recalled: %s; use another version", r.PURL, r.Recalled)
}

// LinkBlob lets a name serve a blob, before or besides a manifest that names it.
func (c *Core) LinkBlob(ctx context.Context, ecosystem, name string, d digest.Digest, size int64) error {
	return c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO linked_blob (ecosystem, name, digest, size) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, ecosystem, name, d, size)
		if err != nil {
			return fmt.Errorf("link blob: %w", err)
		}
		return nil
	})
}

// LinkedBlob returns the size in bytes of a blob that the name may serve, or code blob-unknown.
func (c *Core) LinkedBlob(ctx context.Context, ecosystem, name string, d digest.Digest) (int64, error) {
	var size int64
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT size FROM linked_blob
		WHERE ecosystem = $1 AND name = $2 AND digest = $3`, ecosystem, name, d).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fault.New(fault.NotFound, "blob-unknown", "%s has no blob %s", name, d)
	}
	if err != nil {
		return 0, fmt.Errorf("linked blob: %w", err)
	}
	return size, nil
}

// UnlinkBlob stops the name from serving a blob; the bytes stay for other names.
func (c *Core) UnlinkBlob(ctx context.Context, ecosystem, name string, d digest.Digest) error {
	return c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM linked_blob WHERE ecosystem = $1 AND name = $2 AND digest = $3`, ecosystem, name, d)
		if err != nil {
			return fmt.Errorf("unlink blob: %w", err)
		}
		return nil
	})
}

// NamesWithBlob returns up to limit names that serve a blob, for a mount without a source.
func (c *Core) NamesWithBlob(ctx context.Context, ecosystem string, d digest.Digest, limit int) ([]string, error) {
	tags, err := c.tags(ctx, `SELECT name, digest FROM linked_blob WHERE ecosystem = $1 AND digest = $2 ORDER BY name LIMIT $3`,
		ecosystem, d, limit)
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Name
	}
	return names, err
}
