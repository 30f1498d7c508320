// Package sqlite opens the embedded store: one file in WAL mode, one writer, several readers.
//
// Durability: synchronous=FULL, so a commit is fsynced before it is acknowledged. The file must
// lie on a local disk; SQLite's locks do not hold on network file systems.
package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the "sqlite" driver

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/store"
)

// readers bounds the connections for reading, and with them the memory of their page caches.
const readers = 8

// Open opens or creates the database file, for its owner only. The folder is created when missing.
func Open(file string) (*store.DB, error) {
	if err := durable.MkdirAll(filepath.Dir(file)); err != nil {
		return nil, err
	}
	// SQLite would let everybody read it, also in a folder that the operator had made before.
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	write, err := open(file, "_txlock=immediate")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.Ping(); err != nil {
		write.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	read, err := open(file, "_pragma=query_only(1)")
	if err != nil {
		write.Close()
		return nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return store.New(write, read), nil
}

func open(file, extra string) (*sql.DB, error) {
	pragmas := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)", "foreign_keys(1)",
		"cache_size(-16384)", "temp_store(MEMORY)", "wal_autocheckpoint(8000)",
	}}
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + pragmas.Encode() + "&" + extra
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return db, nil
}
