package layer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/durable"
)

// Release is how a component came to be published, where it was published here.
type Release struct {
	PURL       string    `json:"purl"`
	Artifact   string    `json:"artifact,omitempty"`
	Publisher  string    `json:"publisher,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Label      string    `json:"label,omitempty"` // what its holder calls the credential
	Published  time.Time `json:"published,omitzero"`
	Approved   bool      `json:"approved,omitempty"`
	Approver   string    `json:"approver,omitempty"`
	Recalled   string    `json:"recalled,omitempty"` // reason, when the image was fetched
	// ByContent says that nothing in the image names the release: its files are there.
	ByContent bool `json:"byContent,omitempty"`
}

// Image is what the record says about an image: its layers, and the releases in it by purl.
type Image struct {
	Digest     digest.Digest      `json:"digest,omitempty"`
	References []string           `json:"references,omitempty"`
	DiffIDs    []digest.Digest    `json:"diffIDs"`
	Releases   map[string]Release `json:"releases"`
	Gaps       []string           `json:"gaps,omitempty"`
}

// Part is a piece of an answer about an image: the image first, then files of its layers.
type Part struct {
	Image  *Image
	DiffID digest.Digest
	Files  []File
}

// Source tells about images; the server does.
type Source interface {
	// Image calls visit for every part of the answer. The image is asked for by its digest or, where
	// that is not known to the record, by its layers. It fails with a fault of kind NotFound when the
	// record has neither.
	Image(ctx context.Context, image digest.Digest, diffIDs []digest.Digest, visit func(Part) error) error
}

// Store keeps indexes on disk and maps those in use. It is safe for concurrent use.
type Store struct {
	folder string // "" keeps nothing, and knows nothing without a source
	source Source // nil: only what is on disk
	log    *slog.Logger

	flight singleflight.Group
	mu     sync.Mutex
	open   map[digest.Digest]*Index
}

// NewStore returns a store over a folder.
func NewStore(folder string, source Source, log *slog.Logger) *Store {
	return &Store{folder: folder, source: source, log: log, open: map[digest.Digest]*Index{}}
}

// ErrNone is returned where nothing is known about an image, and nobody can be asked.
var ErrNone = errors.New("no layer index")

// Image returns what is known about an image and the indexes of its layers, lowest first, from disk or
// from the source; nil in place of an index that is not to be had.
func (s *Store) Image(ctx context.Context, image digest.Digest, diffIDs []digest.Digest) (*Image, []*Index, error) {
	key := string(image) + fmt.Sprint(diffIDs)
	type both struct {
		image   *Image
		indexes []*Index
	}
	got, err, _ := s.flight.Do(key, func() (any, error) {
		img, indexes, err := s.load(ctx, image, diffIDs)
		return both{img, indexes}, err
	})
	if err != nil {
		return nil, nil, err
	}
	b := got.(both)
	return b.image, b.indexes, nil
}

func (s *Store) load(ctx context.Context, image digest.Digest, diffIDs []digest.Digest) (*Image, []*Index, error) {
	kept, indexes, fresh := s.kept(image, diffIDs)
	if kept != nil && (fresh || s.source == nil) {
		return kept, indexes, nil
	}
	if s.source == nil {
		return nil, nil, ErrNone
	}
	img, err := s.fetch(ctx, image, diffIDs)
	if err != nil && kept != nil {
		s.log.Info("what is known about an image is old", "image", image, "error", err)
		return kept, indexes, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return img, s.indexes(img.DiffIDs), nil
}

// freshFor is how long what is said about releases is taken from disk without asking: they may have been
// approved since.
const freshFor = time.Hour

// kept returns an image that is on disk with all its layers, and whether it was fetched lately.
func (s *Store) kept(image digest.Digest, diffIDs []digest.Digest) (_ *Image, _ []*Index, fresh bool) {
	name := s.imageFile(image, diffIDs)
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, false
	}
	var img Image
	if json.Unmarshal(raw, &img) != nil {
		return nil, nil, false
	}
	indexes := s.indexes(img.DiffIDs)
	for i, x := range indexes {
		if x == nil && img.DiffIDs[i] != "" {
			return nil, nil, false
		}
	}
	info, err := os.Stat(name)
	return &img, indexes, err == nil && time.Since(info.ModTime()).Abs() < freshFor
}

func (s *Store) imageFile(image digest.Digest, diffIDs []digest.Digest) string {
	name := image
	if name == "" {
		name = digest.FromBytes([]byte(fmt.Sprint(diffIDs)))
	}
	return filepath.Join(s.folder, "images", name.Hex()+".json")
}

func (s *Store) layerFile(diffID digest.Digest) string {
	return filepath.Join(s.folder, "layers", diffID.Hex())
}

func (s *Store) indexes(diffIDs []digest.Digest) []*Index {
	out := make([]*Index, len(diffIDs))
	for i, d := range diffIDs {
		out[i] = s.Layer(d)
	}
	return out
}

// Layer returns the index of a layer that is on disk, or nil.
func (s *Store) Layer(diffID digest.Digest) *Index {
	if diffID == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.open[diffID]; x != nil {
		return x
	}
	x, err := mapped(s.layerFile(diffID))
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("layer index unreadable", "layer", diffID, "error", err)
		}
		return nil
	}
	s.open[diffID] = x
	return x
}

// mapped maps an index file. It stays mapped: the pages that are not used cost no memory.
func mapped(name string) (*Index, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < int64(headerSize) {
		return nil, fmt.Errorf("not a layer index")
	}
	raw, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a layer index: %w", err)
	}
	x, err := decode(raw)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(raw))
	}
	return x, nil
}

// fetch asks the source, and writes what is new: layers first, so that an image on disk has its layers.
func (s *Store) fetch(ctx context.Context, image digest.Digest, diffIDs []digest.Digest) (*Image, error) {
	var img *Image
	files := map[digest.Digest][]File{}
	err := s.source.Image(ctx, image, diffIDs, func(p Part) error {
		switch {
		case p.Image != nil:
			img = p.Image
		case len(files[p.DiffID])+len(p.Files) > maxFiles:
			return fmt.Errorf("layer %s has more than %d files", p.DiffID.Short(), maxFiles)
		default:
			files[p.DiffID] = append(files[p.DiffID], p.Files...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if img == nil {
		return nil, ErrNone
	}
	for _, diffID := range img.DiffIDs {
		if diffID == "" || s.Layer(diffID) != nil {
			continue
		}
		list, told := files[diffID]
		if !told {
			img.Gaps = append(img.Gaps, "the files of layer "+diffID.Short()+" are not on the record")
			continue
		}
		raw, err := encode(list)
		if err != nil {
			return nil, err
		}
		if err := durable.WriteFile(s.layerFile(diffID), raw, 0o600); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(img)
	if err != nil {
		return nil, err
	}
	return img, durable.WriteFile(s.imageFile(image, diffIDs), raw, 0o600)
}
