package image

import (
	"bytes"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// Rough sizes in bytes of what an inventory holds, besides its strings; they are charged against
// Reader.Memory.
const (
	fileCost      = 240 // a map and a slice entry, and the digest's text
	componentCost = 240 // two slice entries and perhaps a map entry
	packageCost   = 320 // while its database is being parsed
)

// reasonsKept is how many reasons an incomplete inventory lists; an archive can give a million.
const reasonsKept = 3

// collector makes an inventory of the entries that it is shown. Of a path that occurs twice, the
// last one counts, as it does when the layer is unpacked.
type collector struct {
	release bool
	top     bool // manifests in the top folder count
	memory  int  // bytes left
	buf     []byte
	hash    hash.Hash
	inv     *evidence.Inventory

	files     map[string]evidence.File
	hardlinks map[string]string // path → target
	declared  map[string][]evidence.Component
	databases map[string][]evidence.Component
	releases  map[string]*evidence.OSRelease

	reasons []string
	more    int // reasons not kept
}

func newCollector(rd Reader) *collector {
	c := &collector{
		release: rd.Release, top: rd.Release, memory: rd.Memory, buf: make([]byte, blockSize), hash: digest.NewHash(digest.SHA256),
		inv:       &evidence.Inventory{Analyser: Analyser},
		files:     map[string]evidence.File{},
		hardlinks: map[string]string{},
		declared:  map[string][]evidence.Component{},
		databases: map[string][]evidence.Component{},
		releases:  map[string]*evidence.OSRelease{},
	}
	if c.memory == 0 {
		c.memory = defaultMemory
	}
	return c
}

// visit implements safearchive.Visit.
func (c *collector) visit(e safearchive.Entry, content io.Reader) error {
	c.inv.Entries++
	c.inv.Bytes += e.Size
	c.forget(e.Path)
	if c.whiteout(e.Path) {
		return nil
	}
	switch e.Kind {
	case safearchive.File:
		return c.file(e, content)
	case safearchive.Hardlink:
		c.hardlink(e)
	}
	return nil
}

// skip is told of an entry that was left out.
func (c *collector) skip(f *fault.Error) { c.inv.Entries++; c.note(f) }

// forget drops what an earlier entry of the same path declared.
func (c *collector) forget(p string) {
	delete(c.files, p)
	delete(c.hardlinks, p)
	delete(c.declared, p)
	delete(c.databases, p)
	delete(c.releases, p)
}

// note records why the inventory is incomplete. A nil err is no reason.
func (c *collector) note(err error) {
	if err == nil {
		return
	}
	reason := fault.As(err).Text
	switch {
	case slices.Contains(c.reasons, reason):
	case len(c.reasons) < reasonsKept:
		c.reasons = append(c.reasons, reason)
	default:
		c.more++
	}
}

// charge reports whether there is memory for n more bytes of inventory.
func (c *collector) charge(n int) bool {
	if n > c.memory {
		c.full()
		return false
	}
	c.memory -= n
	return true
}

func (c *collector) full() {
	c.note(fault.New(fault.TooLarge, "layer-index-full",
		"the layer holds more files and packages than are indexed of one; those after the limit are left out"))
}

func (c *collector) file(e safearchive.Entry, content io.Reader) error {
	kind := classify(e.Path)
	if c.top && kind == plain {
		kind = classifyTop(e.Path)
	}
	if parse := parsers[kind]; parse != nil {
		return c.metadata(parse, e, content)
	}
	switch {
	case e.Size == 0 && !c.release:
		return nil
	case c.release, kind == source, kind == library, e.Mode&0o111 != 0:
		return c.index(kind, e, content)
	}
	return nil
}

// index hashes a file, unless its first bytes say that it is not code.
func (c *collector) index(kind kind, e safearchive.Entry, content io.Reader) error {
	n, err := io.ReadFull(content, c.buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head := c.buf[:n]
	elf := isELF(head)
	if !c.release && kind != source && !elf && !(kind != library && isScript(head)) {
		return nil
	}
	var info *buildInfoScanner
	if elf {
		info = newBuildInfoScanner(head)
	}
	c.hash.Reset()
	if err := c.digest(head, content, info); err != nil {
		return err
	}
	c.keep(e)
	if elf {
		c.declare(e.Path, info.components(e.Path))
	}
	return nil
}

// digest adds head and the rest of content to the hash, and shows both to info when there is one.
func (c *collector) digest(head []byte, content io.Reader, info *buildInfoScanner) error {
	for block := head; ; {
		c.hash.Write(block)
		if info != nil {
			info.write(block)
		}
		n, err := content.Read(c.buf)
		block = c.buf[:n]
		if n == 0 && err == io.EOF {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
}

// keep puts the file into the index under the hash's sum.
func (c *collector) keep(e safearchive.Entry) {
	if c.charge(fileCost + len(e.Path)) {
		c.files[e.Path] = evidence.File{Path: e.Path, Size: e.Size, Mode: keptMode(e.Mode), SHA256: digest.Sum(digest.SHA256, c.hash)}
	}
}

func isELF(head []byte) bool    { return bytes.HasPrefix(head, []byte("\x7fELF")) }
func isScript(head []byte) bool { return bytes.HasPrefix(head, []byte("#!")) }

// keptMode leaves the bits that say who may run a file and as whom.
func keptMode(m fs.FileMode) fs.FileMode {
	return m & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

func (c *collector) declare(p string, components []evidence.Component) {
	for _, comp := range components {
		if !c.charge(componentCost + len(p) + len(comp.PURL) + len(comp.Source)) {
			return
		}
		c.declared[p] = append(c.declared[p], comp)
	}
}

func (c *collector) hardlink(e safearchive.Entry) {
	if c.charge(fileCost + len(e.Path) + len(e.Target)) {
		c.hardlinks[e.Path] = e.Target
	}
}

// The names by which a layer deletes what lower ones have. Source: OCI image-spec 1.1, layer.md,
// "Whiteouts".
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// whiteout records a deletion. Names that begin with ".wh..wh." belong to the storage driver and
// never become files, so only the opaque marker among them means something.
func (c *collector) whiteout(p string) bool {
	dir, base := path.Split(p)
	deleted, ok := strings.CutPrefix(base, whiteoutPrefix)
	if !ok {
		return false
	}
	dir = path.Clean(dir)
	if !c.charge(componentCost + len(p)) {
		return true
	}
	switch {
	case base == opaqueName:
		c.inv.Opaque = append(c.inv.Opaque, dir)
	case deleted == "" || deleted == "." || deleted == ".." || strings.HasPrefix(deleted, whiteoutPrefix):
		c.note(fault.New(fault.Invalid, "layer-whiteout-unknown", "the layer holds a deletion marker %.80q that deletes nothing", base))
	default:
		c.inv.Whiteouts = append(c.inv.Whiteouts, path.Join(dir, deleted))
	}
	return true
}

// finish resolves hard links and puts everything in order, so that equal layers have equal inventories.
func (c *collector) finish() *evidence.Inventory {
	for link, target := range c.hardlinks {
		if f, ok := c.files[target]; ok {
			f.Path = link
			c.files[link] = f
		}
	}
	inv := c.inv
	inv.Files = make([]evidence.File, 0, len(c.files))
	for _, p := range sortedKeys(c.files) {
		inv.Files = append(inv.Files, c.files[p])
	}
	for _, p := range sortedKeys(c.declared) {
		inv.Components = append(inv.Components, c.declared[p]...)
	}
	for _, p := range sortedKeys(c.databases) {
		inv.Databases = append(inv.Databases, evidence.Database{Path: p, Components: c.databases[p]})
	}
	for _, p := range sortedKeys(c.releases) { // etc/ before usr/lib/, as os-release(5) wants
		if inv.OS == nil {
			inv.OS = c.releases[p]
		}
	}
	inv.Whiteouts, inv.Opaque = unique(inv.Whiteouts), unique(inv.Opaque)
	inv.Incomplete = c.incomplete()
	return inv
}

func (c *collector) incomplete() string {
	reason := strings.Join(c.reasons, "; ")
	if c.more > 0 {
		reason += "; and more of that kind"
	}
	return reason
}
