package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, folder string, limit int64) *Spool {
	t.Helper()
	s, err := Open(folder, limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fill(t *testing.T, s *Spool, class Class, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := s.Append(class, []byte(name+strings.Repeat(".", 100-len(name)))); err != nil {
			t.Fatal(err)
		}
	}
}

// drain takes everything out, in the order in which it would be sent.
func drain(s *Spool) string {
	var out []string
	for {
		id, data, ok := s.Next()
		if !ok {
			return strings.Join(out, " ")
		}
		out = append(out, strings.TrimRight(string(data), "."))
		s.Done(id)
	}
}

func TestAlertsGoFirstAndAFullSpoolDropsTheOldestAggregates(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 500)
	fill(t, s, Aggregates, "g1", "g2", "g3")
	fill(t, s, Alerts, "a1", "a2")
	fill(t, s, Aggregates, "g4")
	fill(t, s, Alerts, "a3")
	if got := s.Dropped(); got != 2 {
		t.Errorf("%d were dropped, want 2", got)
	}
	if got := drain(s); got != "a1 a2 a3 g3 g4" {
		t.Errorf("what is left: %s", got)
	}
}

func TestAlertsAreNeverDroppedAlsoWhenTheyAloneFillTheSpool(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 300)
	fill(t, s, Alerts, "a1", "a2", "a3", "a4", "a5")
	fill(t, s, Aggregates, "g1") // no room: dropped, and counted
	if got := s.Dropped(); got != 1 {
		t.Errorf("%d were dropped, want 1", got)
	}
	if got := drain(s); got != "a1 a2 a3 a4 a5" {
		t.Errorf("what is left: %s", got)
	}
}

func TestWhatWasNotAcknowledgedIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder, 1<<20)
	fill(t, s, Alerts, "a1", "a2")
	fill(t, s, Aggregates, "g1")
	id, _, _ := s.Next()
	s.Done(id)
	if err := os.WriteFile(filepath.Join(folder, ".tmp-123"), []byte("cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder, 1<<20)
	fill(t, s, Alerts, "a3")
	if got := drain(s); got != "a2 a3 g1" {
		t.Errorf("what is left: %s", got)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 0 {
		t.Errorf("files are left: %v", entries)
	}
}

func TestAFullDiskCostsAggregatesFirstAndGivesAlertsBack(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 1<<20)
	fill(t, s, Aggregates, "g1", "g2")
	room := 0
	s.write = func(name string, data []byte, mode os.FileMode) error {
		if segments, _ := s.count(); segments > room {
			return fmt.Errorf("write: %w", unix.ENOSPC)
		}
		return os.WriteFile(name, data, mode)
	}
	fill(t, s, Alerts, "a1") // both aggregates make room
	if got := s.Dropped(); got != 2 {
		t.Errorf("%d were dropped, want 2", got)
	}
	if _, err := s.Append(Alerts, []byte("a2")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("with nothing to drop: %v", err)
	}
	if got := drain(s); got != "a1" {
		t.Errorf("what is left: %s", got)
	}
}

// count is Len for a caller that holds the lock.
func (s *Spool) count() (int, int64) { return len(s.segments), s.bytes }

func TestASegmentThatVanishedIsCountedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder, 1<<20)
	fill(t, s, Alerts, "a1", "a2")
	if err := os.Remove(filepath.Join(folder, s.segments[0].name())); err != nil {
		t.Fatal(err)
	}
	if got := drain(s); got != "a2" || s.Dropped() != 1 {
		t.Errorf("what is left: %s", got)
	}
}
