// Package store is the one relational database that a server keeps: transactions and forward-only
// migrations, and nothing that knows the domain. Each package that owns tables hands its
// [Schema] to [DB.Migrate] and runs its own SQL, in the subset that SQLite and PostgreSQL share.
//
// Engines live beside it: store/sqlite opens an embedded file.
package store

import (
	"context"
	"database/sql"
	"fmt"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	write *sql.DB
	read  *sql.DB
}

// New joins a handle for writing and one for reading; engines call it. An engine that allows one
// writer (SQLite) limits write to one connection, which makes [DB.Write] a queue.
func New(write, read *sql.DB) *DB { return &DB{write: write, read: read} }

// Write runs fn in a read-write transaction and commits it durably: when Write returns nil, the
// changes survive a power cut. When fn fails or panics, nothing is changed. fn must not call
// Write again.
func (db *DB) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	return run(ctx, db.write, nil, fn)
}

// Read runs fn in a read-only transaction: one consistent snapshot.
func (db *DB) Read(ctx context.Context, fn func(*sql.Tx) error) error {
	return run(ctx, db.read, &sql.TxOptions{ReadOnly: true}, fn)
}

// Query returns the handle for single read statements, where a transaction of one's own would
// only cost.
func (db *DB) Query() *sql.DB { return db.read }

// Close closes the database.
func (db *DB) Close() error {
	err := db.read.Close()
	if werr := db.write.Close(); werr != nil {
		err = werr
	}
	return err
}

func run(ctx context.Context, h *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	tx, err := h.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // after Commit this does nothing
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Schema is one owner's tables: a name and the steps that made them, oldest first. Steps are only
// ever added; each must leave the previous version of the program working.
type Schema struct {
	Owner string
	Steps []string
}

// Migrate brings the tables of every schema up to date, each step in a transaction of its own.
// It fails when the database was written by a newer program.
func (db *DB) Migrate(ctx context.Context, schemas ...Schema) error {
	const table = `CREATE TABLE IF NOT EXISTS schema_step (owner TEXT PRIMARY KEY, steps INTEGER NOT NULL)`
	if _, err := db.write.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, s := range schemas {
		if err := db.migrate(ctx, s); err != nil {
			return fmt.Errorf("migrate %s: %w", s.Owner, err)
		}
	}
	return nil
}

func (db *DB) migrate(ctx context.Context, s Schema) error {
	var done int
	err := db.write.QueryRowContext(ctx, `SELECT steps FROM schema_step WHERE owner = $1`, s.Owner).Scan(&done)
	if err != nil && err != sql.ErrNoRows {
		return err
	}
	if done > len(s.Steps) {
		return fmt.Errorf("the database has %d steps and this program knows %d; use a newer hullmark", done, len(s.Steps))
	}
	for i := done; i < len(s.Steps); i++ {
		err := db.Write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, s.Steps[i]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO schema_step (owner, steps) VALUES ($1, $2)
				ON CONFLICT (owner) DO UPDATE SET steps = excluded.steps`, s.Owner, i+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}
