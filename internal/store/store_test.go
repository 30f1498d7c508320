package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

var (
	one = store.Schema{Owner: "test", Steps: []string{`CREATE TABLE note (text TEXT NOT NULL)`}}
	two = store.Schema{Owner: "test", Steps: append(one.Steps[:1:1], `ALTER TABLE note ADD COLUMN mark INTEGER NOT NULL DEFAULT 7`)}
)

func open(t *testing.T, schemas ...store.Schema) *store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "folder", "db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context(), schemas...))
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(tx *sql.Tx) error {
	_, err := tx.Exec(`INSERT INTO note (text) VALUES ('x')`)
	return err
}

func notes(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	must(t, db.Read(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(`SELECT count(*) FROM note`).Scan(&n) }))
	return n
}

func TestMigratingTwiceDoesNothingAndKeepsRows(t *testing.T) {
	t.Parallel()
	db := open(t, one)
	must(t, db.Write(t.Context(), add))
	must(t, db.Migrate(t.Context(), one))
	must(t, db.Migrate(t.Context(), two))
	var mark int
	must(t, db.Query().QueryRow(`SELECT mark FROM note`).Scan(&mark))
	if mark != 7 {
		t.Errorf("the row from before the second step has mark %d", mark)
	}
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	err := open(t, two).Migrate(t.Context(), one)
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v", err)
	}
}

func TestAStepThatFailsIsNotCounted(t *testing.T) {
	t.Parallel()
	db := open(t, one)
	broken := store.Schema{Owner: "test", Steps: append(one.Steps[:1:1], `CREATE TABLE other (x TEXT); CREATE TABLE note (x TEXT)`)}
	if err := db.Migrate(t.Context(), broken); err == nil {
		t.Fatal("a table was created twice")
	}
	must(t, db.Migrate(t.Context(), two)) // the second step, mended
	var n int
	must(t, db.Query().QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'other'`).Scan(&n))
	if n != 0 {
		t.Error("half of the failed step stayed")
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	db, failed := open(t, one), errors.New("failed")
	err := db.Write(t.Context(), func(tx *sql.Tx) error { return errors.Join(add(tx), failed) })
	if !errors.Is(err, failed) || notes(t, db) != 0 {
		t.Errorf("got %v and %d rows", err, notes(t, db))
	}
}

func TestAPanicRollsBackAndFreesTheWriter(t *testing.T) {
	t.Parallel()
	db := open(t, one)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.Write(t.Context(), func(tx *sql.Tx) error {
			must(t, add(tx))
			panic("midway")
		})
	}()
	must(t, db.Write(t.Context(), add)) // would wait for ever behind an open transaction
	if n := notes(t, db); n != 1 {
		t.Errorf("%d rows; want the second one only", n)
	}
}

func TestReadingCannotWrite(t *testing.T) {
	t.Parallel()
	db := open(t, one)
	if err := db.Read(t.Context(), add); err == nil || notes(t, db) != 0 {
		t.Errorf("got %v and %d rows", err, notes(t, db))
	}
	if _, err := db.Query().Exec(`DELETE FROM note`); err == nil {
		t.Error("the handle for reading deletes")
	}
}

func TestAReadSeesOneMoment(t *testing.T) {
	t.Parallel()
	db := open(t, one)
	must(t, db.Read(t.Context(), func(tx *sql.Tx) error {
		var before, after int
		must(t, tx.QueryRow(`SELECT count(*) FROM note`).Scan(&before))
		must(t, db.Write(t.Context(), add))
		must(t, tx.QueryRow(`SELECT count(*) FROM note`).Scan(&after))
		if before != after {
			t.Errorf("a write showed in the middle of a read: %d, then %d rows", before, after)
		}
		return nil
	}))
}
