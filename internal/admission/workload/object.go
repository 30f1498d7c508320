package workload

import (
	"strings"

	"sigs.k8s.io/json"

	"github.com/hullmark/hullmark/internal/fault"
)

// Kind is a group and a kind, as an admission request names them.
type Kind struct {
	Group string
	Kind  string
}

// Object is what matters about an object that may carry a pod.
type Object struct {
	Kind      Kind
	Namespace string
	// Name is the object's, or what its generated name begins with while it has none.
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Owner       *Owner // the controller that owns it; nil for none
	// Deleting reports whether the object waits for its finalizers. It is decided on all the same:
	// an object that only looks deleted would otherwise pass unseen.
	Deleting bool
	// Images are those that it would run, in the order of the object.
	Images []Image
}

// Owner is the controller named in an object's owner references. Whoever writes the object can write
// anything into them.
type Owner struct {
	Kind string
	Name string
}

// Pod is the kind of pods.
var pod = Kind{Kind: "Pod"}

// IsPod reports whether the object is a pod itself, not a template of one.
func (o *Object) IsPod() bool { return o.Kind == pod }

type metadata struct {
	Name              string            `json:"name"`
	GenerateName      string            `json:"generateName"`
	Namespace         string            `json:"namespace"`
	Labels            map[string]string `json:"labels"`
	Annotations       map[string]string `json:"annotations"`
	DeletionTimestamp *string           `json:"deletionTimestamp"`
	OwnerReferences   []struct {
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		Controller *bool  `json:"controller"`
	} `json:"ownerReferences"`
}

type podSpec struct {
	Init       []container `json:"initContainers"`
	Containers []container `json:"containers"`
	Ephemeral  []container `json:"ephemeralContainers"`
	Volumes    []volume    `json:"volumes"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type volume struct {
	Name  string `json:"name"`
	Image *struct {
		Reference string `json:"reference"`
	} `json:"image"`
}

// template is what Deployments, Jobs and PodTemplates nest at different depths.
type template struct {
	Spec podSpec `json:"spec"`
}

// The shapes of the built-in kinds, so that one pass over the bytes is enough.
type (
	podObject struct {
		Metadata metadata `json:"metadata"`
		Spec     podSpec  `json:"spec"`
	}
	workloadObject struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Template template `json:"template"`
		} `json:"spec"`
	}
	cronJobObject struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			JobTemplate struct {
				Spec struct {
					Template template `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	podTemplateObject struct {
		Metadata metadata `json:"metadata"`
		Template template `json:"template"`
	}
)

// Read decodes an object of a kind. Names of fields are compared exactly, as the API server does: "Image"
// is not "image". It fails with code object-malformed.
func Read(kind Kind, raw []byte) (*Object, error) {
	switch kind {
	case pod:
		var o podObject
		return decode(kind, raw, &o, func() (metadata, podSpec, string) { return o.Metadata, o.Spec, "/spec" })
	case Kind{"", "PodTemplate"}:
		var o podTemplateObject
		return decode(kind, raw, &o, func() (metadata, podSpec, string) { return o.Metadata, o.Template.Spec, "/template/spec" })
	case Kind{"batch", "CronJob"}:
		var o cronJobObject
		return decode(kind, raw, &o, func() (metadata, podSpec, string) {
			return o.Metadata, o.Spec.JobTemplate.Spec.Template.Spec, "/spec/jobTemplate/spec/template/spec"
		})
	case Kind{"", "ReplicationController"}, Kind{"apps", "ReplicaSet"}, Kind{"apps", "Deployment"},
		Kind{"apps", "StatefulSet"}, Kind{"apps", "DaemonSet"}, Kind{"batch", "Job"}:
		var o workloadObject
		return decode(kind, raw, &o, func() (metadata, podSpec, string) {
			return o.Metadata, o.Spec.Template.Spec, "/spec/template/spec"
		})
	}
	return discover(kind, raw)
}

// decode reads raw into the shape into and takes the parts out of it.
func decode(kind Kind, raw []byte, into any, parts func() (metadata, podSpec, string)) (*Object, error) {
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
		return nil, malformed(kind, err)
	}
	m, spec, pointer := parts()
	o := m.object(kind)
	o.Images = spec.images(pointer)
	return o, nil
}

func malformed(kind Kind, err error) error {
	return fault.New(fault.Invalid, "object-malformed",
		"the %s cannot be read, so its images are not known; send it as the API server would store it", kind.Kind).Because(err)
}

func (m metadata) object(kind Kind) *Object {
	o := &Object{Kind: kind, Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, Annotations: m.Annotations, Deleting: m.DeletionTimestamp != nil}
	if o.Name == "" {
		o.Name = strings.TrimSuffix(m.GenerateName, "-")
	}
	for _, r := range m.OwnerReferences {
		if r.Controller != nil && *r.Controller {
			o.Owner = &Owner{Kind: r.Kind, Name: r.Name}
		}
	}
	return o
}

// Workload returns the kind and name of the outermost owner that the object itself tells about: of a
// pod made by a ReplicaSet of a Deployment, the Deployment, because the label pod-template-hash says
// which part of the ReplicaSet's name the Deployment did not choose. A Job's CronJob is not guessed.
func (o *Object) Workload() (kind, name string) {
	if o.Owner == nil {
		return o.Kind.Kind, o.Name
	}
	if hash := o.Labels["pod-template-hash"]; o.Owner.Kind == "ReplicaSet" && hash != "" {
		if deployment, ok := strings.CutSuffix(o.Owner.Name, "-"+hash); ok && deployment != "" {
			return "Deployment", deployment
		}
	}
	return o.Owner.Kind, o.Owner.Name
}
