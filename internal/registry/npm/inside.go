package npm

import (
	"encoding/json"
	"io"
	"path"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// inside is what one reading of a tarball found.
type inside struct {
	inventory *evidence.Inventory
	manifest  object // package.json
	folder    string // the top folder, which clients cut off; "package" as a rule
	unpacked  int64  // bytes of the files
	// What makes npm's client add to a manifest, found in the top folder.
	gyp, serverJS, shrinkwrap bool
	// files are the paths of all files without the top folder.
	files []string
	// bundledHooks are the install scripts of the packages that are bundled.
	bundledHooks []evidence.InstallHook
	moreBundled  digest.Digest // see bundledHook
}

// readTarball reads the received tarball, before it has a name in the blob store.
func (p *publication) readTarball() (in *inside, err error) {
	err = p.tarball.Look(func(content blob.Reader) (err error) {
		in, err = readInside(content, p.r.limits)
		return err
	})
	return in, err
}

func readInside(r io.Reader, limits Limits) (*inside, error) {
	in := &inside{}
	var err error
	in.inventory, err = registry.IndexArchive(r, limits.Archive, func(e safearchive.Entry, content io.Reader) error {
		return in.see(e, content, limits.Manifest)
	})
	if err != nil {
		return nil, err
	}
	if in.manifest == nil {
		return nil, fault.New(fault.Invalid, "tarball-layout", "the tarball has no package.json in its top folder; pack it with npm pack")
	}
	return in, nil
}

// see looks at one member. Clients cut off the first path element, whatever it is, so everything
// must lie in one folder: of package/x and other/x the second would win unseen.
func (in *inside) see(e safearchive.Entry, content io.Reader, limit int) error {
	folder, rest, below := strings.Cut(e.Path, "/")
	if in.folder == "" {
		in.folder = folder
	}
	if folder != in.folder || !below && e.Kind != safearchive.Dir {
		return fault.New(fault.Invalid, "tarball-layout",
			"the tarball has %q beside the folder %q; everything must lie in one top folder, as npm pack makes it", fault.Clip(e.Path), fault.Clip(in.folder))
	}
	if strings.EqualFold(rest, "package.json") && e.Kind != safearchive.File {
		return fault.New(fault.Invalid, "tarball-layout", "the tarball's package.json is not a plain file; pack it with npm pack")
	}
	if e.Kind != safearchive.File {
		return nil
	}
	in.unpacked += e.Size
	in.files = append(in.files, rest)
	in.note(rest)
	if err := in.seeBundled(rest, content); err != nil {
		return err
	}
	if !strings.EqualFold(rest, "package.json") {
		return nil
	}
	return in.readManifest(rest, content, limit)
}

// note remembers the files that matter to npm's client. Source: @npmcli/package-json, normalize.js,
// "gypfile" and "serverjs"; pacote, "_hasShrinkwrap".
func (in *inside) note(file string) {
	switch {
	case strings.Contains(file, "/"):
	case path.Ext(file) == ".gyp":
		in.gyp = true
	case file == "server.js":
		in.serverJS = true
	case file == "npm-shrinkwrap.json":
		in.shrinkwrap = true
	}
}

// readManifest decodes package.json. A file of that name in other letter case would take its place
// on a file system that does not tell them apart.
func (in *inside) readManifest(file string, content io.Reader, limit int) error {
	if file != "package.json" {
		return fault.New(fault.Invalid, "tarball-layout", "the tarball has a file %q, which some systems take for package.json; remove it", file)
	}
	data, err := io.ReadAll(io.LimitReader(content, int64(limit)+1))
	if err != nil {
		return err
	}
	if len(data) > limit {
		return manifestTooLarge(limit)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if err := json.Unmarshal([]byte(text), &in.manifest); err != nil || in.manifest == nil {
		return fault.New(fault.Invalid, "tarball-layout", "the package.json in the tarball is not a JSON object; correct it").Because(err)
	}
	return nil
}

func manifestTooLarge(limit int) error {
	return fault.New(fault.TooLarge, "package-json-too-large", "the package.json is larger than the %d KiB that are kept; shorten it", limit>>10)
}
