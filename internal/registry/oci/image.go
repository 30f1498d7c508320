package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	// maxConfig is the longest image configuration that is read, in bytes.
	maxConfig = 8 << 20
	// maxImageLayers is the most layers that one statement can name; runtimes stack 128.
	maxImageLayers = 250
	// maxPredicate is how long the contents of an image may be when encoded: a statement's limit,
	// less its envelope.
	maxPredicate = evidence.MaxBody - 4096
	// maxImageFiles is how many files an image's inventories may list together to be merged: some
	// 100 MB of memory.
	maxImageFiles = 400_000
	// maxReason bounds the reasons for an incomplete image, in bytes.
	maxReason = 1000
)

// describe says what an image is made of: its layers in order, with the instruction that made
// each, and what upper layers hide of lower ones. It waits for layers that are still being read
// until patience ends, which is an error. What cannot be known is said in Incomplete.
func (g *Registry) describe(ctx, patience context.Context, name string, m *manifest, d digest.Digest) (_ evidence.Draft, err error) {
	defer asError(&err)
	im := &imageBuilder{contents: evidence.Contents{Of: "image"}}
	if err := g.gather(ctx, patience, name, m, im); err != nil {
		return evidence.Draft{}, err
	}
	im.fit()
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(purl.Image(name, string(d)), d)},
		Predicate: im.contents, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}, nil
}

// maxIndexed is the most manifests of an index that its contents name: some 50 KB.
const maxIndexed = 500

// describeIndex says which manifests an index lists.
func describeIndex(p purl.PURL, m *manifest, d digest.Digest) evidence.Draft {
	contents := evidence.Contents{Of: "index"}
	for _, child := range m.Manifests {
		contents.Manifests = append(contents.Manifests, child.Digest)
	}
	if len(contents.Manifests) > maxIndexed {
		contents.Incomplete = fmt.Sprintf("it lists %d manifests, %d are named", len(contents.Manifests), maxIndexed)
		contents.Manifests = contents.Manifests[:maxIndexed]
	}
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)}, Predicate: contents,
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

// describeSoon is describe for as long as a push may wait. When the layers take longer, ok is
// false and describeLater has to follow the publication.
func (g *Registry) describeSoon(ctx context.Context, name string, m *manifest, d digest.Digest) (draft evidence.Draft, ok bool, err error) {
	patience, cancel := context.WithTimeoutCause(ctx, g.config.Limits.Settle, errNotSettled)
	defer cancel()
	draft, err = g.describe(ctx, patience, name, m, d)
	if errors.Is(err, errNotSettled) {
		return draft, false, nil
	}
	return draft, err == nil, err
}

// sketch says what an image is made of without waiting for what is still being read: such a layer has no diffID.
// What the configuration claims of it could be somebody else's.
func (g *Registry) sketch(ctx context.Context, name string, m *manifest) (*evidence.Contents, error) {
	im := &imageBuilder{contents: evidence.Contents{Of: "image"}}
	if g.config.Layers == nil || len(m.Layers) > maxImageLayers {
		return nil, nil
	}
	config, err := g.imageConfig(ctx, name, m, im)
	if err != nil {
		return nil, err
	}
	im.contents.Platform, im.contents.Settings = config.Platform, config.Settings
	for i, l := range m.Layers {
		var f layerFinding
		if err := g.layers.find(ctx, l.Digest, &f); err != nil {
			return nil, err
		}
		layer := evidence.ImageLayer{DiffID: f.diffID, Blob: l.Digest}
		if config.DiffIDs != nil {
			layer.CreatedBy = config.Instructions[i]
		}
		im.contents.Layers = append(im.contents.Layers, layer)
	}
	return &im.contents, nil
}

// errNotSettled says that the layers of an image are still being read.
var errNotSettled = errors.New("the layers are still being read")

// imageBuilder collects an image's contents and what is missing of them.
type imageBuilder struct {
	contents evidence.Contents
	missing  []string
}

func (im *imageBuilder) lacks(format string, args ...any) {
	im.missing = append(im.missing, fmt.Sprintf(format, args...))
}

func (g *Registry) gather(ctx, patience context.Context, name string, m *manifest, im *imageBuilder) error {
	if g.config.Layers == nil {
		im.lacks("this server does not read layers")
		return nil
	}
	if len(m.Layers) > maxImageLayers {
		im.lacks("it has %d layers, %d are read", len(m.Layers), maxImageLayers)
		return nil
	}
	config, err := g.imageConfig(ctx, name, m, im)
	if err != nil {
		return err
	}
	found, err := g.readLayers(ctx, patience, name, m.Layers)
	if err != nil {
		return err
	}
	im.layers(m.Layers, found, config)
	im.contents.Platform, im.contents.Settings = config.Platform, config.Settings
	return g.hide(ctx, found, im)
}

// imageConfig reads the configuration; one that cannot be read leaves a gap.
func (g *Registry) imageConfig(ctx context.Context, name string, m *manifest, im *imageBuilder) (config ImageConfig, err error) {
	size, err := g.core.LinkedBlob(ctx, purl.OCI, name, m.Config.Digest)
	if fault.KindOf(err) == fault.NotFound {
		im.lacks("the configuration is not in this repository")
		return config, nil
	}
	if err != nil {
		return config, err
	}
	if size > maxConfig {
		im.lacks("the configuration is too large")
		return config, nil
	}
	raw, err := g.readSmall(ctx, m.Config.Digest, maxConfig)
	if err != nil {
		return config, err
	}
	if config, err = g.config.Layers.ReadConfig(raw); err != nil {
		im.lacks("the configuration is malformed")
		return ImageConfig{}, nil
	}
	if len(config.DiffIDs) != len(m.Layers) {
		im.lacks("the configuration lists %d layers and the manifest %d", len(config.DiffIDs), len(m.Layers))
		config.DiffIDs = nil
	}
	return config, nil
}

// readLayers returns what is on the record of each layer, after reading those that were not read
// yet. All are under way before the first is waited for.
func (g *Registry) readLayers(ctx, patience context.Context, name string, layers []descriptor) ([]layerFinding, error) {
	found := make([]layerFinding, len(layers))
	waits := make([]*pending, len(layers))
	for i, l := range layers {
		_, err := g.core.LinkedBlob(ctx, purl.OCI, name, l.Digest)
		if fault.KindOf(err) == fault.NotFound {
			found[i].reason = "it is not in this repository" // non-distributable, or somebody else's
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := g.layers.find(ctx, l.Digest, &found[i]); err != nil {
			return nil, err
		}
		if !found[i].known {
			waits[i] = g.layers.read(l.Digest)
		}
	}
	for i, p := range waits {
		if p == nil {
			continue
		}
		if err := p.wait(patience); err != nil {
			return nil, err
		}
		found[i].reason = p.reason
		if err := g.layers.find(ctx, layers[i].Digest, &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// layers fills the image's layers with what was seen of them. A layer that was not read is left out:
// a diffID that only the configuration claims could be that of somebody else's private layer.
func (im *imageBuilder) layers(manifest []descriptor, found []layerFinding, config ImageConfig) {
	for i, f := range found {
		l := evidence.ImageLayer{DiffID: f.diffID, Blob: manifest[i].Digest}
		if config.DiffIDs != nil {
			l.CreatedBy = config.Instructions[i]
		}
		switch {
		case !f.known:
			im.lacks("layer %d was not read: %s", i, f.reason)
			continue
		case config.DiffIDs == nil || config.DiffIDs[i] == f.diffID:
		case config.DiffIDs[i].Algorithm() != f.diffID.Algorithm():
			im.lacks("the configuration names layer %d by a digest that is not compared here", i)
		default:
			im.lacks("layer %d is not the one that the configuration names", i)
		}
		if f.incomplete != "" {
			im.lacks("layer %d: %s", i, f.incomplete)
		}
		im.contents.Layers = append(im.contents.Layers, l)
	}
}

// hide adds the components that upper layers take away. It takes every layer to tell.
func (g *Registry) hide(ctx context.Context, found []layerFinding, im *imageBuilder) error {
	g.merging <- struct{}{} // one at a time: it holds every inventory of an image
	defer func() { <-g.merging }()
	var inventories []*evidence.Inventory
	files := 0
	for _, f := range found {
		if !f.known {
			return nil
		}
		inv, err := g.core.Record().Inventory(ctx, f.inventory)
		if err != nil {
			return err
		}
		if files += len(inv.Files); files > maxImageFiles {
			im.lacks("its layers list more files than are merged, so what upper layers hide is unknown")
			return nil
		}
		inventories = append(inventories, inv)
	}
	im.contents.Hidden = g.config.Layers.Hidden(inventories)
	return nil
}

// fit cuts the contents to what a statement takes. Nothing is left out silently.
func (im *imageBuilder) fit() {
	c := &im.contents
	im.state()
	if size(c) > maxPredicate {
		im.lacks("its instructions are too long for a statement")
		for i := range c.Layers {
			c.Layers[i].CreatedBy = ""
		}
		im.state()
	}
	if over := size(c) - maxPredicate; over > 0 {
		im.lacks("its upper layers hide more components than a statement takes")
		for n := len(c.Hidden); n > 0 && size(c) > maxPredicate-maxReason; n = len(c.Hidden) {
			c.Hidden = c.Hidden[:n*3/4]
		}
		im.state()
	}
}

func (im *imageBuilder) state() {
	reason := strings.Join(im.missing, "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	im.contents.Incomplete = reason
}

func size(c *evidence.Contents) int {
	b, err := json.Marshal(c)
	if err != nil {
		return 0 // Append will say so
	}
	return len(b)
}
