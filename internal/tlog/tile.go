package tlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	xtlog "golang.org/x/mod/sumdb/tlog"
)

// The shape of C2SP tlog-tiles.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * xtlog.HashSize
	maxLevel   = 63
)

// x/mod's paths carry the height ("tile/8/…") and say "data" for bundles; C2SP leaves the height
// out and says "entries". Everything else about them is the same.
const (
	ownPrefix     = "tile/8/"
	tilePrefix    = "tile/"
	ownBundles    = "data/"
	bundleSegment = "entries/"
)

// tilePath returns the path of w hashes of the level's n-th tile.
func tilePath(level int, n int64, w int) string {
	own := xtlog.Tile{H: tileHeight, L: level, N: n, W: w}.Path()
	return tilePrefix + strings.TrimPrefix(own, ownPrefix)
}

// bundlePath returns the path of w entries of the n-th bundle.
func bundlePath(n int64, w int) string {
	own := xtlog.Tile{H: tileHeight, L: -1, N: n, W: w}.Path()
	return tilePrefix + bundleSegment + strings.TrimPrefix(own, ownPrefix+ownBundles)
}

// parseTilePath returns the tile that a path names: level -1 for an entry bundle. It accepts
// exactly the paths that tilePath and bundlePath return (C2SP tlog-tiles, "Merkle Tree" and "Log entries").
func parseTilePath(path string) (level int, n int64, w int, ok bool) {
	rest, ok := strings.CutPrefix(path, tilePrefix)
	if !ok || strings.HasPrefix(rest, ownBundles) {
		return 0, 0, 0, false
	}
	if bundle, ok := strings.CutPrefix(rest, bundleSegment); ok {
		rest = ownBundles + bundle
	}
	t, err := xtlog.ParseTilePath(ownPrefix + rest)
	if err != nil || t.L > maxLevel {
		return 0, 0, 0, false
	}
	return t.L, t.N, t.W, true
}

// tileReader reads tiles of hashes from objects, for x/mod's TileHashReader, which authenticates
// them. It belongs to one call, whose context it carries because the interface has no place for one.
type tileReader struct {
	ctx     context.Context
	objects Objects
}

func (r tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []xtlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for i, t := range tiles {
		data, err := r.read(t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		all[i] = data
	}
	return all, nil
}

// SaveTiles has nothing to do: the tiles come from where they are kept.
func (r tileReader) SaveTiles([]xtlog.Tile, [][]byte) {}

// read returns the first w hashes of a tile: from the partial tile, or from the full one, since
// a partial tile may be removed once the full one is there.
func (r tileReader) read(level int, n int64, w int) ([]byte, error) {
	data, err := r.objects.ReadObject(r.ctx, tilePath(level, n, w))
	if w < tileWidth && errors.Is(err, fs.ErrNotExist) {
		data, err = r.objects.ReadObject(r.ctx, tilePath(level, n, tileWidth))
		if err == nil && len(data) == tileBytes {
			data = data[:w*xtlog.HashSize]
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, inconsistent(err)
	case err != nil:
		return nil, &readError{fmt.Errorf("read tile: %w", err)}
	case len(data) != w*xtlog.HashSize:
		return nil, inconsistent(fmt.Errorf("%s has %d bytes", tilePath(level, n, w), len(data)))
	}
	return data, nil
}

// readError marks a failure of the store as such, on its way through x/mod, so that a failing
// disk is not taken for a forged tile.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }
