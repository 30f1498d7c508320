package gem

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/store"
)

// Schema returns the table of the list of all names. It is no projection and no truth either: dropped, it
// is made again, and clients read the list from its start once more.
func Schema() store.Schema {
	return store.Schema{Owner: "gem", Steps: []string{`
		-- A line of /versions, in order. Clients go on where they stopped, so that lines are only appended; with
		-- a new month one line per name takes the place of all. The line without a name says when that was.
		CREATE TABLE gem_line (
			id       INTEGER PRIMARY KEY,
			line     TEXT NOT NULL,
			upstream INTEGER NOT NULL, -- 1: of a gem that is not hosted here
			revision INTEGER NOT NULL  -- of the name, when the line was written
		);
		-- When a version was first seen at an upstream that does not say when it was published.
		CREATE TABLE gem_seen (
			name    TEXT NOT NULL,
			version TEXT NOT NULL,
			at      BIGINT NOT NULL,
			PRIMARY KEY (name, version)
		) WITHOUT ROWID`,
		// The core remembers it for all ecosystems.
		`DROP TABLE gem_seen`}}
}

// row is a line on its way into the table.
type row struct {
	text     string // without its end
	foreign  bool
	revision int64
}

const headLine = "created_at: "

// listBegins ends the head of the list.
var listBegins = []byte("---\n")

// load reads the table; an empty one gets its head.
func (x *index) load(ctx context.Context, now time.Time) error {
	rows, err := x.r.core.Record().DB().Query().QueryContext(ctx, `SELECT line, upstream, revision FROM gem_line ORDER BY id`)
	if err != nil {
		return fmt.Errorf("read the list of gems: %w", err)
	}
	defer rows.Close()
	x.clear()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.text, &r.foreign, &r.revision); err != nil {
			return fmt.Errorf("read the list of gems: %w", err)
		}
		if at, isHead := strings.CutPrefix(r.text, headLine); isHead {
			created, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return fmt.Errorf("read the list of gems: %w", err)
			}
			x.begin(created)
			continue
		}
		x.add(r.text, r.foreign)
		x.revision = max(x.revision, r.revision)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the list of gems: %w", err)
	}
	if x.created.IsZero() {
		return x.rewrite(ctx, nil, now)
	}
	return nil
}

// keep appends rows to the table.
func (x *index) keep(ctx context.Context, added []row) error {
	if len(added) == 0 {
		return nil
	}
	return x.r.core.Record().DB().Write(ctx, func(tx *sql.Tx) error { return insert(ctx, tx, added) })
}

func insert(ctx context.Context, tx *sql.Tx, added []row) error {
	for _, a := range added {
		_, err := tx.ExecContext(ctx, `INSERT INTO gem_line (line, upstream, revision) VALUES ($1, $2, $3)`, a.text, a.foreign, a.revision)
		if err != nil {
			return fmt.Errorf("keep the list of gems: %w", err)
		}
	}
	return nil
}

// compact makes one line of each name's, in the order of the names.
func (x *index) compact(ctx context.Context, now time.Time) error {
	var all []row
	for _, name := range slices.Sorted(maps.Keys(x.last)) {
		newest := x.lines[x.last[name]]
		display, _, sum := parts(x.text(newest))
		if versions := x.versionsOf(name); len(versions) > 0 {
			all = append(all, row{text: display + " " + strings.Join(versions, ",") + " " + sum, foreign: newest.foreign})
		}
	}
	return x.rewrite(ctx, all, now)
}

// rewrite puts all in the place of the table's lines. The newest revision is kept with the head.
func (x *index) rewrite(ctx context.Context, all []row, now time.Time) error {
	head := row{text: headLine + now.Format(time.RFC3339), revision: x.revision}
	err := x.r.core.Record().DB().Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM gem_line`); err != nil {
			return fmt.Errorf("keep the list of gems: %w", err)
		}
		return insert(ctx, tx, append([]row{head}, all...))
	})
	if err != nil {
		return err
	}
	waits := x.waits
	x.clear()
	x.waits = waits
	x.begin(now.Truncate(time.Second))
	for _, r := range all {
		x.add(r.text, r.foreign)
	}
	return nil
}
