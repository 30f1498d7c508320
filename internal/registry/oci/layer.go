package oci

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry"
)

// layerBook sees to it that every layer is read once and that what was found is on the record.
//
// A layer is normally read by a tap, during its upload. The upload is acknowledged when its bytes
// are durable; the reading may end a little later, and a manifest that names the layer waits for
// it. A layer that no tap has read (the readers were busy, the server was restarted in between,
// the blob was here before us) is read from the store when a manifest names it.
type layerBook struct {
	record *evidence.Record
	core   *registry.Core
	reader Layers // nil when nothing is read
	log    *slog.Logger

	slots chan struct{} // one token per reader at work
	group sync.WaitGroup
	stop  context.CancelFunc
	ctx   context.Context // ends with close

	// standBack says that no push waits for a reader, so that readers leave the way to uploads.
	standBack bool
	// uploading counts the requests that are moving bytes in.
	uploading atomic.Int64

	mu      sync.Mutex
	pending map[digest.Digest]*pending // what is being read; guarded by mu
}

// pending is a layer blob that is being read, or an image whose layers are. done is closed when that has ended; the fields are set
// before.
type pending struct {
	done   chan struct{}
	reason string // why nothing is on the record; empty when it is
}

// wait returns when the reading has ended, or with the cause of ctx's end.
func (p *pending) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newLayerBook(core *registry.Core, config Config) *layerBook {
	ctx, stop := context.WithCancel(context.Background())
	return &layerBook{
		record: core.Record(), core: core, reader: config.Layers, log: config.Log,
		standBack: config.Limits.Settle <= 0, slots: make(chan struct{}, config.Limits.Readers), ctx: ctx, stop: stop, pending: map[digest.Digest]*pending{},
	}
}

// close waits for the readers that are at work. Reading from the store is cut short.
func (b *layerBook) close() {
	b.stop()
	b.group.Wait()
}

// tap returns a tap for a new upload; nil when layers are not read.
func (b *layerBook) tap() *tap {
	if b.reader == nil {
		return nil
	}
	return &tap{book: b}
}

// begin takes a reader's slot if one is free.
func (b *layerBook) begin() bool {
	select {
	case b.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (b *layerBook) end() { <-b.slots }

// layerFinding is what is on the record of a layer blob, or why nothing is.
type layerFinding struct {
	known      bool
	diffID     digest.Digest
	inventory  digest.Digest
	incomplete string // why the inventory is not whole
	reason     string // why nothing is known
}

// find fills in what the record knows of a blob.
func (b *layerBook) find(ctx context.Context, blob digest.Digest, f *layerFinding) error {
	err := b.record.DB().Query().QueryRowContext(ctx, `SELECT a.digest, a.incomplete, l.inventory
		FROM layer_blob x JOIN artifact a ON a.id = x.layer_id JOIN layer l ON l.artifact_id = a.id
		WHERE x.blob = $1`, blob).Scan(&f.diffID, &f.incomplete, &f.inventory)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up layer: %w", err)
	}
	f.known = true
	return nil
}

func (b *layerBook) knows(ctx context.Context, blob digest.Digest) (bool, error) {
	var f layerFinding
	err := b.find(ctx, blob, &f)
	return f.known, err
}

// start marks blob as being read and returns its entry; first is false when somebody is at it.
func (b *layerBook) start(blob digest.Digest) (p *pending, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pending[blob]; p != nil {
		return p, false
	}
	p = &pending{done: make(chan struct{})}
	b.pending[blob] = p
	return p, true
}

func (b *layerBook) finish(blob digest.Digest, p *pending) {
	b.mu.Lock()
	delete(b.pending, blob)
	b.mu.Unlock()
	close(p.done)
}

// uploaded takes over the reading of an upload that became blob; nil when it was not read. It does
// not wait.
func (b *layerBook) uploaded(blob digest.Digest, reading <-chan outcome) {
	if reading == nil {
		return
	}
	p, first := b.start(blob)
	if !first {
		return // two uploads of the same layer at once: one account of it is enough
	}
	b.group.Go(func() {
		defer b.finish(blob, p)
		b.note(blob, p, <-reading, false)
	})
}

// read returns an entry to wait on for a layer that a manifest names and that is not on the
// record; the store's copy is read unless somebody already reads the blob.
func (b *layerBook) read(blob digest.Digest) *pending {
	p, first := b.start(blob)
	if first {
		b.group.Go(func() {
			defer b.finish(blob, p)
			b.note(blob, p, b.readStored(blob), true)
		})
	}
	return p
}

func (b *layerBook) readStored(blob digest.Digest) outcome {
	select {
	case b.slots <- struct{}{}:
		defer b.end()
	case <-b.ctx.Done():
		return outcome{err: b.ctx.Err()}
	}
	f, err := b.core.Blobs().Open(b.ctx, blob)
	if err != nil {
		return outcome{err: err}
	}
	defer f.Close()
	inventory, err := b.readLayer(f)
	return outcome{inventory, err}
}

// readLayer reads a layer until the book is closed. A reader that panics on what a stranger pushed
// must not end the server, which would read the same layer again at its next start.
func (b *layerBook) readLayer(r io.Reader) (inventory *evidence.Inventory, err error) {
	defer asError(&err)
	return b.reader.ReadLayer(&courteous{book: b, Reader: r})
}

// asError makes an error of a panic. It is for work that no request waits for: net/http does the same
// for the others.
func asError(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// note puts an outcome on the record. declared says that a manifest calls the blob a layer; else
// content that turned out to be no archive is passed over.
func (b *layerBook) note(blob digest.Digest, p *pending, o outcome, declared bool) {
	err := o.err
	if err == nil {
		p.reason, err = b.put(blob, o.inventory, declared)
	}
	if err != nil && !errors.Is(err, errAborted) {
		p.reason = "reading it failed on the server"
		b.log.Error("a layer could not be recorded", slog.String("blob", string(blob)), slog.Any("error", err))
	}
}

// put appends what was found, and returns the reason when it cannot be recorded.
func (b *layerBook) put(blob digest.Digest, inv *evidence.Inventory, declared bool) (string, error) {
	if inv.DiffID == "" || !declared && inv.Entries == 0 && inv.Incomplete != "" {
		return inv.Incomplete, nil
	}
	// The push has been acknowledged: a server that is told to stop still writes this down.
	ctx := context.WithoutCancel(b.ctx)
	if known, err := b.knows(ctx, blob); known || err != nil {
		return "", err
	}
	stored, err := b.stored(ctx, inv)
	if err != nil {
		return "", err
	}
	contents := evidence.Contents{
		Of: "layer", Analyser: inv.Analyser, Inventory: stored, Files: len(inv.Files), Incomplete: inv.Incomplete, Blob: blob,
	}
	for range inv.AllComponents {
		contents.Components++
	}
	subjects := []evidence.Subject{evidence.About("", inv.DiffID)}
	if blob != inv.DiffID {
		subjects = append(subjects, evidence.About("", blob))
	}
	_, err = b.record.Append(ctx, nil, evidence.Draft{
		Subjects: subjects, Predicate: contents,
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	})
	return "", err
}

// stored returns the inventory's digest: that of the same layer in another compression when it
// was read by the same analyser before.
func (b *layerBook) stored(ctx context.Context, inv *evidence.Inventory) (d digest.Digest, err error) {
	err = b.record.DB().Query().QueryRowContext(ctx, `SELECT l.inventory FROM layer l JOIN artifact a ON a.id = l.artifact_id
		WHERE a.digest = $1 AND l.analyser = $2`, inv.DiffID, inv.Analyser).Scan(&d)
	if errors.Is(err, sql.ErrNoRows) {
		return b.record.StoreInventory(ctx, inv)
	}
	if err != nil {
		return "", fmt.Errorf("look up layer: %w", err)
	}
	return d, nil
}
