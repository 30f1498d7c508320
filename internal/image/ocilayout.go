package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// store opens the files of an image by their path in its layout.
type store interface {
	// open fails with code image-incomplete when there is no such file.
	open(name string) (io.ReadCloser, error)
}

// descriptor names a blob. Source: OCI image-spec 1.1, descriptor.md.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      digest.Digest     `json:"digest"`
	Annotations map[string]string `json:"annotations"`
	Platform    *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// manifest is an image manifest or an index. Source: OCI image-spec 1.1, manifest.md, image-index.md.
type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

const refName = "org.opencontainers.image.ref.name"

// maxNesting is how many indexes may lead to an image.
const maxNesting = 4

func inspectOCI(kind SourceKind, s store) (*Report, error) {
	raw, err := readDocument(s, "index.json")
	if err != nil {
		return nil, err
	}
	r := &Report{Kind: kind}
	m, err := r.choose(s, raw, maxNesting)
	if err != nil {
		return nil, err
	}
	raw, err = readBlob(s, m.Config.Digest)
	if err != nil {
		return nil, err
	}
	config, err := ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	r.Config = m.Config.Digest
	names, err := config.layers(len(m.Layers))
	if err != nil {
		return nil, err
	}
	for i := range names {
		names[i].Blob = m.Layers[i].Digest
	}
	return r, r.readLayers(config, names, func(i int) (io.ReadCloser, error) { return openBlob(s, names[i].Blob) })
}

// choose follows an index to one image: that for this machine's architecture, else the first.
func (r *Report) choose(s store, raw []byte, depth int) (*manifest, error) {
	m := new(manifest)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, manifestMalformed().Because(err)
	}
	if m.Config.Digest != "" {
		return m, nil
	}
	if len(m.Manifests) == 0 || depth == 0 {
		return nil, manifestMalformed()
	}
	at := max(0, slices.IndexFunc(m.Manifests, func(d descriptor) bool {
		return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == runtime.GOARCH
	}))
	for i, d := range m.Manifests {
		if i != at {
			r.Others = append(r.Others, string(d.Digest))
		}
	}
	chosen := m.Manifests[at]
	r.Manifest = chosen.Digest
	if name := chosen.Annotations[refName]; name != "" {
		r.Names = append(r.Names, name)
	}
	next, err := readBlob(s, chosen.Digest)
	if err != nil {
		return nil, err
	}
	return r.choose(s, next, depth-1)
}

func manifestMalformed() *fault.Error {
	return fault.New(fault.Invalid, "image-manifest-malformed", "the image's index or manifest cannot be read; export the image again")
}

func readDocument(s store, name string) ([]byte, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	if len(raw) > maxDocument {
		return nil, manifestMalformed()
	}
	return raw, nil
}

// readBlob reads a document and checks that it is the one that its digest names.
func readBlob(s store, d digest.Digest) ([]byte, error) {
	if _, err := digest.Parse(string(d)); err != nil {
		return nil, manifestMalformed().Because(err)
	}
	raw, err := readDocument(s, blobPath(d))
	if err != nil {
		return nil, err
	}
	h := digest.NewHash(d.Algorithm())
	h.Write(raw)
	if digest.Sum(d.Algorithm(), h) != d {
		return nil, fault.New(fault.Integrity, "image-digest-mismatch", "the content of %s is not what its digest names; do not use this copy of the image", d)
	}
	return raw, nil
}

func openBlob(s store, d digest.Digest) (io.ReadCloser, error) {
	if _, err := digest.Parse(string(d)); err != nil {
		return nil, manifestMalformed().Because(err)
	}
	return s.open(blobPath(d))
}

func blobPath(d digest.Digest) string { return "blobs/" + d.Algorithm() + "/" + d.Hex() }

// layout is an OCI layout in a folder, which no link can lead out of.
type layout struct {
	ctx  context.Context
	root *os.Root
}

func (l layout) open(name string) (io.ReadCloser, error) {
	f, err := l.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(name)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("inspect: %w", err)
	}
	return reading{safearchive.NewWindow(cancellableAt{l.ctx, f}, 0, info.Size()), f}, nil
}
