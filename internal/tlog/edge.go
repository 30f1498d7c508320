package tlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a tree: per level the hashes of its unfinished tile. It is all that
// is needed to add leaves and to compute the root, and its size does not depend on the tree's.
type edge struct {
	size   int64
	levels [][]byte // levels[L] holds 0 to 255 hashes of level L's last tile
	bundle []byte   // the entry bundle beside levels[0]
}

// object is a file that is to be written.
type object struct {
	name string
	data []byte
}

func (e *edge) clone() *edge {
	c := &edge{size: e.size, bundle: slices.Clone(e.bundle)}
	for _, level := range e.levels {
		c.levels = append(c.levels, slices.Clone(level))
	}
	return c
}

// add appends an entry and returns done with the tiles that it completed.
func (e *edge) add(leaf Hash, entry []byte, done []object) []object {
	e.bundle = binary.BigEndian.AppendUint16(e.bundle, uint16(len(entry)))
	e.bundle = append(e.bundle, entry...)
	e.push(0, leaf)
	e.size++
	if e.size%tileWidth == 0 {
		done = append(done, object{bundlePath(e.size/tileWidth-1, tileWidth), e.bundle})
		e.bundle = nil
	}
	for level := 0; len(e.levels[level]) == tileBytes; level++ {
		full := e.levels[level]
		done = append(done, object{tilePath(level, e.tilesAt(level)-1, tileWidth), full})
		e.levels[level] = nil
		e.push(level+1, tileRoot(full))
	}
	return done
}

func (e *edge) push(level int, h Hash) {
	for len(e.levels) <= level {
		e.levels = append(e.levels, nil)
	}
	if e.levels[level] == nil {
		e.levels[level] = make([]byte, 0, tileBytes)
	}
	e.levels[level] = append(e.levels[level], h[:]...)
}

// tilesAt returns how many full tiles the level has, which is the number of its unfinished one.
func (e *edge) tilesAt(level int) int64 { return e.size >> (tileHeight * (level + 1)) }

// partials returns the unfinished tiles, as clients of a checkpoint of this size will ask for them.
func (e *edge) partials() []object {
	var all []object
	for level, data := range e.levels {
		if len(data) > 0 {
			all = append(all, object{tilePath(level, e.tilesAt(level), len(data)/xtlog.HashSize), data})
		}
	}
	if len(e.bundle) > 0 {
		all = append(all, object{bundlePath(e.tilesAt(0), int(e.size%tileWidth)), e.bundle})
	}
	return all
}

// root returns the hash of the whole tree.
func (e *edge) root() (Hash, error) {
	return xtlog.TreeHash(e.size, xtlog.HashReaderFunc(e.readHashes))
}

// readHashes finds hashes in the unfinished tiles: those that make up a root are all there.
func (e *edge) readHashes(indexes []int64) ([]Hash, error) {
	hashes := make([]Hash, len(indexes))
	for i, index := range indexes {
		tile := xtlog.TileForIndex(tileHeight, index)
		if tile.L >= len(e.levels) || tile.N != e.tilesAt(tile.L) {
			return nil, fmt.Errorf("hash %d is not on the edge of a tree of size %d", index, e.size)
		}
		data := e.levels[tile.L]
		tile.W = len(data) / xtlog.HashSize
		h, err := xtlog.HashFromTile(tile, data, index)
		if err != nil {
			return nil, err
		}
		hashes[i] = h
	}
	return hashes, nil
}

// tileRoot returns the hash over the hashes of a full tile.
func tileRoot(data []byte) Hash {
	var nodes [tileWidth]Hash
	for i := range nodes {
		nodes[i] = Hash(data[i*xtlog.HashSize:])
	}
	for n := tileWidth / 2; n > 0; n /= 2 {
		for i := range n {
			nodes[i] = xtlog.NodeHash(nodes[2*i], nodes[2*i+1])
		}
	}
	return nodes[0]
}

// loadEdge reads the edge of the tree that head signs, and checks it against head's root and
// against the leaves: a store that was rolled back is noticed here, before it is built upon.
func (l *Log) loadEdge(ctx context.Context, head Checkpoint) (*edge, error) {
	e := &edge{size: head.Size}
	tiles := tileReader{ctx, l.config.Objects}
	for level := 0; head.Size>>(tileHeight*level) > 0; level++ {
		var data []byte
		if w := int(head.Size >> (tileHeight * level) % tileWidth); w > 0 {
			var err error
			if data, err = tiles.read(level, e.tilesAt(level), w); err != nil {
				return nil, err
			}
		}
		e.levels = append(e.levels, data)
	}
	root, err := e.root()
	if err != nil {
		return nil, inconsistent(err)
	}
	if root != head.Root {
		return nil, inconsistent(fmt.Errorf("the tiles of size %d have root %v, signed is %v", head.Size, root, head.Root))
	}
	return e, l.loadBundle(ctx, e)
}

// loadBundle makes the unfinished bundle anew from the entries, which must hash to the
// unfinished tile.
func (l *Log) loadBundle(ctx context.Context, e *edge) error {
	if err := l.checkSize(ctx, e.size); err != nil {
		return err
	}
	from := e.size - e.size%tileWidth
	if from == e.size {
		return nil
	}
	entries, err := l.config.Leaves.Entries(ctx, from, e.size)
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	again := &edge{size: from}
	for _, entry := range entries {
		again.add(LeafHash(entry), entry, nil)
	}
	if again.size != e.size || !slices.Equal(again.levels[0], e.levels[0]) {
		return inconsistent(fmt.Errorf("the entries from %d to %d are not those of the signed tree", from, e.size))
	}
	e.bundle = again.bundle
	return nil
}

func (l *Log) checkSize(ctx context.Context, signed int64) error {
	size, err := l.config.Leaves.Size(ctx)
	if err != nil {
		return fmt.Errorf("read log size: %w", err)
	}
	if size < signed {
		return inconsistent(fmt.Errorf("%d entries are stored, %d are signed", size, signed))
	}
	return nil
}
