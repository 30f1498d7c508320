package safearchive

import (
	"archive/tar"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// strictness is what Walk remembers to refuse a member that is harmless alone.
type strictness struct {
	files map[string]struct{} // every path that is not a folder
	links map[string]struct{} // the symlinks among them
}

// check returns why a package must not hold the member, or nil.
func (s *strictness) check(h *tar.Header, e Entry) *fault.Error {
	if e.Kind == Special {
		return specialFile(h.Name)
	}
	if !portable(h.Name) || s.throughLink(e.Path) {
		return pathEscape(h.Name)
	}
	if hasTwoReadings(h, e) {
		return ambiguous(h.Name)
	}
	if e.Kind == Dir {
		return nil
	}
	if _, again := s.files[e.Path]; again {
		return duplicate(h.Name)
	}
	s.files[e.Path] = struct{}{}
	return s.checkLink(h, e)
}

// hasTwoReadings looks at what only shows when the metadata before a member has been read; frame has
// looked at the rest. A line break in a record's value begins a record of its own to some readers, an
// empty value takes a name away, and a size moves the next header.
func hasTwoReadings(h *tar.Header, e Entry) bool {
	isLink := e.Kind == Symlink || e.Kind == Hardlink
	if isSparse(h) || !isLink && h.Linkname != "" || e.Kind != Dir && (e.Path == "." || strings.HasSuffix(h.Name, "/")) {
		return true
	}
	for key, value := range h.PAXRecords {
		if value == "" || strings.Contains(key+value, "\n") || key == "size" {
			return true
		}
	}
	return false
}

func (s *strictness) checkLink(h *tar.Header, e Entry) *fault.Error {
	switch e.Kind {
	case Symlink:
		s.links[e.Path] = struct{}{}
		if !staysInside(e.Path, e.Target) {
			return linkEscape(h.Name, h.Linkname)
		}
	case Hardlink:
		if !portable(h.Linkname) || s.throughLink(e.Target) {
			return linkEscape(h.Name, h.Linkname)
		}
	}
	return nil
}

// throughLink reports whether p leads through a symlink of the archive, so that where it ends
// depends on the tool that unpacks.
func (s *strictness) throughLink(p string) bool {
	if len(s.links) == 0 {
		return false
	}
	for i := strings.IndexByte(p, '/'); i >= 0; {
		if _, ok := s.links[p[:i]]; ok {
			return true
		}
		next := strings.IndexByte(p[i+1:], '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return false
}
