package image

import (
	"encoding/json"
	"io"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// dockerImage is an element of a docker-archive's manifest.json.
// Source: moby/moby, image/tarexport.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerManifest returns the images of a docker-archive, or nil when a is none.
func (a *archive) dockerManifest() ([]dockerImage, error) {
	if !a.has("manifest.json") {
		return nil, nil
	}
	raw, err := readDocument(a, "manifest.json")
	if err != nil {
		return nil, err
	}
	var images []dockerImage
	if json.Unmarshal(raw, &images) != nil || len(images) == 0 || images[0].Config == "" {
		return nil, nil // some tarball with a file of that name
	}
	return images, nil
}

func inspectDocker(a *archive, images []dockerImage) (*Report, error) {
	im := images[0]
	raw, err := readDocument(a, im.Config)
	if err != nil {
		return nil, err
	}
	config, err := ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	r := &Report{Kind: DockerArchive, Names: im.RepoTags, Config: digest.FromBytes(raw)}
	for _, other := range images[1:] {
		r.Others = append(r.Others, append(other.RepoTags, other.Config)[0])
	}
	names, err := config.layers(len(im.Layers))
	if err != nil {
		return nil, err
	}
	return r, r.readLayers(config, names, func(i int) (io.ReadCloser, error) { return a.open(im.Layers[i]) })
}

// layers names the n layers of an image by its configuration. A configuration without layers is
// an artifact's, and then the diffIDs are computed.
func (c *Config) layers(n int) ([]evidence.ImageLayer, error) {
	names := make([]evidence.ImageLayer, n)
	if len(c.RootFS.DiffIDs) == 0 {
		return names, nil
	}
	if len(c.RootFS.DiffIDs) != n {
		return nil, configMalformed("it names another number of layers than the manifest")
	}
	for i, instruction := range c.Instructions() {
		names[i] = evidence.ImageLayer{DiffID: c.RootFS.DiffIDs[i], CreatedBy: instruction}
	}
	return names, nil
}
