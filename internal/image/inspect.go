package image

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// workers is how many layers Inspect reads at a time; each may take Reader.Memory.
const workers = 2

// SourceKind is what Inspect found at a path.
type SourceKind string

// The kinds of sources.
const (
	DockerArchive SourceKind = "docker-archive" // what docker save writes
	OCILayout     SourceKind = "oci-layout"     // a folder with index.json and blobs/
	OCIArchive    SourceKind = "oci-archive"    // the same as a tar
	Tarball       SourceKind = "tarball"        // any other tar: a package, a root file system
	Folder        SourceKind = "folder"         // a root file system or a project
)

// Report is what an archive or a folder holds.
type Report struct {
	Kind SourceKind `json:"kind"`
	// Names are the tags that the archive gives the image.
	Names    []string      `json:"names,omitempty"`
	Manifest digest.Digest `json:"manifest,omitempty"`
	Config   digest.Digest `json:"config,omitempty"`
	Platform string        `json:"platform,omitempty"`
	// Others are the further images of the source, which were not read.
	Others []string `json:"others,omitempty"`
	// Layers has one element for a tarball or a folder.
	Layers []LayerReport `json:"layers"`
	*Image
}

// LayerReport sums up one layer.
type LayerReport struct {
	evidence.ImageLayer
	Entries    int64  `json:"entries"`
	Bytes      int64  `json:"bytes"` // of its files
	Components int    `json:"components"`
	Files      int    `json:"files"` // in the index
	Incomplete string `json:"incomplete,omitempty"`
	// Inventory is the whole listing.
	Inventory *evidence.Inventory `json:"-"`
}

// Inspect reads the image, package tarball or folder at path. The digests of a local image's
// layers are taken from its configuration, not computed; manifest and configuration are checked
// against the digests that name them. It fails with code source-unknown when there is nothing that
// it can read, image-config-malformed or image-digest-mismatch.
func Inspect(ctx context.Context, path string) (*Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "source-unknown", "there is no file or folder %s; name an image archive, a tarball or a folder", path).Because(err)
	}
	if info.IsDir() {
		return inspectFolder(ctx, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.NotFound, "source-unknown", "%s cannot be opened; check its permissions", path).Because(err)
	}
	defer f.Close()
	return inspectFile(ctx, f)
}

func inspectFile(ctx context.Context, f *os.File) (*Report, error) {
	a, err := openArchive(ctx, f)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	manifest, err := a.dockerManifest()
	switch {
	case err != nil:
		return nil, err
	case manifest != nil:
		return inspectDocker(a, manifest)
	case a.has("oci-layout") && a.has("index.json"):
		return inspectOCI(OCIArchive, a)
	}
	inv, err := Reader{Release: true}.Read(a.all())
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	if inv.Entries == 0 {
		return nil, fault.New(fault.Unsupported, "source-unknown",
			"%s is not an archive that is read here; expected an image archive or a tarball (gzip, zstd or plain)", f.Name())
	}
	return single(Tarball, inv), nil
}

// single reports one inventory as if it were an image's only layer.
func single(kind SourceKind, inv *evidence.Inventory) *Report {
	r := &Report{Kind: kind}
	r.squash([]Layer{{Inventory: inv}}, []evidence.ImageLayer{{DiffID: inv.DiffID}})
	if r.Family == Scratch || r.Family == Unknown && r.OS == nil && len(r.Components) == 0 {
		r.Family = "" // a package is no image
	}
	return r
}

func (r *Report) squash(layers []Layer, names []evidence.ImageLayer) {
	for i, l := range layers {
		inv, components := l.Inventory, 0
		for range inv.AllComponents {
			components++
		}
		r.Layers = append(r.Layers, LayerReport{
			ImageLayer: names[i], Entries: inv.Entries, Bytes: inv.Bytes, Components: components,
			Files: len(inv.Files), Incomplete: inv.Incomplete, Inventory: inv,
		})
	}
	r.Image = Squash(layers)
}

// readLayers reads the layers of an image, some at a time, from where open finds them.
func (r *Report) readLayers(config *Config, names []evidence.ImageLayer, open func(i int) (io.ReadCloser, error)) error {
	layers := make([]Layer, len(names))
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range names {
		group.Go(func() error {
			content, err := open(i)
			if err != nil {
				return err
			}
			defer content.Close()
			inv, err := Reader{DiffID: names[i].DiffID}.Read(content)
			if err != nil {
				return fmt.Errorf("layer %d: %w", i, err)
			}
			names[i].DiffID = inv.DiffID
			layers[i] = Layer{Inventory: inv, CreatedBy: names[i].CreatedBy}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	r.Platform = config.Platform()
	r.squash(layers, names)
	return nil
}
