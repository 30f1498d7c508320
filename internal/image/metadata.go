package image

import (
	"bufio"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// maxMetadata is the most of one package database or manifest that is read, in bytes.
const maxMetadata = 64 << 20

// maxField is the longest name or version that is believed, in bytes.
const maxField = 512

// parser adds what the file p says to c. It reads as much of r as it needs and treats what it does
// not understand as absent; its error is one of r.
type parser func(c *collector, p string, r io.Reader) error

// parsers are the files that declare something, by kind.
var parsers = [...]parser{
	osRelease:      (*collector).osRelease,
	dpkgStatus:     (*collector).dpkgStatus,
	dpkgStatusD:    (*collector).dpkgStatusD,
	apkInstalled:   (*collector).apkInstalled,
	chiselManifest: (*collector).chiselManifest,
	packageJSON:    (*collector).packageJSON,
	pythonMetadata: (*collector).pythonMetadata,
	rpmDatabase:    (*collector).rpmDatabase,
}

// metadata parses a file and, for a release, indexes it as well.
func (c *collector) metadata(parse parser, e safearchive.Entry, content io.Reader) error {
	if e.Size > maxMetadata {
		c.note(fault.New(fault.TooLarge, "layer-metadata-too-large", "the package database %.120q is larger than is read", e.Path))
		return nil
	}
	if !c.release {
		return parse(c, e.Path, content)
	}
	c.hash.Reset()
	if err := parse(c, e.Path, io.TeeReader(content, c.hash)); err != nil {
		return err
	}
	if err := c.digest(nil, content, nil); err != nil {
		return err
	}
	c.keep(e)
	return nil
}

// database records a whole package database, also an empty one: it replaces that of lower layers.
func (c *collector) database(p string, components []evidence.Component) {
	kept := make([]evidence.Component, 0, len(components))
	for _, comp := range components {
		if !c.charge(componentCost + len(comp.PURL) + len(comp.Source)) {
			break
		}
		kept = append(kept, comp)
	}
	c.databases[p] = kept
}

// rpmDatabase only notes that there is one. Its formats are binary and not read yet.
func (c *collector) rpmDatabase(p string, _ io.Reader) error {
	c.note(fault.New(fault.Unsupported, "layer-rpm-unread", "the packages in the RPM database %s are not read by this version", p))
	c.database(p, nil)
	return nil
}

// eachLine calls fn for each line of r without its end; of a line longer than the buffer, only the
// beginning. It stops when fn returns false.
func eachLine(r io.Reader, fn func(line []byte) bool) error {
	b := bufio.NewReaderSize(r, 16<<10)
	for {
		line, err := b.ReadSlice('\n')
		more := fn(trimEnd(line))
		for err == bufio.ErrBufferFull {
			_, err = b.ReadSlice('\n')
		}
		if err == io.EOF || !more {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// believable reports whether s can be a package's name or version: printable, one word, bounded.
func believable(s string) bool {
	return s != "" && len(s) <= maxField && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}

// isSystemName reports whether s can name a package of dpkg, apk or Python, none of which has
// folders in names. Source: Debian policy 5.6.1; packaging.python.org, "Name normalization".
func isSystemName(s string) bool {
	return believable(s) && strings.Trim(s, ".") != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("+._-", r))
	})
}
