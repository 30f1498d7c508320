package workload

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

// The roles of an image in a pod.
const (
	Regular   = "container"
	Init      = "init"
	Ephemeral = "ephemeral"
	Volume    = "volume"
)

// maxReference bounds a reference; a registry allows 255 for the name and 128 for a tag, and a
// digest has 71.
const maxReference = 512

// localID matches what parses as a name on Docker Hub, while a runtime would start whatever image lies
// on the node under this id.
var localID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// The grammar of the OCI distribution specification, which runtimes hold to and the library's parser does not in full.
var (
	hostGrammar       = regexp.MustCompile(`^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(:[0-9]+)?$`)
	repositoryGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Image is one image that an object would run.
type Image struct {
	policy.Image
	// Pointer is where the object has the reference (JSON pointer, RFC 6901).
	Pointer string
	// Err says that the reference cannot be read; then only Container, Role and Reference are set. Such
	// an image is a failure, never a pass.
	Err error
}

// images lists everything that a pod would run. pointer is where its specification lies.
func (s podSpec) images(pointer string) []Image {
	out := make([]Image, 0, len(s.Init)+len(s.Containers)+len(s.Ephemeral)+len(s.Volumes))
	for _, l := range []struct {
		role, key  string
		containers []container
	}{{Init, "initContainers", s.Init}, {Regular, "containers", s.Containers}, {Ephemeral, "ephemeralContainers", s.Ephemeral}} {
		for i, c := range l.containers {
			out = append(out, newImage(l.role, c.Name, c.Image, pointer+"/"+l.key+"/"+strconv.Itoa(i)+"/image"))
		}
	}
	for i, v := range s.Volumes {
		if v.Image != nil {
			out = append(out, newImage(Volume, v.Name, v.Image.Reference, pointer+"/volumes/"+strconv.Itoa(i)+"/image/reference"))
		}
	}
	return out
}

func newImage(role, container, reference, pointer string) Image {
	parsed, err := ParseReference(reference)
	parsed.Container, parsed.Role, parsed.Reference = container, role, reference
	return Image{Image: parsed, Pointer: pointer, Err: err}
}

// ParseReference reads an image reference as the container runtime would: a name without host is Docker
// Hub's, one without tag and digest has the tag "latest", and a digest wins over a tag. It fails with
// code image-reference-invalid.
func ParseReference(reference string) (policy.Image, error) {
	if len(reference) > maxReference {
		return policy.Image{}, invalidReference(reference[:64]+"…", nil)
	}
	if localID.MatchString(reference) {
		return policy.Image{}, invalidReference(reference, errors.New("names an image on the node by its id"))
	}
	ref, err := name.ParseReference(reference, name.WeakValidation)
	if err != nil {
		return policy.Image{}, invalidReference(reference, err)
	}
	image := policy.Image{Registry: ref.Context().RegistryStr(), Repository: ref.Context().RepositoryStr()}
	if image.Registry == name.DefaultRegistry {
		image.Registry = "docker.io"
	}
	switch r := ref.(type) {
	case name.Tag:
		image.Tag = r.TagStr()
	case name.Digest:
		image.Digest, image.Pinned = r.DigestStr(), true
		image.Tag = tagBeside(reference)
	}
	if !hostGrammar.MatchString(image.Registry) || !repositoryGrammar.MatchString(image.Repository) ||
		image.Tag != "" && !tagGrammar.MatchString(image.Tag) {
		return policy.Image{}, invalidReference(reference, errors.New("against the grammar"))
	}
	return image, nil
}

// tagBeside returns the tag of a reference that has a digest too, for people: the runtime ignores it.
func tagBeside(reference string) string {
	named, _, _ := strings.Cut(reference, "@")
	colon := strings.LastIndexByte(named, ':')
	if colon < 0 || strings.ContainsRune(named[colon:], '/') {
		return ""
	}
	return named[colon+1:]
}

func invalidReference(reference string, err error) error {
	return fault.New(fault.Invalid, "image-reference-invalid",
		"%q is no image reference; write registry/repository:tag or registry/repository@sha256:…", reference).Because(err)
}
