package sensor

import (
	"encoding/hex"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// The origins of files, as alerts name them.
const (
	originLayer     = "layer"
	originChanged   = "changed"
	originTouched   = "touched"
	originContainer = "container"
	originMemory    = "memory"
	originHost      = "host"
	originUnknown   = "unknown"
)

// maxCache bounds what is remembered about the files of a container.
const maxCache = 8192

// fileKey is a file as the kernel sees it, so that a file that is known needs no second look-up.
type fileKey struct {
	dev, inode uint64
	origin     kernel.Origin
	layer      int
}

// content is what is known about a file that was executed, opened or mapped: layer, component, release.
type content struct {
	file    alert.File
	release *alert.Release // nil when the file belongs to no component that is known
	key     string         // what behaviour is counted under; "" for what is not of the image
	recall  *recall        // the recall that it falls under
	// byContent: nothing in the image names the release, the file has the bytes of one of its files.
	byContent bool
	gaps      []string
}

// content returns what is known about the file of an event. a.mu is held; nothing is read or hashed.
func (a *Agent) content(b *box, ev *kernel.Event) *content {
	f := ev.File
	key := fileKey{f.Dev, f.Inode, f.Origin, f.Layer}
	if c := b.cache[key]; c != nil && c.file.Path == f.Path && c.file.Deleted == f.Deleted {
		return c
	}
	if len(b.cache) >= maxCache {
		clear(b.cache)
	}
	c := b.attribute(f)
	c.recall = a.recalls.match(b, c)
	b.cache[key] = c
	return c
}

func (b *box) attribute(f kernel.File) *content {
	c := &content{file: alert.File{Path: f.Path, Deleted: f.Deleted, Layer: f.Layer}}
	switch f.Origin {
	case kernel.OriginUpper:
		c.file.Origin = originContainer
	case kernel.OriginMemfd:
		c.file.Origin = originMemory
	case kernel.OriginHost:
		c.file.Origin = originHost
	case kernel.OriginLower:
		c.file.Origin = originLayer
		b.explain(c, f)
	case kernel.OriginCopiedUp:
		c.file.Origin = originTouched
		b.explain(c, f)
	default:
		c.file.Origin = originUnknown
		c.gaps = append(c.gaps, "this kernel does not tell where the file comes from")
	}
	return c
}

// explain finds the layer of a file and what the record knows about it there.
func (b *box) explain(c *content, f kernel.File) {
	diffID, ok := b.c.Root.Layer(f.Dev, f.Layer)
	if !ok {
		c.gaps = append(c.gaps, "the layer of the file is not known")
		return
	}
	c.file.DiffID = diffID
	c.key = "layer:" + diffID.String() + f.Path
	x := b.index[diffID]
	if x == nil {
		c.gaps = append(c.gaps, "the files of the layer are not on the record")
		return
	}
	found, ok := x.Lookup(f.Path)
	if !ok {
		c.gaps = append(c.gaps, "the record has no such file in the layer")
		return
	}
	c.file.SHA256 = digest.Digest(digest.SHA256 + ":" + hex.EncodeToString(found.SHA256[:]))
	c.key = "file:" + c.file.SHA256.Hex()
	if found.Component == "" {
		return
	}
	c.key = found.Component
	known := b.image.Releases[found.Component]
	c.release, c.byContent = release(known, found.Component), known.ByContent
}

func release(r layer.Release, purl string) *alert.Release {
	return &alert.Release{
		PURL: purl, Publisher: r.Publisher, Credential: r.Credential, Label: r.Label, Published: r.Published,
		Approved: r.Approved, Approver: r.Approver, Recalled: r.Recalled,
	}
}
