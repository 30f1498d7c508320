package dist

import (
	"bufio"
	"cmp"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// ReadSdist reads a source distribution. Its inventory leaves out the top folder, which is named after the
// version: the same file has the same path in the next one.
func ReadSdist(r io.Reader, name, version string, limits safearchive.Limits) (*Inside, error) {
	buffered := bufio.NewReader(r)
	if magic, err := buffered.Peek(2); err != nil || string(magic) != "\x1f\x8b" {
		return nil, fault.New(fault.Invalid, "sdist-layout", "a source distribution is a tar archive packed by gzip; build it with python -m build --sdist")
	}
	s := &sdistReader{name: name, version: version}
	inv, err := registry.IndexArchive(buffered, limits, s.see)
	if err != nil {
		return nil, err
	}
	if s.metadata == nil {
		return nil, fault.New(fault.Invalid, "sdist-layout", "the source distribution has no PKG-INFO in its top folder; build it with python -m build --sdist")
	}
	m, err := ParseMetadata(s.metadata)
	if err != nil {
		return nil, err
	}
	if err := m.check(name, version); err != nil {
		return nil, err
	}
	s.strip(inv)
	inv.Hooks = s.hooks(inv.Files)
	inv.Signals.Dependencies = m.dependencies()
	return &Inside{Inventory: inv, Metadata: m}, nil
}

// sdistReader looks at the files of a source distribution that say something about it.
// Source: Source distribution format, PEP 517 and 518.
type sdistReader struct {
	name, version string
	folder        string
	metadata      []byte
	project       []byte // pyproject.toml
}

func (s *sdistReader) see(e safearchive.Entry, content io.Reader) (err error) {
	folder, rest, below := strings.Cut(e.Path, "/")
	if s.folder == "" {
		s.folder = folder
		at := strings.LastIndexByte(folder, '-')
		if at <= 0 || Normal(folder[:at]) != s.name {
			return fault.New(fault.Invalid, "sdist-layout", "the top folder %q of the source distribution is not named NAME-VERSION", fault.Clip(folder))
		}
		if !SameVersion(folder[at+1:], s.version) {
			return fault.New(fault.Invalid, "sdist-layout", "the top folder %q of the source distribution is not that of version %s", fault.Clip(folder), s.version)
		}
	}
	if folder != s.folder || !below && e.Kind != safearchive.Dir {
		return fault.New(fault.Invalid, "sdist-layout", "the source distribution has %q beside its top folder %q", fault.Clip(e.Path), fault.Clip(s.folder))
	}
	switch {
	case rest == "PKG-INFO" && e.Kind == safearchive.File:
		s.metadata, err = readAll(content, maxMetadata, rest)
	case rest == "pyproject.toml" && e.Kind == safearchive.File:
		s.project, err = readAll(content, MaxSmall, rest)
	}
	return err
}

func (s *sdistReader) strip(inv *evidence.Inventory) {
	prefix := s.folder + "/"
	for i := range inv.Files {
		inv.Files[i].Path = strings.TrimPrefix(inv.Files[i].Path, prefix)
	}
	for _, marks := range [][]evidence.Mark{inv.Signals.Programs, inv.Signals.Hosts, inv.Signals.Opaque} {
		for i := range marks {
			marks[i].Path = strings.TrimPrefix(marks[i].Path, prefix)
		}
	}
}

// hooks are what an installer runs to make a wheel of it: the build backend, and setup.py, which the
// backend that is taken for granted runs.
func (s *sdistReader) hooks(files []evidence.File) []evidence.InstallHook {
	has := func(p string) bool {
		return slices.ContainsFunc(files, func(f evidence.File) bool { return f.Path == p })
	}
	var project struct {
		System buildSystem `toml:"build-system"`
	}
	toml.Unmarshal(s.project, &project) // installers take the default for what they cannot read, too
	system := project.System
	command := "build with " + cmp.Or(system.Backend, "setuptools")
	if len(system.Requires) > 0 {
		command += " of " + strings.Join(system.Requires, ", ")
	}
	hook := evidence.InstallHook{Name: "build-backend", Command: command}
	if s.project != nil {
		hook.Files = append(hook.Files, "pyproject.toml")
	}
	module, _, _ := strings.Cut(system.Backend, ":")
	for _, root := range system.Path {
		for _, end := range []string{".py", "/__init__.py"} {
			if p := path.Join(root, strings.ReplaceAll(module, ".", "/")+end); has(p) {
				hook.Files = append(hook.Files, p)
			}
		}
	}
	hooks := []evidence.InstallHook{hook}
	if has("setup.py") {
		hooks = append(hooks, evidence.InstallHook{Name: "setup.py", Command: "python setup.py", Files: []string{"setup.py"}})
	}
	return hooks
}

// buildSystem is how a project says what builds it. Source: pyproject.toml specification, "build-system".
type buildSystem struct {
	Requires []string `toml:"requires"`
	Backend  string   `toml:"build-backend"`
	Path     []string `toml:"backend-path"`
}
