// Package tlog is a transparency log over entries that somebody else stores: it makes tiles and
// signed checkpoints from them, and proofs that a stranger can check.
//
// The entries and their leaf hashes live in the caller's database ([Leaves]); the tiles and the
// checkpoint are small named objects ([Objects]). The tree is that of RFC 6962 with SHA-256, the
// files and paths are those of C2SP tlog-tiles, and a checkpoint is a C2SP signed note
// (tlog-checkpoint). Any client of those specifications reads this log.
//
// Tiles follow from the entries alone, so writing them again after a crash gives the same bytes.
// A checkpoint is a promise: it is signed only after everything it covers is durable, and never
// unless the stored tiles prove that it extends the one before. When they do not, the log stops
// with code log-inconsistent; it does not mend itself, because a log that can forget is no log.
//
// One process sequences a log at a time. Nothing here elects it.
package tlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
)

// Hash is an RFC 6962 hash: of a leaf, of an inner node or of a whole tree.
type Hash = xtlog.Hash

// LeafHash returns the hash of an entry as a leaf (RFC 6962 section 2.1: SHA-256 of 0x00 and the entry).
func LeafHash(entry []byte) Hash { return xtlog.RecordHash(entry) }

// MaxEntry is the longest entry in bytes: bundles prefix each with a 16-bit length. Whoever
// appends must refuse longer ones, since a log can not skip one.
const MaxEntry = 1<<16 - 1

// Leaves is where the entries are. What it returned for an index once, it must return for ever.
type Leaves interface {
	// Size returns how many entries are durably appended.
	Size(ctx context.Context) (int64, error)
	// LeafHashes returns the leaf hashes of the entries from ≤ i < to.
	LeafHashes(ctx context.Context, from, to int64) ([]Hash, error)
	// Entries returns the entries from ≤ i < to.
	Entries(ctx context.Context, from, to int64) ([][]byte, error)
}

// Objects is where tiles and checkpoints are; a blob.Store is one.
type Objects interface {
	// WriteObject durably replaces the named object. It is called from several goroutines.
	WriteObject(ctx context.Context, name string, data []byte) error
	// ReadObject returns the named object, or an error that is fs.ErrNotExist.
	ReadObject(ctx context.Context, name string) ([]byte, error)
}

// Config is what a log is made of. All fields but Logger are needed.
type Config struct {
	// Origin names the log in its checkpoints and must be the name of the key: a schema-less
	// URL such as "hullmark.example.com/log". Changing it makes another log.
	Origin string
	Leaves Leaves
	// Objects must hold what this log wrote before, and nothing may change it.
	Objects Objects
	// Signer signs checkpoints, and Verifier belongs to it; [LoadOrCreateSigner] gives both.
	Signer   note.Signer
	Verifier note.Verifier
	Clock    clock.Clock
	// Logger hears of failed attempts that Run repeats. Nil means silence.
	Logger *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.Leaves == nil || c.Objects == nil || c.Clock == nil:
		return errors.New("open log: Leaves, Objects and Clock are needed")
	case c.Signer == nil || c.Verifier == nil:
		return errors.New("open log: Signer and Verifier are needed")
	case c.Signer.Name() != c.Origin || c.Verifier.Name() != c.Origin:
		return fmt.Errorf("open log: key of %q for the log %q", c.Signer.Name(), c.Origin)
	case c.Signer.KeyHash() != c.Verifier.KeyHash():
		return errors.New("open log: Verifier does not belong to Signer")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Log is an open log. It is safe for concurrent use.
type Log struct {
	config Config

	sequencing sync.Mutex                 // one sequencer at a time; guards edge
	edge       *edge                      // the right edge of the tree that head signs
	head       atomic.Pointer[Checkpoint] // the last checkpoint that is durably stored
}

// checkpointName is the object and the path that hold the last checkpoint.
const checkpointName = "checkpoint"

// Open takes up the log where its stored checkpoint left it, or begins one with a signed
// checkpoint of size 0. It fails with code checkpoint-invalid when the stored checkpoint is not
// signed by this key, and log-inconsistent when tiles or leaves do not agree with it.
func Open(ctx context.Context, c Config) (*Log, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &Log{config: c, edge: &edge{}}
	stored, err := c.Objects.ReadObject(ctx, checkpointName)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = l.sign(ctx, l.edge)
		return l, err
	} else if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	head, err := OpenCheckpoint(stored, c.Verifier)
	if err != nil {
		return nil, err
	}
	if l.edge, err = l.loadEdge(ctx, head); err != nil {
		return nil, err
	}
	l.head.Store(&head)
	return l, nil
}

// Checkpoint returns the last checkpoint that was durably stored. Time is zero when it was
// signed before this process started.
func (l *Log) Checkpoint() Checkpoint { return *l.head.Load() }

// inconsistent is the fault of a log whose parts contradict each other.
func inconsistent(cause error) error {
	return fault.New(fault.Integrity, "log-inconsistent",
		"the log's stored tiles, its entries and its last checkpoint do not agree; "+
			"nothing more is signed until its files and database are restored from one backup").Because(cause)
}
