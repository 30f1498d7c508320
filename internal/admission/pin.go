package admission

import (
	"encoding/json"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/hullmark/hullmark/internal/admission/workload"
	"github.com/hullmark/hullmark/internal/policy"
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// pin returns the patch that adds to every tag of a pod the digest that it stands for. Only pods are
// pinned: a Deployment that comes back from the cluster other than it was sent is drift to whoever
// keeps it in Git. images are the object's with their tags resolved.
func pin(r *admissionv1.AdmissionRequest, o *workload.Object, images []policy.Image) ([]byte, error) {
	if !o.IsPod() {
		return nil, nil
	}
	kept, err := kept(r)
	if err != nil {
		return nil, err
	}
	var patch []operation
	names := pinnedByUs(o)
	for i, img := range o.Images {
		if img.Err != nil || img.Pinned || images[i].Digest == "" || slices.Contains(kept, key(img)) {
			continue
		}
		patch = append(patch, operation{"replace", img.Pointer, img.Reference + "@" + images[i].Digest})
		if name := pinName(img); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(patch) == 0 {
		return nil, nil
	}
	return json.Marshal(append(patch, annotate(r, o, names)...))
}

// annotate writes the names of pinned images into the pod. A subresource does not take annotations.
func annotate(r *admissionv1.AdmissionRequest, o *workload.Object, names []string) []operation {
	value := strings.Join(names, ",")
	switch {
	case r.SubResource != "":
		return nil
	case o.Annotations == nil:
		return []operation{{"add", "/metadata/annotations", map[string]string{pinnedAnnotation: value}}}
	}
	return []operation{{"add", "/metadata/annotations/" + strings.ReplaceAll(pinnedAnnotation, "/", "~1"), value}}
}

// kept lists the images of an update that the pod has already. To pin one of them would restart its
// container because somebody changed a label.
func kept(r *admissionv1.AdmissionRequest) ([]string, error) {
	if r.Operation != admissionv1.Update || len(r.OldObject.Raw) == 0 {
		return nil, nil
	}
	old, err := workload.Read(workload.Kind{Group: r.Kind.Group, Kind: r.Kind.Kind}, r.OldObject.Raw)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(old.Images))
	for i, img := range old.Images {
		keys[i] = key(img)
	}
	return keys, nil
}

func key(img workload.Image) string {
	return img.Role + "\x00" + img.Container + "\x00" + img.Reference
}
