package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
)

// maxStorageFile bounds the lists that podman keeps; thousands of images take some megabytes.
const maxStorageFile = 128 << 20

// Podman reads what podman, buildah and CRI-O keep about containers in a folder (containers/storage with
// the overlay driver). It runs no program and takes no lock: the lists are replaced whole.
//
// Source: containers/storage, container_images, layers.go ("layers.json"), drivers/overlay ("link").
type Podman struct {
	Root string // "/var/lib/containers/storage"
}

type storedContainer struct {
	ID       string   `json:"id"`
	Names    []string `json:"names"`
	Image    string   `json:"image"`
	Layer    string   `json:"layer"`
	Metadata string   `json:"metadata"`
}

type storedImage struct {
	ID     string   `json:"id"`
	Digest string   `json:"digest"`
	Names  []string `json:"names"`
	Layer  string   `json:"layer"`
}

type storedLayer struct {
	ID     string `json:"id"`
	Parent string `json:"parent"`
	Diff   string `json:"diff-digest"`
}

// Name implements Source.
func (Podman) Name() string { return "podman" }

// Find implements Source.
func (p Podman) Find(_ context.Context, ref Ref) (*Container, error) {
	if ref.ID == "" {
		return nil, ErrUnknown
	}
	made, err := storedOne(p, "container", func(c storedContainer) bool { return c.ID == ref.ID })
	if err != nil {
		return nil, err
	}
	c := &Container{ID: made.ID, Cgroup: ref.Cgroup, Merged: filepath.Join(p.Root, "overlay", made.Layer, "merged")}
	if len(made.Names) > 0 {
		c.Name = made.Names[0]
	}
	c.Workload.Kind, c.Workload.Name = "container", c.Name
	c.Reference = metadataName(made.Metadata)
	if made.Image == "" {
		c.Gaps = append(c.Gaps, "the container was made from no image")
		return c, nil
	}
	image, err := storedOne(p, "image", func(i storedImage) bool { return i.ID == made.Image })
	if errors.Is(err, ErrUnknown) {
		c.Gaps = append(c.Gaps, "the image of the container was removed from this node")
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	c.Image = imageDigest(image)
	return c, p.layers(c, image.Layer)
}

// layers follows the chain from the image's topmost layer down.
func (p Podman) layers(c *Container, top string) error {
	all, err := stored[storedLayer](p, "layer")
	if err != nil {
		return err
	}
	byID := make(map[string]storedLayer, len(all))
	for _, l := range all {
		byID[l.ID] = l
	}
	c.Lower = map[string]digest.Digest{}
	for id := top; id != ""; {
		l, ok := byID[id]
		diffID, err := digest.Parse(l.Diff)
		if !ok || err != nil || len(c.DiffIDs) > 500 {
			c.DiffIDs, c.Lower = nil, nil
			c.Gaps = append(c.Gaps, fmt.Sprintf("layer %.12s of the image is not in podman's list with its digest", id))
			return nil
		}
		c.DiffIDs = append(c.DiffIDs, diffID)
		c.Lower[id] = diffID
		if link, err := os.ReadFile(filepath.Join(p.Root, "overlay", id, "link")); err == nil {
			c.Lower[strings.TrimSpace(string(link))] = diffID
		}
		id = l.Parent
	}
	slices.Reverse(c.DiffIDs)
	return nil
}

// imageDigest is the manifest's; an image without one (built here by an old buildah) is named by its configuration.
func imageDigest(i storedImage) digest.Digest {
	if d, err := digest.Parse(i.Digest); err == nil {
		return d
	}
	d, err := digest.Parse("sha256:" + i.ID)
	if err != nil {
		return ""
	}
	return d
}

func metadataName(raw string) string {
	var m struct {
		Image string `json:"image-name"`
	}
	if json.Unmarshal([]byte(raw), &m) != nil {
		return ""
	}
	return m.Image
}

// storedOne returns the entry of a list that is wanted, or ErrUnknown.
func storedOne[T any](p Podman, what string, want func(T) bool) (T, error) {
	var none T
	all, err := stored[T](p, what)
	if err != nil {
		return none, err
	}
	if i := slices.IndexFunc(all, want); i >= 0 {
		return all[i], nil
	}
	return none, ErrUnknown
}

// stored reads a list. Containers of the moment are in a "volatile" list besides, which a reboot empties.
func stored[T any](p Podman, what string) ([]T, error) {
	var out []T
	for _, name := range []string{what + "s.json", "volatile-" + what + "s.json"} {
		list, err := readList[T](filepath.Join(p.Root, "overlay-"+what+"s", name))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func readList[T any](name string) ([]T, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxStorageFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxStorageFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxStorageFile)
	}
	var list []T
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}
