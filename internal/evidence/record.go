package evidence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/store"
)

// timeFormat sorts as text and keeps microseconds, the finest that PostgreSQL keeps too.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Record is the append-only record and its projections. It is safe for concurrent use.
type Record struct {
	db    *store.DB
	blobs blob.Store
	clock clock.Clock

	// head is the number of committed statements; it only grows.
	head atomic.Int64
	// waiting is closed, and taken away, when a commit has moved head; nil while nobody waits.
	waiting atomic.Pointer[chan struct{}]

	// mu is held while appending, so that the place and time of a statement can be given
	// before its transaction runs.
	mu   sync.Mutex
	last time.Time // of the newest statement; guarded by mu
}

// Open opens the record in db, whose evidence schema must be migrated. blobs holds the
// inventories that contents statements name.
func Open(ctx context.Context, db *store.DB, blobs blob.Store, clk clock.Clock) (*Record, error) {
	r := &Record{db: db, blobs: blobs, clock: clk}
	if err := r.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	return r, nil
}

// catchUp takes the place and time of the newest statement from the store.
func (r *Record) catchUp(ctx context.Context) error {
	var seq int64
	var at string
	err := r.db.Query().QueryRowContext(ctx, `SELECT seq, at FROM statement ORDER BY seq DESC LIMIT 1`).Scan(&seq, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.last, err = time.Parse(timeFormat, at); err != nil {
		return err
	}
	r.head.Store(seq + 1)
	return nil
}

// Guard looks at the projections inside the appending transaction, with every other append
// excluded; an error from it cancels the append and is returned as it is.
type Guard func(*sql.Tx) error

// Append takes the drafts into the record, all or none: statement, leaf hash and projections in
// one transaction. When it returns nil they are durable. Blobs that the drafts name must be
// durable already. guard may be nil.
func (r *Record) Append(ctx context.Context, guard Guard, drafts ...Draft) ([]Statement, error) {
	return r.append(ctx, guard, nil, drafts)
}

// errRehearsed takes back what was only tried.
var errRehearsed = errors.New("a rehearsal is taken back")

// Rehearse does what Append would, lets look see the projections as they would be, and takes
// everything back. Appends wait meanwhile. look may be nil.
func (r *Record) Rehearse(ctx context.Context, look Guard, drafts ...Draft) error {
	_, err := r.append(ctx, nil, func(tx *sql.Tx) error {
		if look != nil {
			if err := look(tx); err != nil {
				return err
			}
		}
		return errRehearsed
	}, drafts)
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// append appends; after, when not nil, looks at the result before it is committed.
func (r *Record) append(ctx context.Context, guard, after Guard, drafts []Draft) ([]Statement, error) {
	if len(drafts) == 0 {
		return nil, errors.New("append: no statement was given")
	}
	inventories, err := r.inventories(ctx, drafts)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	statements, bodies, err := r.place(drafts)
	if err != nil {
		return nil, err
	}
	err = r.db.Write(ctx, func(tx *sql.Tx) error {
		if guard != nil {
			if err := guard(tx); err != nil {
				return err
			}
		}
		b := newBatch(ctx, tx)
		defer b.close()
		if err := b.insertStatements(statements, bodies); err != nil {
			return err
		}
		for i, s := range statements {
			if err := b.project(s, inventories[i]); err != nil {
				return fmt.Errorf("project statement %d: %w", s.Seq, err)
			}
		}
		if after != nil {
			return after(tx)
		}
		return nil
	})
	if err != nil {
		// A commit that failed may have happened all the same; the next append must not collide with it.
		return nil, errors.Join(err, r.catchUp(context.WithoutCancel(ctx)))
	}
	r.head.Add(int64(len(statements)))
	r.last = statements[len(statements)-1].Time
	r.announce()
	return statements, nil
}

// Changed returns a channel that is closed when statements are committed after this call. To miss
// nothing, call it before looking at the record.
func (r *Record) Changed() <-chan struct{} {
	fresh := make(chan struct{})
	for {
		if w := r.waiting.Load(); w != nil {
			return *w
		}
		if r.waiting.CompareAndSwap(nil, &fresh) {
			return fresh
		}
	}
}

// announce wakes everybody who waits for a commit; it costs one load when nobody does.
func (r *Record) announce() {
	if r.waiting.Load() == nil {
		return
	}
	if w := r.waiting.Swap(nil); w != nil {
		close(*w)
	}
}

// place gives each draft its sequence number and time. r.mu is held.
func (r *Record) place(drafts []Draft) ([]Statement, [][]byte, error) {
	at := r.clock.Now().UTC().Truncate(time.Microsecond)
	if at.Before(r.last) {
		at = r.last // the machine's clock went backwards; the record's does not
	}
	statements := make([]Statement, len(drafts))
	bodies := make([][]byte, len(drafts))
	for i, d := range drafts {
		if d.Follow != nil {
			d = d.Follow(r.head.Load())
		}
		s, err := d.statement(r.head.Load()+int64(i), at)
		if err != nil {
			return nil, nil, err
		}
		if bodies[i], err = s.Encode(); err != nil {
			return nil, nil, err
		}
		statements[i] = s
	}
	return statements, bodies, nil
}

// inventories loads, before the write lock is taken, the file indexes that the drafts name.
func (r *Record) inventories(ctx context.Context, drafts []Draft) ([]*Inventory, error) {
	out := make([]*Inventory, len(drafts))
	for i, d := range drafts {
		c, ok := d.Predicate.(Contents)
		if !ok || c.Inventory == "" {
			continue
		}
		inv, err := r.Inventory(ctx, c.Inventory)
		if err != nil {
			return nil, err
		}
		out[i] = inv
	}
	return out, nil
}

// StoreInventory writes inv as a durable blob and returns the digest that a contents statement
// names it by.
func (r *Record) StoreInventory(ctx context.Context, inv *Inventory) (digest.Digest, error) {
	u, err := r.blobs.Create(ctx)
	if err != nil {
		return "", fmt.Errorf("store inventory: %w", err)
	}
	if err := inv.Encode(u); err != nil {
		u.Abort()
		return "", err
	}
	return u.Commit(ctx, "")
}

// Inventory loads a stored inventory.
func (r *Record) Inventory(ctx context.Context, d digest.Digest) (*Inventory, error) {
	f, err := r.blobs.Open(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("inventory %s: %w", d, err)
	}
	defer f.Close()
	return DecodeInventory(f)
}

// Head returns the number of committed statements. It costs nothing and never goes back.
func (r *Record) Head() int64 { return r.head.Load() }

// Now returns the time by the clock that statements are dated with.
func (r *Record) Now() time.Time { return r.clock.Now().UTC() }

// DB returns the store, for read-only queries on the projection tables.
func (r *Record) DB() *store.DB { return r.db }

// Size implements tlog.Leaves.
func (r *Record) Size(context.Context) (int64, error) { return r.Head(), nil }

// LeafHashes returns the leaf hashes of statements from to to-1.
func (r *Record) LeafHashes(ctx context.Context, from, to int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, to-from)
	err := r.rows(ctx, `SELECT leaf FROM statement WHERE seq >= $1 AND seq < $2 ORDER BY seq`, from, to, func(b []byte) {
		hashes = append(hashes, tlog.Hash(b))
	})
	return hashes, err
}

// Entries returns the encoded statements from to to-1.
func (r *Record) Entries(ctx context.Context, from, to int64) ([][]byte, error) {
	entries := make([][]byte, 0, to-from)
	err := r.rows(ctx, `SELECT body FROM statement WHERE seq >= $1 AND seq < $2 ORDER BY seq`, from, to, func(b []byte) {
		entries = append(entries, b)
	})
	return entries, err
}

func (r *Record) rows(ctx context.Context, query string, from, to int64, each func([]byte)) error {
	rows, err := r.db.Query().QueryContext(ctx, query, from, to)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	defer rows.Close()
	n := from
	for ; rows.Next(); n++ {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return fmt.Errorf("read statements: %w", err)
		}
		each(b)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	if n != to {
		return fmt.Errorf("read statements: asked for %d to %d, the store ends at %d", from, to, n)
	}
	return nil
}

// About returns up to limit statements whose subject is the purl or digest, oldest first,
// starting at sequence number after+1. Use after = -1 for the first page.
func (r *Record) About(ctx context.Context, subject string, after int64, limit int) ([]Statement, error) {
	rows, err := r.db.Query().QueryContext(ctx, `SELECT s.body FROM statement_subject x JOIN statement s ON s.seq = x.seq
		WHERE x.subject = $1 AND x.seq > $2 ORDER BY x.seq`, SubjectKey(subject), after)
	if err != nil {
		return nil, fmt.Errorf("statements about %s: %w", subject, err)
	}
	defer rows.Close()
	var out []Statement
	for len(out) < limit && rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("statements about %s: %w", subject, err)
		}
		s, err := DecodeStatement(body)
		if err != nil {
			return nil, err
		}
		if s.isAbout(subject) { // else another subject with the same key
			out = append(out, s)
		}
	}
	return out, rows.Err()
}
