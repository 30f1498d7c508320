package oci

import (
	"bytes"
	"encoding/json"
	"mime"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// The manifest media types. Source: OCI image-spec 1.1, media-types.md; Docker image manifest v2,
// schema 2. The artifact manifest was in release candidates of 1.1 and is still in registries.
const (
	typeImage       = "application/vnd.oci.image.manifest.v1+json"
	typeIndex       = "application/vnd.oci.image.index.v1+json"
	typeArtifact    = "application/vnd.oci.artifact.manifest.v1+json"
	typeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"

	configImage       = "application/vnd.oci.image.config.v1+json"
	configDockerImage = "application/vnd.docker.container.image.v1+json"
)

const (
	// maxDescriptors bounds what one manifest may name.
	maxDescriptors = 4096
	// maxDepth bounds how deep a manifest's JSON nests.
	maxDepth = 32
)

// manifest is what the registry needs of any of the manifest types.
type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Blobs        []descriptor      `json:"blobs"`
	Manifests    []descriptor      `json:"manifests"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// descriptor points at content. Source: OCI image-spec 1.1, descriptor.md.
type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// isImage reports whether the manifest describes something that runs. Build tools dress up
// attestations as images; those have no archive among their layers.
func (m *manifest) isImage() bool {
	return (m.MediaType == typeImage || m.MediaType == typeDockerImage) && m.Config != nil &&
		(m.Config.MediaType == configImage || m.Config.MediaType == configDockerImage) &&
		(len(m.Layers) == 0 || slices.ContainsFunc(m.Layers, func(d descriptor) bool { return strings.Contains(d.MediaType, ".tar") }))
}

// isIndex reports whether the manifest lists others, one a platform as a rule.
func (m *manifest) isIndex() bool { return m.MediaType == typeIndex || m.MediaType == typeDockerList }

// artifactType is what the referrers list calls the manifest.
// Source: distribution-spec 1.1, "Listing Referrers".
func (m *manifest) artifactType() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

// blobs are the contents that the repository must have. Layers that are fetched from elsewhere
// need not be here. Source: OCI image-spec 1.1, "Non-Distributable Layers".
func (m *manifest) blobs() []descriptor {
	var all []descriptor
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	for _, d := range slices.Concat(m.Layers, m.Blobs) {
		if !strings.Contains(d.MediaType, ".nondistributable.") && !strings.Contains(d.MediaType, ".foreign.") {
			all = append(all, d)
		}
	}
	return all
}

// parseManifest reads a manifest that was sent as contentType (which may be empty). It fails with
// code manifest-invalid. What it does not know it ignores; what two parsers could read in two ways
// it refuses: repeated names, names that differ from known ones in case only, a media type that
// contradicts the header, and the members of an image beside those of an index (CVE-2021-41190).
func parseManifest(contentType string, body []byte) (*manifest, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, errManifest("it is not JSON of a manifest's shape").Because(err)
	}
	if err := m.settleType(contentType); err != nil {
		return nil, err
	}
	if err := m.checkShape(); err != nil {
		return nil, err
	}
	return m, m.checkDescriptors()
}

// settleType decides what the manifest is: the header and the manifest must not disagree.
func (m *manifest) settleType(contentType string) error {
	if contentType != "" {
		sent, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return errManifest("its Content-Type cannot be read").Because(err)
		}
		if m.MediaType != "" && m.MediaType != sent {
			return errManifest("its mediaType is %q and it was sent as %q", fault.Clip(m.MediaType), fault.Clip(sent))
		}
		m.MediaType = sent
	}
	switch m.MediaType {
	case typeImage, typeIndex, typeArtifact, typeDockerImage, typeDockerList:
		return nil
	}
	return errManifest("%q is not a manifest media type that is taken here", fault.Clip(m.MediaType))
}

func (m *manifest) checkShape() error {
	index := m.isIndex()
	image := m.MediaType == typeImage || m.MediaType == typeDockerImage
	switch {
	case index && (m.Config != nil || m.Layers != nil || m.Blobs != nil):
		return errManifest("it is sent as an index and has an image's members")
	case !index && m.Manifests != nil:
		return errManifest("it is not sent as an index and has the member manifests")
	case image && m.Config == nil:
		return errManifest("it has no config")
	case m.Blobs != nil && m.MediaType != typeArtifact:
		return errManifest("only an artifact manifest has the member blobs")
	}
	return nil
}

func (m *manifest) checkDescriptors() error {
	all := slices.Concat(m.Layers, m.Blobs, m.Manifests)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	if m.Subject != nil {
		all = append(all, *m.Subject)
	}
	if len(all) > maxDescriptors {
		return errManifest("it names %d contents and %d are the most", len(all), maxDescriptors)
	}
	for _, d := range all {
		if _, err := digest.Parse(string(d.Digest)); err != nil {
			return errManifest("a digest in it is not one: %s", fmtDigest(d.Digest)).Because(err)
		}
		if d.Size < 0 {
			return errManifest("a size in it is negative")
		}
	}
	return nil
}

func fmtDigest(d digest.Digest) string { return `"` + fault.Clip(string(d)) + `"` }

func errManifest(format string, args ...any) *fault.Error {
	e := fault.New(fault.Invalid, "manifest-invalid", format, args...)
	e.Text = "the manifest is refused: " + e.Text + "; build it again with a current tool"
	return e
}

// knownMembers are the names that mean something to us. encoding/json takes "Layers" for
// "layers"; other programs do not.
var knownMembers = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject", "annotations", "digest", "size",
}

// descriptorMembers are those whose value is a descriptor or a list of them. Elsewhere, in
// annotations say, names are free.
var descriptorMembers = []string{"config", "layers", "blobs", "manifests", "subject"}

// checkJSON refuses what parsers disagree about.
func checkJSON(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return errManifest("it is not a JSON object")
	}
	if err := checkObject(dec, 1, true); err != nil {
		return err
	}
	if dec.More() {
		return errManifest("something follows the JSON object")
	}
	return nil
}

// checkObject walks an object whose opening brace was read. ours says that its members are a
// manifest's or a descriptor's.
func checkObject(dec *json.Decoder, depth int, ours bool) error {
	if depth > maxDepth {
		return errManifest("it is nested deeper than %d levels", maxDepth)
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return errManifest("it is not valid JSON").Because(err)
		}
		name, _ := tok.(string)
		if seen[name] {
			return errManifest("it has the member %q twice", fault.Clip(name))
		}
		seen[name] = true
		if ours && nearMiss(name) {
			return errManifest("it has the member %q, which differs from a known one in case only", fault.Clip(name))
		}
		if err := checkValue(dec, depth, ours && slices.Contains(descriptorMembers, name)); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the closing brace
	return broken(err)
}

func checkValue(dec *json.Decoder, depth int, ours bool) error {
	tok, err := dec.Token()
	if err != nil {
		return broken(err)
	}
	switch tok {
	case json.Delim('{'):
		return checkObject(dec, depth+1, ours)
	case json.Delim('['):
		return checkArray(dec, depth+1, ours)
	}
	return nil
}

func checkArray(dec *json.Decoder, depth int, ours bool) error {
	if depth > maxDepth {
		return errManifest("it is nested deeper than %d levels", maxDepth)
	}
	for dec.More() {
		if err := checkValue(dec, depth, ours); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the closing bracket
	return broken(err)
}

func broken(err error) error {
	if err == nil {
		return nil
	}
	return errManifest("it is not valid JSON").Because(err)
}

func nearMiss(name string) bool {
	return slices.ContainsFunc(knownMembers, func(known string) bool { return known != name && strings.EqualFold(known, name) })
}
