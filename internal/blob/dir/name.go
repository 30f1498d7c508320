package dir

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// objectPath refuses names that could leave the objects folder or meet a temporary file in it
// (those begin with a dot). Names are chosen by us; a bad one is a defect of the caller, which
// [fs.ErrInvalid] says.
func (s *Store) objectPath(op, name string) (string, error) {
	bad := !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00:")
	for element := range strings.SplitSeq(name, "/") {
		bad = bad || strings.HasPrefix(element, ".")
	}
	if bad {
		return "", &fs.PathError{Op: op + " object", Path: name, Err: fs.ErrInvalid}
	}
	return filepath.Join(s.folder, "objects", filepath.FromSlash(name)), nil
}

// uploadPath returns where the upload's bytes are. An identifier that we could not have issued
// has none, which keeps foreign strings out of paths.
func (s *Store) uploadPath(id string) (string, bool) {
	if len(id) != 2*idBytes || strings.Trim(id, "0123456789abcdef") != "" {
		return "", false
	}
	return filepath.Join(s.folder, "uploads", id), true
}
