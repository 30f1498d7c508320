// Package safearchive reads archives that strangers made, within limits: tar as a stream, zip from a file.
//
// There are two ways to read a tar archive. [Walk] is for a package tarball, which somebody will unpack with
// a tool that we do not control: a member that would leave the folder (absolute path, "..", a
// backslash trick, a link that points out, a device file) or that appears twice is refused, and so
// is the archive. [Survey] is for an image layer, which a container runtime unpacks in a confined
// root and which a registry must take as it is: a hostile member is left out and reported, and
// the reading goes on.
//
// [Decompress] comes before either. It recognises gzip, zstd and plain tar by their first bytes
// and bounds what may come out.
//
// [WalkZip] is Walk for a zip archive, and takes only one that every reader takes apart alike.
//
// The package never writes a file, never follows a link and never holds a member in memory. It
// refuses to read formats other than tar and zip.
package safearchive

import (
	"io/fs"

	"github.com/hullmark/hullmark/internal/fault"
)

// Limits bound what an archive may cost its reader. A zero field means "no limit", except in
// Window, where it means 8 MiB.
type Limits struct {
	// Entries is how many members there may be, folders and links included.
	Entries int
	// PathLength is the longest path in bytes, Depth the most folders in one.
	PathLength int
	Depth      int
	// Packed is how many bytes may be read from the compressed stream.
	Packed int64
	// Unpacked is how many bytes the archive may unfold to: of the tar stream itself, and of the
	// members' declared sizes in sum.
	Unpacked int64
	// Sparse is how many bytes the members stored with holes may declare in sum; a kilobyte can
	// declare a terabyte.
	Sparse int64
	// Ratio is how many bytes may come out per byte that went in, once ratioGrace bytes are out.
	Ratio int64
	// Window is the memory in bytes that a zstd frame may ask for.
	Window uint64
}

// ratioGrace is what may come out of a stream before Limits.Ratio is looked at: honest layers may
// hold a gigabyte of zeroes.
const ratioGrace = 1 << 30

// PackageLimits are the limits of a package release: 100,000 entries, 256 MiB packed, 2 GiB unpacked.
func PackageLimits() Limits {
	return Limits{
		Entries: 100_000, PathLength: 4096, Depth: 128,
		Packed: 256 << 20, Unpacked: 2 << 30, Sparse: 64 << 20, Window: 8 << 20,
	}
}

// LayerLimits are the limits of an image layer: a million entries and 64 GiB unpacked.
func LayerLimits() Limits {
	return Limits{
		Entries: 1_000_000, PathLength: 4096, Depth: 256,
		Unpacked: 64 << 30, Sparse: 1 << 30, Ratio: 256, Window: 16 << 20,
	}
}

// Kind is what sort of member an entry is.
type Kind uint8

// The kinds.
const (
	File Kind = iota
	Dir
	Symlink
	Hardlink
	// Special is a device, a pipe or a member of a type we do not know. Walk refuses it.
	Special
)

// Entry is one member of an archive.
type Entry struct {
	// Path is cleaned, relative and slash-separated; it has no "..". The archive's own root (".")
	// is not reported.
	Path string
	Kind Kind
	// Size is the logical size of a file in bytes, holes included; 0 for the other kinds.
	Size int64
	// Mode has the permission, setuid, setgid and sticky bits.
	Mode fs.FileMode
	// Target is where a link points: for a symlink as written, for a hard link a path like Path.
	Target string
}

// The refusals. They are functions of the member's name, so that a person can find it.

func malformed(cause error) *fault.Error {
	return fault.New(fault.Invalid, "archive-malformed",
		"the archive is damaged or is not a tar archive (gzip, zstd or plain); pack it again").Because(cause)
}

func cutOff() *fault.Error {
	return fault.New(fault.Invalid, "archive-malformed", "the archive was cut off: it ends in the middle of an entry or holds nothing at all; pack it again")
}

func trailing() *fault.Error {
	return fault.New(fault.Invalid, "archive-trailing-data",
		"the archive has data after its end, which some tools would unpack and others not; pack it again")
}

func tooManyEntries(limit int) *fault.Error {
	return fault.New(fault.TooLarge, "archive-too-many-entries",
		"the archive holds more than %d entries; leave out what is not needed to use it", limit)
}

func tooLarge(limit int64) *fault.Error {
	return fault.New(fault.TooLarge, "archive-too-large",
		"the archive is larger than the %d bytes that are read of one; leave out what is not needed to use it", limit)
}

func bomb(ratio int64) *fault.Error {
	return fault.New(fault.TooLarge, "archive-too-large",
		"the archive unfolds to more than %d times its size and is not read further", ratio)
}

func sparseTooLarge(name string, limit int64) *fault.Error {
	return fault.New(fault.TooLarge, "archive-too-large",
		"%s is stored with holes and declares more than the %d bytes that are read of such files", quote(name), limit)
}

func pathEscape(name string) *fault.Error {
	return fault.New(fault.Invalid, "archive-path-escape",
		"the entry %s would be unpacked outside of its folder; pack the archive from relative paths without ..", quote(name))
}

func pathTooLong(name string) *fault.Error {
	return fault.New(fault.Invalid, "archive-path-too-long",
		"the path %s is longer or deeper than is read; shorten it", quote(name))
}

func linkEscape(name, target string) *fault.Error {
	return fault.New(fault.Invalid, "archive-link-escape",
		"the link %s points to %s, outside of the archive; replace it by the file itself", quote(name), quote(target))
}

func specialFile(name string) *fault.Error {
	return fault.New(fault.Invalid, "archive-special-file",
		"%s is neither a file, a folder nor a link; leave it out", quote(name))
}

func duplicate(name string) *fault.Error {
	return fault.New(fault.Invalid, "archive-duplicate-entry",
		"the archive holds %s more than once, so that two tools could see two contents; pack it again", quote(name))
}
