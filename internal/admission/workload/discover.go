package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/json"
)

// maxDepth is how deep a pod template may lie in an object of a kind that is not built in. The
// API server itself refuses deeper custom resources long before an array of this many brackets.
const maxDepth = 64

// discover finds pod templates in an object of an unknown kind: every map with a list of containers
// that name images, wherever it lies (Rollouts, CloneSets, Knative services, training jobs).
func discover(kind Kind, raw []byte) (*Object, error) {
	var o struct {
		Metadata metadata `json:"metadata"`
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, &o); err != nil {
		return nil, malformed(kind, err)
	}
	var tree map[string]any
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, &tree); err != nil {
		return nil, malformed(kind, err)
	}
	found := o.Metadata.object(kind)
	delete(tree, "metadata")
	delete(tree, "status") // tells what is, and asks for nothing
	if err := found.search(tree, "", 0); err != nil {
		return nil, malformed(kind, err)
	}
	return found, nil
}

func (o *Object) search(node any, pointer string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch n := node.(type) {
	case map[string]any:
		if spec, ok := asPodSpec(n); ok {
			o.Images = append(o.Images, spec.images(pointer)...)
		}
		for _, key := range slices.Sorted(maps.Keys(n)) {
			if err := o.search(n[key], pointer+"/"+escape(key), depth+1); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range n {
			if err := o.search(item, pointer+"/"+strconv.Itoa(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// asPodSpec reads a map as a pod's specification if one of its lists of containers names an image.
func asPodSpec(n map[string]any) (podSpec, bool) {
	spec := podSpec{
		Init: containers(n["initContainers"]), Containers: containers(n["containers"]), Ephemeral: containers(n["ephemeralContainers"]),
	}
	if len(spec.Init)+len(spec.Containers)+len(spec.Ephemeral) == 0 {
		return podSpec{}, false
	}
	list, _ := n["volumes"].([]any)
	for _, item := range list {
		spec.Volumes = append(spec.Volumes, asVolume(item))
	}
	return spec, true
}

// containers reads a list of containers; nil when nothing in it has an image, since other things are
// called containers too. Positions are kept, for the pointers.
func containers(node any) []container {
	list, _ := node.([]any)
	out := make([]container, len(list))
	images := 0
	for i, item := range list {
		m, _ := item.(map[string]any)
		out[i].Name, _ = m["name"].(string)
		if image, ok := m["image"].(string); ok {
			out[i].Image = image
			images++
		}
	}
	if images == 0 {
		return nil
	}
	return out
}

func asVolume(item any) (v volume) {
	m, _ := item.(map[string]any)
	v.Name, _ = m["name"].(string)
	image, ok := m["image"].(map[string]any)
	if !ok {
		return v
	}
	v.Image = &struct {
		Reference string `json:"reference"`
	}{}
	v.Image.Reference, _ = image["reference"].(string)
	return v
}

// escape writes a key as a token of a JSON pointer (RFC 6901).
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
