package tlog

import (
	"context"
	"fmt"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// stepLeaves bounds how far one checkpoint reaches beyond the last, so that a long backlog
	// shows progress. chunkLeaves bounds the entries in memory: 32 MiB if all are the longest
	// possible, and as much again for their bundles; usually a hundredth of that.
	stepLeaves  = 1 << 16
	chunkLeaves = 512
	// parallelWrites lets the file system gather fsyncs.
	parallelWrites = 16
	// DefaultInterval is how often Run looks for new entries.
	DefaultInterval = time.Second
)

// Sequence brings the log up to the entries that are appended now: it writes their tiles and
// bundles, then signs and stores a checkpoint; several, when they are many. It returns the last
// checkpoint, which is the old one when nothing is new. After an error, at whatever point, it can
// simply be called again, in this process or the next; code log-inconsistent is the exception.
func (l *Log) Sequence(ctx context.Context) (Checkpoint, error) {
	l.sequencing.Lock()
	defer l.sequencing.Unlock()
	size, err := l.config.Leaves.Size(ctx)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read log size: %w", err)
	}
	if size < l.edge.size {
		return Checkpoint{}, inconsistent(fmt.Errorf("%d entries are stored, %d are signed", size, l.edge.size))
	}
	for l.edge.size < size {
		if err := l.extend(ctx, min(size, l.edge.size+stepLeaves)); err != nil {
			return Checkpoint{}, err
		}
	}
	return l.Checkpoint(), nil
}

// extend makes and signs the tree of the first to entries. The edge moves only when all is stored.
func (l *Log) extend(ctx context.Context, to int64) error {
	next := l.edge.clone()
	for next.size < to {
		full, err := l.grow(ctx, next, min(to, next.size+chunkLeaves))
		if err != nil {
			return err
		}
		if err := l.write(ctx, full); err != nil {
			return err
		}
	}
	if err := l.write(ctx, next.partials()); err != nil {
		return err
	}
	_, err := l.sign(ctx, next)
	return err
}

// grow adds the entries up to index to, and returns the tiles that they completed.
func (l *Log) grow(ctx context.Context, e *edge, to int64) ([]object, error) {
	hashes, err := l.config.Leaves.LeafHashes(ctx, e.size, to)
	if err != nil {
		return nil, fmt.Errorf("read leaf hashes: %w", err)
	}
	entries, err := l.config.Leaves.Entries(ctx, e.size, to)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	if n := int(to - e.size); len(hashes) != n || len(entries) != n {
		return nil, fmt.Errorf("read entries: %d entries and %d hashes instead of %d", len(entries), len(hashes), n)
	}
	var full []object
	for i, entry := range entries {
		if LeafHash(entry) != hashes[i] || len(entry) > MaxEntry {
			return nil, inconsistent(fmt.Errorf("entry %d (%d bytes) is not what was hashed when it was appended", e.size, len(entry)))
		}
		full = e.add(hashes[i], entry, full)
	}
	return full, nil
}

func (l *Log) write(ctx context.Context, objects []object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelWrites)
	for _, o := range objects {
		group.Go(func() error { return l.config.Objects.WriteObject(ctx, o.name, o.data) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("write tiles: %w", err)
	}
	return nil
}

// sign makes next the log's tree: it proves that next extends the last checkpoint, signs it,
// stores the checkpoint, and only then lets anybody see it.
func (l *Log) sign(ctx context.Context, next *edge) (Checkpoint, error) {
	root, err := next.root()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("hash tree: %w", err)
	}
	if err := l.checkExtends(ctx, xtlog.Tree{N: next.size, Hash: root}); err != nil {
		return Checkpoint{}, err
	}
	head, err := signCheckpoint(l.config.Origin, next.size, root, l.config.Signer)
	if err != nil {
		return Checkpoint{}, err
	}
	head.Time = l.config.Clock.Now()
	if err := l.config.Objects.WriteObject(ctx, checkpointName, head.Note); err != nil {
		return Checkpoint{}, fmt.Errorf("write checkpoint: %w", err)
	}
	l.edge = next
	l.head.Store(&head)
	return head, nil
}

// checkExtends proves that tree contains the last checkpoint's tree. The proof is made from the
// tiles as they are stored, not from memory: it is the proof that a client will make.
func (l *Log) checkExtends(ctx context.Context, tree xtlog.Tree) error {
	last := l.head.Load()
	if last == nil || last.Size == 0 {
		return nil
	}
	proof, err := xtlog.ProveTree(tree.N, last.Size, xtlog.TileHashReader(tree, tileReader{ctx, l.config.Objects}))
	if err != nil {
		return unreadable("prove the new checkpoint", err)
	}
	if err := xtlog.CheckTree(proof, tree.N, tree.Hash, last.Size, last.Root); err != nil {
		return inconsistent(fmt.Errorf("size %d does not extend size %d: %w", tree.N, last.Size, err))
	}
	return nil
}

// Run sequences at once and then every interval (0 means [DefaultInterval]) until ctx ends, which
// is not an error. A failed attempt is logged and repeated, but for an integrity failure, which
// ends Run: what contradicts itself does not heal.
func (l *Log) Run(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		interval = DefaultInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		_, err := l.Sequence(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.KindOf(err) == fault.Integrity:
			return err
		case err != nil:
			l.config.Logger.Error("sequencing the log failed", "error", err, "size", l.Checkpoint().Size)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
