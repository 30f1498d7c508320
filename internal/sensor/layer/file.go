// Package layer knows the files of image layers: which path has which content and belongs to which
// component. The knowledge comes from the server's record and is kept on disk by diffID, so that it is
// there when the server is not.
//
// A layer never changes, so its index is written once and mapped into memory; looking a path up is a
// binary search over it, with no hashing and no reading of the file in question. The package refuses an
// index that is not whole: it is fetched again.
package layer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
)

// The limits on a layer's index.
const (
	maxFiles = 2 << 20
	maxPath  = 4096
	maxText  = 512 << 20 // bytes of all paths together
)

// File is what is known about one path of a layer.
type File struct {
	Path      string // slash-separated, relative: "usr/bin/env"
	SHA256    [32]byte
	Component string // purl; "" for none
}

// magic begins an index file. The number changes with the format.
const magic = "hmlayer1"

const (
	headerSize = len(magic) + 4*4
	recordSize = 4 + 4 + 4 + 32 // offset and length of the path, number of the component, content
)

// encode writes an index: header, records sorted by path, texts of the components, texts of the paths.
func encode(files []File) ([]byte, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("a layer of %d files is more than an index takes (%d)", len(files), maxFiles)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	numbers := map[string]uint32{}
	var components, paths bytes.Buffer
	records := make([]byte, 0, len(files)*recordSize)
	for _, f := range files {
		if f.Path == "" || len(f.Path) > maxPath || paths.Len() > maxText {
			return nil, fmt.Errorf("a path of %d bytes does not fit an index", len(f.Path))
		}
		number := uint32(0) // 0 is none
		if f.Component != "" {
			n, ok := numbers[f.Component]
			if !ok {
				n = uint32(len(numbers) + 1)
				numbers[f.Component] = n
				components.WriteString(f.Component + "\n")
			}
			number = n
		}
		records = binary.LittleEndian.AppendUint32(records, uint32(paths.Len()))
		records = binary.LittleEndian.AppendUint32(records, uint32(len(f.Path)))
		records = binary.LittleEndian.AppendUint32(records, number)
		records = append(records, f.SHA256[:]...)
		paths.WriteString(f.Path)
	}
	out := []byte(magic)
	for _, n := range []int{len(files), len(numbers), components.Len(), paths.Len()} {
		out = binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return slices.Concat(out, records, components.Bytes(), paths.Bytes()), nil
}

// Index is one layer's files. It is safe for concurrent use.
type Index struct {
	n          int
	records    []byte
	paths      []byte
	components []string // number n is at n-1
}

// decode checks the shape of an index and returns it; raw must stay as it is.
func decode(raw []byte) (*Index, error) {
	if len(raw) < headerSize || string(raw[:len(magic)]) != magic {
		return nil, fmt.Errorf("not a layer index")
	}
	var sizes [4]int
	for i := range sizes {
		sizes[i] = int(binary.LittleEndian.Uint32(raw[len(magic)+4*i:]))
	}
	n, purls, purlBytes, pathBytes := sizes[0], sizes[1], sizes[2], sizes[3]
	if n > maxFiles || len(raw) != headerSize+n*recordSize+purlBytes+pathBytes {
		return nil, fmt.Errorf("a layer index that is not whole")
	}
	rest := raw[headerSize:]
	x := &Index{n: n, records: rest[:n*recordSize], paths: rest[n*recordSize+purlBytes:]}
	for line := range strings.Lines(string(rest[n*recordSize : n*recordSize+purlBytes])) {
		x.components = append(x.components, strings.TrimSuffix(line, "\n"))
	}
	if len(x.components) != purls {
		return nil, fmt.Errorf("a layer index that is not whole")
	}
	return x, nil
}

// Len returns the number of files.
func (x *Index) Len() int { return x.n }

// path returns the path of record i; nil for one that points outside.
func (x *Index) path(i int) []byte {
	r := x.records[i*recordSize:]
	offset, length := uint64(binary.LittleEndian.Uint32(r)), uint64(binary.LittleEndian.Uint32(r[4:]))
	if offset+length > uint64(len(x.paths)) {
		return nil
	}
	return x.paths[offset : offset+length]
}

func (x *Index) file(i int) File {
	r := x.records[i*recordSize:]
	f := File{Path: string(x.path(i))}
	copy(f.SHA256[:], r[12:])
	if n := int(binary.LittleEndian.Uint32(r[8:])); n > 0 && n <= len(x.components) {
		f.Component = x.components[n-1]
	}
	return f
}

// Lookup returns what is known about an absolute path of the image, as this layer has it.
func (x *Index) Lookup(path string) (File, bool) {
	want := []byte(strings.TrimPrefix(path, "/"))
	i, ok := sort.Find(x.n, func(i int) int { return bytes.Compare(want, x.path(i)) })
	if !ok {
		return File{}, false
	}
	return x.file(i), true
}

// All yields every file, in the order of paths.
func (x *Index) All() iter.Seq[File] {
	return func(yield func(File) bool) {
		for i := range x.n {
			if !yield(x.file(i)) {
				return
			}
		}
	}
}

// Wanted is what to look for in layers: files by content, and files of components.
type Wanted struct {
	Files      map[[32]byte]bool
	Components map[string]bool // purls
}

// Equal reports whether two look for the same.
func (w Wanted) Equal(other Wanted) bool {
	return maps.Equal(w.Files, other.Files) && maps.Equal(w.Components, other.Components)
}

// Find returns the files that are wanted.
func (x *Index) Find(w Wanted) []File {
	numbers := map[uint32]bool{}
	for i, purl := range x.components {
		if w.Components[purl] {
			numbers[uint32(i+1)] = true
		}
	}
	var out []File
	for i := range x.n {
		r := x.records[i*recordSize : (i+1)*recordSize]
		if numbers[binary.LittleEndian.Uint32(r[8:])] || w.Files[[32]byte(r[12:])] {
			out = append(out, x.file(i))
		}
	}
	return out
}
