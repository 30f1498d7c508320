// Package spool keeps on disk what the agent has to report until the server has it on the record. A segment
// is one file and one batch, whole or not there; it is removed after the server acknowledged it.
//
// The spool is bounded. When it is full, or the disk is, the oldest aggregates (what ran, what was loaded)
// are dropped and counted. Alerts are never dropped: an alert that cannot be written is given back to the
// caller with an error.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/durable"
)

// Class says what may be dropped.
type Class string

// The classes. Their text is part of file names.
const (
	Alerts     Class = "alert"
	Aggregates Class = "aggregate"
)

// MaxSegment is the longest segment in bytes.
const MaxSegment = 8 << 20

type segment struct {
	seq   uint64
	class Class
	size  int64
}

func (s segment) name() string { return fmt.Sprintf("%016x.%s", s.seq, s.class) }

// Spool is a folder of segments. It is safe for concurrent use.
type Spool struct {
	folder string
	max    int64
	write  func(name string, data []byte, mode os.FileMode) error

	mu       sync.Mutex
	segments []segment // oldest first
	bytes    int64
	next     uint64
	dropped  int64
}

// Open opens a folder, with what an earlier run left in it, and keeps it below limit bytes.
func Open(folder string, limit int64) (*Spool, error) {
	if err := durable.MkdirAll(folder); err != nil {
		return nil, err
	}
	s := &Spool{folder: folder, max: limit, write: durable.WriteFile, next: 1}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	for _, e := range entries {
		number, class, _ := strings.Cut(e.Name(), ".")
		seq, err := strconv.ParseUint(number, 16, 64)
		info, statErr := e.Info()
		if err != nil || statErr != nil || Class(class) != Alerts && Class(class) != Aggregates {
			_ = os.Remove(filepath.Join(folder, e.Name())) // a write that a crash cut short
			continue
		}
		s.segments = append(s.segments, segment{seq, Class(class), info.Size()})
		s.bytes += info.Size()
		s.next = max(s.next, seq+1)
	}
	slices.SortFunc(s.segments, func(a, b segment) int { return cmp.Compare(a.seq, b.seq) })
	return s, nil
}

// Append makes a segment durable. It drops old aggregates for room; when even that makes none, aggregates
// are dropped and counted (then id is 0), and an alert comes back with the error.
func (s *Spool) Append(class Class, data []byte) (id uint64, err error) {
	if len(data) > MaxSegment {
		return 0, fmt.Errorf("spool: a segment of %d bytes is longer than %d", len(data), MaxSegment)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.bytes+int64(len(data)) > s.max && s.dropOldest() {
	}
	if class == Aggregates && s.bytes+int64(len(data)) > s.max {
		s.dropped++
		return 0, nil
	}
	made := segment{seq: s.next, class: class, size: int64(len(data))}
	err = s.put(made, data)
	for errors.Is(err, unix.ENOSPC) && s.dropOldest() {
		err = s.put(made, data)
	}
	if err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	s.next++
	s.segments = append(s.segments, made)
	s.bytes += made.size
	return made.seq, nil
}

func (s *Spool) put(made segment, data []byte) error {
	return s.write(filepath.Join(s.folder, made.name()), data, 0o600)
}

// dropOldest drops the oldest aggregate and reports whether there was one.
func (s *Spool) dropOldest() bool {
	i := slices.IndexFunc(s.segments, func(g segment) bool { return g.class == Aggregates })
	if i < 0 {
		return false
	}
	s.remove(i)
	s.dropped++
	return true
}

func (s *Spool) remove(i int) {
	g := s.segments[i]
	// A file that stays behind is sent again after a restart, and the server knows the batch.
	_ = os.Remove(filepath.Join(s.folder, g.name()))
	s.segments = slices.Delete(s.segments, i, i+1)
	s.bytes -= g.size
}

// Next returns the segment to send next, alerts before aggregates, older before newer. ok is false when
// there is none. A segment that cannot be read is dropped and counted.
func (s *Spool) Next() (id uint64, data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.segments) > 0 {
		i := max(0, slices.IndexFunc(s.segments, func(g segment) bool { return g.class == Alerts }))
		data, err := os.ReadFile(filepath.Join(s.folder, s.segments[i].name()))
		if err == nil {
			return s.segments[i].seq, data, true
		}
		if !errors.Is(err, fs.ErrNotExist) && s.segments[i].class == Alerts {
			return 0, nil, false // the disk may answer later
		}
		s.remove(i)
		s.dropped++
	}
	return 0, nil, false
}

// Done removes a segment that is on the record.
func (s *Spool) Done(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.segments, func(g segment) bool { return g.seq == id }); i >= 0 {
		s.remove(i)
	}
}

// Dropped returns how many segments were dropped since it was last asked.
func (s *Spool) Dropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.dropped
	s.dropped = 0
	return n
}

// Len returns how many segments wait, and how many bytes they have.
func (s *Spool) Len() (segments int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments), s.bytes
}
