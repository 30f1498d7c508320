package evidence

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxInventory bounds a decoded inventory in bytes: the reader's limits keep real ones far below.
const maxInventory = 64 << 20

// Inventory is what one pass over an archive found: a release's files, or a layer's packages,
// files and whiteouts. It knows nothing of other layers; merging is done elsewhere without
// touching bytes again.
type Inventory struct {
	// Analyser is the reader and its version.
	Analyser string `json:"analyser"`
	// DiffID is the digest of the uncompressed archive.
	DiffID digest.Digest `json:"diffID,omitempty"`
	// Incomplete is why the reader stopped early; empty when it saw everything.
	Incomplete string `json:"incomplete,omitempty"`
	// Entries and Bytes count what the archive holds (bytes uncompressed).
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`

	OS *OSRelease `json:"os,omitempty"`
	// Databases are whole package databases found in the archive: each lists everything that is
	// installed at that point, not only what this layer added.
	Databases []Database `json:"databases,omitempty"`
	// Components are packages that a file of their own declares (package.json, dist-info, Go
	// build info).
	Components []Component `json:"components,omitempty"`
	// Files are, for a release, all regular files; for a layer, executables, libraries and source
	// files of interpreted languages.
	Files []File `json:"files,omitempty"`
	// Hooks are what runs on the machine of whoever installs a release.
	Hooks []InstallHook `json:"hooks,omitempty"`
	// Signals are what the reader noticed in a release; nil where nobody looked.
	Signals *Signals `json:"signals,omitempty"`
	// Whiteouts are the paths that the layer deletes; Opaque the folders whose lower content it
	// hides. Source: OCI image-spec 1.1, layer.md, "Whiteouts".
	Whiteouts []string `json:"whiteouts,omitempty"`
	Opaque    []string `json:"opaque,omitempty"`
}

// OSRelease is the part of os-release(5) that identifies a distribution.
type OSRelease struct {
	ID         string `json:"id"`
	VersionID  string `json:"versionID,omitempty"`
	PrettyName string `json:"prettyName,omitempty"`
}

// Database is a package database.
type Database struct {
	Path       string      `json:"path"` // e.g. "var/lib/dpkg/status"
	Components []Component `json:"components"`
}

// Component is a package found in an archive.
type Component struct {
	PURL purl.PURL `json:"purl"`
	// Path is the file that declares it, relative, slash-separated, without leading slash.
	Path string `json:"path"`
	// Source is the source package ("openssl 3.0.20-1"), where a distribution builds several
	// binaries from one.
	Source string `json:"source,omitempty"`
}

// InstallHook is a command that a package manager runs when somebody installs the release.
type InstallHook struct {
	Name    string `json:"name"` // as the ecosystem calls it: "postinstall"
	Command string `json:"command"`
	// Files are the release's own files that the command runs, as far as its text tells; each is
	// among the inventory's Files.
	Files []string `json:"files,omitempty"`
}

// Signals are what a reader noticed in the bytes of a release, for comparison with the version before.
// They are found by simple means and prove nothing.
type Signals struct {
	Programs []Mark `json:"programs,omitempty"` // files that a machine runs: "elf", "pe", "mach-o", "wasm"
	Hosts    []Mark `json:"hosts,omitempty"`    // hosts and addresses that the files name, each where it was first seen
	Opaque   []Mark `json:"opaque,omitempty"`   // files that look as if they were not to be read, with the heuristic
	// Dependencies are what an installer fetches with the release.
	Dependencies []Dependency `json:"dependencies,omitempty"`
	// More is about how many were noticed and not kept.
	More int `json:"more,omitempty"`
}

// Mark is something noticed in a file.
type Mark struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Dependency is a release of the same ecosystem that another one needs.
type Dependency struct {
	Name  string `json:"name"`
	Range string `json:"range,omitempty"` // of versions, as the ecosystem writes it
	// Elsewhere says that it is fetched from an address and not by its name.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// File is a regular file.
type File struct {
	Path   string        `json:"path"` // relative, slash-separated, without leading slash
	Size   int64         `json:"size"` // bytes
	Mode   fs.FileMode   `json:"mode"` // permission, setuid, setgid and sticky bits
	SHA256 digest.Digest `json:"sha256"`
}

// AllComponents yields the file-declared components and those of every database.
func (inv *Inventory) AllComponents(yield func(Component) bool) {
	for _, c := range inv.Components {
		if !yield(c) {
			return
		}
	}
	for _, db := range inv.Databases {
		for _, c := range db.Components {
			if !yield(c) {
				return
			}
		}
	}
}

// Encode writes the inventory as zstd-compressed JSON, the form in which it is stored as a blob.
func (inv *Inventory) Encode(w io.Writer) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return fmt.Errorf("encode inventory: %w", err)
	}
	if err := json.NewEncoder(z).Encode(inv); err != nil {
		z.Close()
		return fmt.Errorf("encode inventory: %w", err)
	}
	return z.Close()
}

// DecodeInventory reads what Encode wrote.
func DecodeInventory(r io.Reader) (*Inventory, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("decode inventory: %w", err)
	}
	defer z.Close()
	inv := new(Inventory)
	if err := json.NewDecoder(io.LimitReader(z, maxInventory)).Decode(inv); err != nil {
		return nil, fault.New(fault.Integrity, "inventory-malformed", "a stored file index cannot be read").Because(err)
	}
	return inv, nil
}

// sources are the extensions of files that an interpreter or virtual machine runs.
var sources = map[string]bool{
	".js": true, ".mjs": true, ".cjs": true, ".ts": true, ".py": true, ".rb": true, ".pl": true,
	".php": true, ".lua": true, ".sh": true, ".jar": true, ".war": true,
}

// IsSource reports whether the file at p is, by its name, run by an interpreter or virtual machine.
// A layer's index holds such files, so that they can be recognised in it.
func IsSource(p string) bool { return sources[path.Ext(p)] }

// IsLibrary reports whether the file at p is, by its name, a shared library: libc.so.6,
// libc-2.31.so, an add-on of Node.
func IsLibrary(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, ".so") || strings.HasSuffix(base, ".node") || strings.Contains(base, ".so.")
}
