package tlog

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/fault"
)

// Inclusion returns the proof that the tree of the given size contains the entry at index
// (RFC 6962 section 2.1.1), from the leaf upwards. size may be that of any tree up to the last
// checkpoint's. The tiles it is made from are authenticated against that checkpoint; ones that
// were tampered with fail with code log-inconsistent.
func (l *Log) Inclusion(ctx context.Context, index, size int64) ([]Hash, error) {
	head := l.Checkpoint()
	if index < 0 || index >= size || size > head.Size {
		return nil, outOfRange(head.Size)
	}
	proof, err := xtlog.ProveRecord(size, index, l.hashReader(ctx, head))
	if err != nil {
		return nil, unreadable("prove inclusion", err)
	}
	return proof, nil
}

// Consistency returns the proof that the tree of newSize extends the tree of oldSize (RFC 6962
// section 2.1.2). Both must lie between 0 and the last checkpoint's size; the proof from an
// empty or an equal tree is empty.
func (l *Log) Consistency(ctx context.Context, oldSize, newSize int64) ([]Hash, error) {
	head := l.Checkpoint()
	if oldSize < 0 || oldSize > newSize || newSize > head.Size {
		return nil, outOfRange(head.Size)
	}
	if oldSize == 0 {
		return []Hash{}, nil
	}
	proof, err := xtlog.ProveTree(newSize, oldSize, l.hashReader(ctx, head))
	if err != nil {
		return nil, unreadable("prove consistency", err)
	}
	return proof, nil
}

// hashReader reads hashes of the tree that head signs. Smaller trees' hashes are among them.
func (l *Log) hashReader(ctx context.Context, head Checkpoint) xtlog.HashReader {
	return xtlog.TileHashReader(xtlog.Tree{N: head.Size, Hash: head.Root}, tileReader{ctx, l.config.Objects})
}

func outOfRange(size int64) error {
	return fault.New(fault.Invalid, "log-range",
		"there is no such entry or tree; the log's last checkpoint covers %d entries, ask for a proof within it", size)
}

// unreadable tells tiles that contradict the tree, of which x/mod says so, from a store that
// failed to read them.
func unreadable(op string, err error) error {
	if failed, ok := errors.AsType[*readError](err); ok {
		return fmt.Errorf("%s: %w", op, failed.err)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return fmt.Errorf("%s: %w", op, err)
	}
	return inconsistent(fmt.Errorf("%s: %w", op, err))
}

// VerifyInclusion checks that the log whose verifier is given signed a tree with entry at index.
// It needs no server. It fails with code checkpoint-invalid or proof-invalid, both of kind
// Integrity. It does not say that the entry's content is true, only that the log can not deny it.
func VerifyInclusion(entry []byte, index int64, proof []Hash, checkpointNote []byte, verifier note.Verifier) error {
	head, err := OpenCheckpoint(checkpointNote, verifier)
	if err != nil {
		return err
	}
	return head.Includes(entry, index, proof)
}

// Includes is [VerifyInclusion] for a checkpoint whose signature has been checked.
func (c Checkpoint) Includes(entry []byte, index int64, proof []Hash) error {
	if err := xtlog.CheckRecord(proof, c.Size, c.Root, index, LeafHash(entry)); err != nil {
		return fault.New(fault.Integrity, "proof-invalid",
			"the proof does not show that the entry at index %d is in the log of size %d; "+
				"the entry, its index or the proof was changed", index, c.Size).Because(err)
	}
	return nil
}

// VerifyConsistency checks that the second signed checkpoint extends the first: that the log
// has not dropped or changed an entry in between. The codes are those of [VerifyInclusion].
func VerifyConsistency(oldNote, newNote []byte, proof []Hash, verifier note.Verifier) error {
	older, err := OpenCheckpoint(oldNote, verifier)
	if err != nil {
		return err
	}
	newer, err := OpenCheckpoint(newNote, verifier)
	if err != nil {
		return err
	}
	return newer.Extends(older, proof)
}

// Extends is [VerifyConsistency] for checkpoints whose signatures have been checked.
func (c Checkpoint) Extends(older Checkpoint, proof []Hash) error {
	err := checkExtends(c, older, proof)
	if err != nil {
		return fault.New(fault.Integrity, "proof-invalid",
			"the proof does not show that the log of size %d extends the one of size %d; "+
				"keep both checkpoints: together they are evidence", c.Size, older.Size).Because(err)
	}
	return nil
}

func checkExtends(c, older Checkpoint, proof []Hash) error {
	if older.Size > 0 {
		return xtlog.CheckTree(proof, c.Size, c.Root, older.Size, older.Root)
	}
	// RFC 6962 has no proof from the empty tree: every tree extends it.
	if len(proof) > 0 || older.Root != emptyRoot() || (c.Size == 0 && c.Root != older.Root) {
		return errors.New("not a proof from the empty tree")
	}
	return nil
}

func emptyRoot() Hash {
	root, _ := xtlog.TreeHash(0, nil) // reads nothing, so it can not fail
	return root
}
