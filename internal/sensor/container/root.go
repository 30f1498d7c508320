package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/mount"
)

// Root is the overlay under a container's root, with its lower layers explained.
type Root struct {
	Dev   uint64 // of the superblock; 0 when no overlay was found
	Upper string // folder of the writable layer, in the host's view; "" when read-only
	// Mount is where the root can be reached in the host's view; "" when only through a process.
	Mount string
	// Lower are the folders of the lower layers, topmost first.
	Lower []string
	// Layers are the lower layers, topmost first, as the kernel counts them from 1. A layer that is the
	// runtime's own and not the image's is "".
	Layers []digest.Digest
	// Explained reports whether Layers may be used.
	Explained bool
}

// Layer returns the image layer that the kernel calls number n of the overlay on dev. ok is false when
// that is not known, also for a file of some other overlay.
func (r Root) Layer(dev uint64, n int) (digest.Digest, bool) {
	if !r.Explained || dev != r.Dev || n < 1 || n > len(r.Layers) || r.Layers[n-1] == "" {
		return "", false
	}
	return r.Layers[n-1], true
}

// Locator finds the overlay of a container.
type Locator struct {
	Proc string // "/proc"
	Tree cgroup.Tree
}

// Locate fills in c.Root from the mount table, and c.Gaps where layers cannot be told apart. It fails
// while the container has no root yet: then it is too early, and worth another try.
func (l Locator) Locate(c *Container) error {
	overlay, point, err := l.overlay(c)
	if err != nil {
		return err
	}
	c.Root = Root{Dev: overlay.Dev, Upper: overlay.Upper, Mount: point, Lower: overlay.Folders()}
	layers, err := explain(c.Root.Lower, c.DiffIDs, c.Lower)
	if err != nil {
		c.Gaps = append(c.Gaps, err.Error())
		return nil
	}
	c.Root.Layers, c.Root.Explained = layers, true
	return nil
}

// overlay looks for the mount by the runtime's word, then through a process of the container. It returns
// where it is mounted in the host's view, if it is.
func (l Locator) overlay(c *Container) (mount.Overlay, string, error) {
	host, err := mount.Read(l.Proc, 1)
	if err != nil {
		return mount.Overlay{}, "", err
	}
	for _, e := range host {
		// containerd mounts at <state>/io.containerd.runtime.v2.task/<namespace>/<id>/rootfs.
		if e.Type == "overlay" && (e.Point == c.Merged || strings.HasSuffix(e.Point, "/"+c.ID+"/rootfs")) {
			o, err := e.Overlay()
			return o, e.Point, err
		}
	}
	own, _ := mount.At(host, "/")
	processes := l.Tree.AllProcesses(c.Cgroup)
	if len(processes) == 0 {
		return mount.Overlay{}, "", errIdle
	}
	for _, pid := range processes {
		table, err := mount.Read(l.Proc, pid)
		if err != nil {
			continue // it has ended
		}
		// Before a runtime changes the root, a new process still has the host's.
		e, ok := mount.At(table, "/")
		if ok && e.Type == "overlay" && e.Dev != own.Dev {
			o, err := e.Overlay()
			return o, point(host, e.Dev), err
		}
	}
	return mount.Overlay{}, "", fmt.Errorf("no process of container %s has an overlay for its root", c.Display())
}

// point returns where the host has the root of a file system mounted.
func point(host []mount.Entry, dev uint64) string {
	for _, e := range host {
		if e.Dev == dev && e.Root == "/" {
			return e.Point
		}
	}
	return ""
}

// errIdle is why a container has no root as long as nothing runs in it.
var errIdle = errors.New("nothing runs in the container yet")

// explain says which layer of the image each lower folder is. By what the runtime wrote down if it did;
// else by order, which needs the numbers to agree.
func explain(lower []string, diffIDs []digest.Digest, known map[string]digest.Digest) ([]digest.Digest, error) {
	if len(diffIDs) == 0 {
		return nil, fmt.Errorf("the layers of the image are not known, so files are not attributed to them")
	}
	if known != nil {
		return byName(lower, known)
	}
	extra := len(lower) - len(diffIDs)
	if extra == 1 && isInit(lower[0]) {
		lower = lower[1:]
	} else if extra != 0 {
		return nil, fmt.Errorf("the overlay has %d lower layers and the image %d, so files are not attributed to layers", len(lower), len(diffIDs))
	}
	out := make([]digest.Digest, 0, len(lower)+1)
	if extra == 1 {
		out = append(out, "")
	}
	for i := range lower {
		out = append(out, diffIDs[len(diffIDs)-1-i])
	}
	return out, nil
}

func byName(lower []string, known map[string]digest.Digest) ([]digest.Digest, error) {
	var out []digest.Digest
	for _, dir := range lower {
		name := filepath.Base(dir) // a short link, or <layer>/diff
		if name == "diff" {
			name = filepath.Base(filepath.Dir(dir))
		}
		diffID, ok := known[name]
		if !ok && !isInit(dir) {
			return nil, fmt.Errorf("the overlay has a lower layer %s that the runtime does not know, so files are not attributed to layers", name)
		}
		out = append(out, diffID)
	}
	return out, nil
}

// isInit recognises the layer that Docker puts between the image and the container for the files it
// mounts over, /etc/hosts and the like: <id>-init/diff, as a rule behind a short link.
func isInit(dir string) bool {
	if target, err := os.Readlink(dir); err == nil {
		dir = target
	}
	return filepath.Base(dir) == "diff" && strings.HasSuffix(filepath.Base(filepath.Dir(dir)), "-init")
}
