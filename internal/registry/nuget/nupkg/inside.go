package nupkg

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

const (
	signatureFile = ".signature.p7s"
	maxSignature  = 1 << 20 // bytes
	maxReadme     = 1 << 20
	maxHookText   = 1 << 20
	maxHooks      = 200
)

// Inside is what one reading of a package found.
type Inside struct {
	Inventory *evidence.Inventory
	Nuspec    *Nuspec
	Raw       []byte // the nuspec as it is
	Signature []byte // nil: none
	Readme    []byte
	Symbols   bool // a program database (.pdb) is inside

	paths map[string]bool // of all files as clients unpack them, lower case
	names []string        // of the files, as the archive has them
	texts map[string]string
	docs  map[string][]byte // candidates for the readme, in the order of the archive
}

// ReadInside reads a .nupkg or a .snupkg of size bytes.
func ReadInside(r io.ReaderAt, size int64, limits safearchive.Limits) (*Inside, error) {
	in := &Inside{paths: map[string]bool{}, texts: map[string]string{}, docs: map[string][]byte{}}
	var err error
	in.Inventory, err = registry.IndexZip(r, size, limits, in.see)
	if err != nil {
		return nil, err
	}
	if in.Nuspec == nil {
		return nil, PackageInvalid("the package has no nuspec in its root; pack it with nuget pack or dotnet pack")
	}
	if in.Nuspec.Readme != "" {
		in.Readme = in.docs[unpacked(in.Nuspec.Readme)]
	}
	in.Inventory.Hooks = in.hooks()
	for _, g := range in.Nuspec.Groups {
		for _, d := range g.Dependencies {
			dep := evidence.Dependency{Name: strings.ToLower(d.ID), Range: d.Range}
			if !slices.Contains(in.Inventory.Signals.Dependencies, dep) {
				in.Inventory.Signals.Dependencies = append(in.Inventory.Signals.Dependencies, dep)
			}
		}
	}
	return in, nil
}

// PackageInvalid is the refusal of a package, with code package-invalid.
func PackageInvalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "package-invalid", format, args...)
}

// unpacked is where clients put an entry: they decode its name, and most of them do not tell letter
// case apart. Source: NuGet.Client, PackageArchiveReader and ZipArchiveHelper.UnescapePath.
func unpacked(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
}

// see looks at one member. A name that means something else once it is decoded is refused where it
// would leave the folder or take another file's place.
func (in *Inside) see(e safearchive.Entry, content io.Reader) error {
	to := unpacked(e.Path)
	if path.Clean("/"+to) != "/"+strings.TrimSuffix(to, "/") || strings.ContainsRune(to, 0) {
		return PackageInvalid("the entry %q would be unpacked somewhere else than its name says; rename it", fault.Clip(e.Path))
	}
	if e.Kind != safearchive.File {
		return nil
	}
	if in.paths[to] {
		return PackageInvalid("the package has two files that are unpacked as %q; remove one", fault.Clip(to))
	}
	in.paths[to] = true
	in.names = append(in.names, e.Path)
	in.Symbols = in.Symbols || path.Ext(to) == ".pdb"
	switch {
	case !strings.Contains(to, "/") && path.Ext(to) == ".nuspec":
		return in.seeNuspec(content)
	case to == signatureFile:
		return in.seeSignature(e, content)
	case isHook(to):
		return in.keep(content, maxHookText, func(b []byte) { in.texts[e.Path] = string(b) })
	case path.Ext(to) == ".md" && len(in.docs) < MaxPart:
		return in.keep(content, maxReadme, func(b []byte) { in.docs[to] = b })
	}
	return nil
}

// keep reads up to limit bytes; of what is longer nothing is kept.
func (in *Inside) keep(content io.Reader, limit int64, take func([]byte)) error {
	data, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err == nil && int64(len(data)) <= limit {
		take(data)
	}
	return err
}

func (in *Inside) seeNuspec(content io.Reader) error {
	if in.Nuspec != nil {
		return PackageInvalid("the package has more than one nuspec in its root, so that two tools could read two descriptions; remove one")
	}
	var raw strings.Builder
	n, err := parseNuspec(io.TeeReader(content, &raw))
	in.Nuspec, in.Raw = n, []byte(raw.String())
	return err
}

// seeSignature reads the signature, whose name clients compare exactly.
func (in *Inside) seeSignature(e safearchive.Entry, content io.Reader) error {
	if e.Path != signatureFile || e.Size > maxSignature {
		return signatureInvalid("the package's %s is not a file of at most %d KiB in its root", signatureFile, maxSignature>>10)
	}
	return in.keep(content, maxSignature, func(b []byte) { in.Signature = b })
}

// isHook reports whether clients, or the builds of those who use the package, run the file: PowerShell
// scripts of Visual Studio, and what MSBuild imports.
// Source: NuGet docs, "Creating NuGet packages", "MSBuild .props and .targets in a package".
func isHook(to string) bool {
	folder, _, _ := strings.Cut(to, "/")
	switch path.Ext(to) {
	case ".ps1":
		base := path.Base(to)
		return folder == "tools" && (base == "init.ps1" || base == "install.ps1" || base == "uninstall.ps1")
	case ".props", ".targets":
		return strings.HasPrefix(folder, "build")
	}
	return false
}

// hooks are the files that run, each with those files of the package that its text names.
func (in *Inside) hooks() []evidence.InstallHook {
	var out []evidence.InstallHook
	for _, name := range in.names {
		to := unpacked(name)
		if !isHook(to) || len(out) == maxHooks {
			continue
		}
		how := "NuGet runs %s in Visual Studio"
		if path.Ext(to) != ".ps1" {
			how = "MSBuild imports %s into builds"
		}
		out = append(out, evidence.InstallHook{Name: to, Command: fmt.Sprintf(how, to), Files: in.named(name)})
	}
	return out
}

// named returns the hook and the files whose base name its text has: a task's library, a script. One too
// many costs somebody a look, one too few would hide what runs.
func (in *Inside) named(hook string) []string {
	text, files := strings.ToLower(in.texts[hook]), []string{hook}
	for _, name := range in.names {
		if base := path.Base(unpacked(name)); name != hook && len(files) < maxHooks && strings.Contains(text, base) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files
}
