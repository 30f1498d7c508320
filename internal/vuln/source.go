package vuln

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Limits bound what advisories may cost.
type Limits struct {
	Record  int64 // bytes of one advisory
	Records int   // how many there may be
	Archive safearchive.Limits
}

// DefaultLimits returns the limits of a server that nobody configured: 8 MiB an advisory, a million of them, and archives
// of 2 GiB that unpack to 16 GiB: osv.dev's of all ecosystems have a tenth of it.
func DefaultLimits() Limits {
	return Limits{Record: 8 << 20, Records: 1_000_000, Archive: safearchive.Limits{
		Entries: 2_000_000, PathLength: 1024, Depth: 32, Packed: 2 << 30, Unpacked: 16 << 30, Ratio: 1000, Window: 8 << 20,
	}}
}

// Source is the advisories in some files, as they are now. It implements the registry's Vulnerabilities and is safe for
// concurrent use.
type Source struct {
	paths  []string
	limits Limits
	log    *slog.Logger

	db   atomic.Pointer[Database]
	seen string // what the files looked like when they were read; of whoever refreshes
}

// Open reads the advisories in paths: files with one advisory each (.json), archives of such (.zip, as osv.dev has them),
// and folders with both. An advisory that cannot be read is logged and left out; a path that cannot be read is an
// Invalid fault with code advisories-unreadable.
func Open(paths []string, limits Limits, log *slog.Logger) (*Source, error) {
	s := &Source{paths: paths, limits: limits, log: log}
	s.seen, _ = s.look()
	return s, s.read()
}

// About, Names, Fixes and Mark implement the registry's Vulnerabilities.
func (s *Source) About(ecosystem, name, version string) []evidence.Vulnerability {
	return s.db.Load().About(ecosystem, name, version)
}
func (s *Source) Names(ecosystem string) []string { return s.db.Load().Names(ecosystem) }
func (s *Source) Fixes(ecosystem, name, version string) string {
	return s.db.Load().Fixes(ecosystem, name, version)
}
func (s *Source) Mark(ecosystem, name string) string { return s.db.Load().Mark(ecosystem, name) }

// Refresh reads the advisories again when the files have changed since. What was read last stays while they cannot be
// read. One caller at a time may use it.
func (s *Source) Refresh(context.Context) {
	now, err := s.look()
	if err == nil && now == s.seen {
		return
	}
	if err == nil {
		err = s.read()
	}
	if err != nil {
		s.log.Warn("the advisories cannot be read; what was read last stays", "error", err)
		return
	}
	s.seen = now
}

// look returns a word that changes with the files.
func (s *Source) look() (string, error) {
	sum := sha256.New()
	err := s.each(func(path string, info fs.FileInfo) error {
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return string(sum.Sum(nil)), err
}

// each calls visit with every file of the paths, in the order of their names.
func (s *Source) each(visit func(path string, info fs.FileInfo) error) error {
	for _, root := range s.paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err == nil && !entry.IsDir() && (path == root || ext == ".json" || ext == ".zip") {
				var info fs.FileInfo
				if info, err = os.Stat(path); err == nil {
					err = visit(path, info)
				}
			}
			if err != nil {
				err = unreadable(path, err)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unreadable says which path it is; what is a refusal of its own already stays one.
func unreadable(path string, cause error) error {
	if fault.As(cause).Code == "advisories-unreadable" {
		return cause
	}
	return fault.New(fault.Invalid, "advisories-unreadable",
		"the advisories in %s cannot be read; name a folder, a .json file or a .zip archive of advisories in the OSV format", path).Because(cause)
}

// read reads everything and puts it in the place of what was read before.
func (s *Source) read() error {
	began := time.Now()
	b := newBuilder()
	bad, total := 0, 0
	// What is longer than an advisory may be comes without its bytes, and is left out like what is none.
	take := func(place string, raw []byte) error {
		if total++; total > s.limits.Records {
			return fault.New(fault.TooLarge, "advisories-unreadable", "there are more than %d advisories; name fewer files", s.limits.Records)
		}
		if err := b.add(raw); err != nil {
			if bad++; bad <= 10 {
				s.log.Warn("an advisory is left out", "file", place, "error", err)
			}
		}
		return nil
	}
	err := s.each(func(path string, info fs.FileInfo) error {
		if filepath.Ext(path) == ".zip" {
			return s.unpack(path, info.Size(), take)
		}
		if info.Size() > s.limits.Record {
			return take(path, nil)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return take(path, raw)
	})
	if err != nil {
		return err
	}
	db := b.database()
	s.db.Store(db)
	s.log.Info("advisories were read", "advisories", db.records, "names", len(db.about), "left out", bad, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// unpack reads the advisories in an archive, in the order in which they are in it.
func (s *Source) unpack(path string, size int64, take func(place string, raw []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return safearchive.WalkZip(f, size, s.limits.Archive, func(e safearchive.Entry, content io.Reader) error {
		if !strings.HasSuffix(e.Path, ".json") {
			return nil
		}
		raw, err := io.ReadAll(io.LimitReader(content, s.limits.Record+1))
		if err != nil {
			return err
		}
		if int64(len(raw)) > s.limits.Record {
			raw = nil
		}
		return take(path+"/"+e.Path, raw)
	})
}
