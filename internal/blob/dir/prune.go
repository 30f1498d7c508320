package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Leftover is an upload that nobody has open: suspended, or cut off by a crash.
type Leftover struct {
	ID       string
	Size     int64     // bytes
	Modified time.Time // last write
}

// Leftovers lists the uploads whose last write is at least olderThan before now, oldest first.
func (s *Store) Leftovers(ctx context.Context, olderThan time.Duration, now time.Time) ([]Leftover, error) {
	entries, err := os.ReadDir(filepath.Join(s.folder, "uploads"))
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	var found []Leftover
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || s.isHeld(entry.Name()) {
			continue // it ended while we looked, or somebody is at it
		} else if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		if now.Sub(info.ModTime()) >= olderThan {
			found = append(found, Leftover{ID: entry.Name(), Size: info.Size(), Modified: info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b Leftover) int { return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

func (s *Store) isHeld(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[id]
}

// PruneUploads removes the leftovers that are at least olderThan old at now and returns how many
// they were. An upload that is taken up meanwhile is left alone.
func (s *Store) PruneUploads(ctx context.Context, olderThan time.Duration, now time.Time) (int, error) {
	old, err := s.Leftovers(ctx, olderThan, now)
	if err != nil {
		return 0, err
	}
	pruned := 0
	for _, l := range old {
		path, ours := s.uploadPath(l.ID)
		if !ours {
			continue // a foreign file: not ours to remove
		}
		if _, free := s.hold(l.ID); !free {
			continue
		}
		err := os.Remove(path)
		s.release(l.ID, nil)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return pruned, fmt.Errorf("prune uploads: %w", err)
		}
		pruned++
	}
	return pruned, nil
}
