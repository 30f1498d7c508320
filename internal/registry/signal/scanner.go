// Package signal notices things in the bytes of a release while they pass by: programs, hosts, and files
// that look as if they were not to be read. It finds them by simple means and says which: a heuristic
// is a reason for a person to look, and no proof of anything.
//
// What it refuses: to read anything twice, to keep more of a file than a window, to decode what is
// encoded, and to judge. What is news is for the publish gate to say, by comparing two versions.
package signal

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

const (
	window  = 64 << 10 // bytes of a file that are looked at together
	overlap = 512      // bytes that two windows share, so that nothing is cut in two
	head    = 4 << 10  // bytes by which a file is known for a text

	maxPrograms = 1000
	maxHosts    = 2000
	maxOpaque   = 1000
	maxPath     = 1000 // bytes of a path that are kept
)

// Scanner looks at one file after the other: Begin, any number of Writes, End. It is not safe for
// concurrent use.
type Scanner struct {
	path    string
	buf     []byte
	fresh   int // from where on buf was not looked at before
	started bool
	text    bool // the file at hand is a text that is worth looking at
	code    bool // and an interpreter may run it
	shape   shape

	programs []evidence.Mark
	opaque   []evidence.Mark
	hosts    map[string]string // by the path of the file that names it first
	more     int
}

// NewScanner returns a scanner that has seen nothing.
func NewScanner() *Scanner {
	return &Scanner{buf: make([]byte, 0, window), hosts: map[string]string{}}
}

// Begin starts a file.
func (s *Scanner) Begin(name string) {
	*s = Scanner{path: name, code: isCode(name), buf: s.buf[:0], programs: s.programs, opaque: s.opaque, hosts: s.hosts, more: s.more}
}

// Write implements io.Writer; it never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.started && !s.text {
			return n, nil
		}
		taken := min(len(p), window-len(s.buf))
		s.buf, p = append(s.buf, p[:taken]...), p[taken:]
		if len(s.buf) == window {
			s.look(false)
		}
	}
	return n, nil
}

// End finishes the file.
func (s *Scanner) End() {
	if !s.started || s.text {
		s.look(true)
	}
	if s.text && s.code {
		for _, what := range s.shape.opaque() {
			s.opaque = s.keep(s.opaque, maxOpaque, what)
		}
	}
}

// Signals returns what was noticed so far.
func (s *Scanner) Signals() *evidence.Signals {
	out := &evidence.Signals{Programs: s.programs, Opaque: s.opaque, More: s.more}
	for _, host := range slices.Sorted(maps.Keys(s.hosts)) {
		out.Hosts = append(out.Hosts, evidence.Mark{Path: s.hosts[host], What: host})
	}
	return out
}

func (s *Scanner) keep(marks []evidence.Mark, limit int, what string) []evidence.Mark {
	if len(marks) >= limit {
		s.more++
		return marks
	}
	return append(marks, evidence.Mark{Path: s.shortPath(), What: what})
}

func (s *Scanner) shortPath() string {
	return strings.ToValidUTF8(s.path[:min(len(s.path), maxPath)], "")
}

// look looks at what has come in, and keeps the end of it for the next time.
func (s *Scanner) look(last bool) {
	if !s.started {
		s.started = true
		if kind := program(s.buf); kind != "" {
			s.programs = s.keep(s.programs, maxPrograms, kind)
		}
		s.text = !isProse(s.path) && bytes.IndexByte(s.buf[:min(len(s.buf), head)], 0) < 0
	}
	if !s.text {
		return
	}
	s.findHosts(last)
	if s.code {
		s.shape.see(s.buf, s.fresh)
	}
	if !last {
		s.fresh = copy(s.buf, s.buf[len(s.buf)-overlap:])
		s.buf = s.buf[:s.fresh]
	}
}

// note remembers a host that the file names.
func (s *Scanner) note(host string) {
	if _, known := s.hosts[host]; known {
		return
	}
	if len(s.hosts) >= maxHosts {
		s.more++
		return
	}
	s.hosts[host] = s.shortPath()
}

// prose is what nothing runs and what names hosts by the dozen: documentation and styles, and the maps
// that repeat a source for debuggers.
var prose = map[string]bool{
	".md": true, ".markdown": true, ".rst": true, ".txt": true, ".adoc": true, ".html": true, ".css": true, ".scss": true, ".less": true,
	".svg": true, ".map": true, ".lock": true, ".pod": true, ".rdoc": true,
}

func isProse(p string) bool {
	base := strings.ToLower(path.Base(p))
	stem, _, _ := strings.Cut(base, ".")
	return prose[path.Ext(base)] || strings.HasSuffix(base, ".d.ts") || slices.Contains([]string{"license", "licence", "copying", "notice", "changelog", "authors"}, stem)
}

// isCode reports whether an interpreter may run the file: by its name, or because it has no ending.
func isCode(p string) bool {
	return evidence.IsSource(p) || path.Ext(p) == "" || slices.Contains([]string{".tsx", ".jsx", ".mts", ".cts", ".ps1", ".bat", ".cmd", ".gyp", ".gradle"}, cmp.Or(path.Ext(p), "."))
}
