package admission

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/hullmark/hullmark/internal/admission/workload"
	"github.com/hullmark/hullmark/internal/policy"
)

// controllers are the accounts whose word about owners is believed: the cluster's own, which write the
// owner into the pods that they make. Anybody who may create a pod can write any owner into it, and
// would step under the exception of another's workload.
var controllers = []string{
	"system:kube-controller-manager", // without --use-service-account-credentials
	"system:serviceaccount:kube-system:replicaset-controller",
	"system:serviceaccount:kube-system:replication-controller",
	"system:serviceaccount:kube-system:deployment-controller",
	"system:serviceaccount:kube-system:statefulset-controller",
	"system:serviceaccount:kube-system:daemon-set-controller",
	"system:serviceaccount:kube-system:job-controller",
	"system:serviceaccount:kube-system:cronjob-controller",
}

// readObject reads what a request wants to store.
func readObject(r *admissionv1.AdmissionRequest) (*workload.Object, error) {
	return workload.Read(workload.Kind{Group: r.Kind.Group, Kind: r.Kind.Kind}, r.Object.Raw)
}

// request words an admission request for the policies. Digests of tags are filled in by the snapshot.
func (g *Gate) request(r *admissionv1.AdmissionRequest, o *workload.Object) policy.Request {
	kind, name := o.Kind.Kind, o.Name
	if g.believed(r.UserInfo.Username) {
		kind, name = o.Workload()
	}
	if name == "" {
		name = r.Name
	}
	out := policy.Request{
		ID: string(r.UID), Gate: "admit", Cluster: g.cluster, Namespace: r.Namespace, Kind: kind, Name: name,
		Operation: string(r.Operation), User: r.UserInfo.Username, DryRun: r.DryRun != nil && *r.DryRun, At: g.clock.Now(),
		Images: make([]policy.Image, len(o.Images)),
	}
	// A namespace that is not known here has no labels at all, not even the one that the API server gives
	// to all of them; policies with a selector take that for "unknown".
	out.Labels, _ = g.namespaces.Labels(r.Namespace)
	ours := pinnedByUs(o)
	for i, img := range o.Images {
		out.Images[i] = img.Image
		out.Images[i].Pinned = img.Pinned && !slices.Contains(ours, pinName(img))
	}
	return out
}

func (g *Gate) believed(user string) bool {
	return slices.Contains(controllers, user) || slices.Contains(g.controllers, user)
}

// pinnedAnnotation lists the images of a pod that were asked for by tag and that the mutating webhook
// pinned, so that a policy about pinning judges what the author wrote. To write it oneself only makes
// the verdict stricter.
const pinnedAnnotation = "admission.hullmark.dev/pinned"

func pinnedByUs(o *workload.Object) []string {
	if !o.IsPod() || o.Annotations[pinnedAnnotation] == "" {
		return nil
	}
	return strings.Split(o.Annotations[pinnedAnnotation], ",")
}

// pinName is an image's entry in the annotation. Containers of all roles share one space of names,
// volumes have their own.
func pinName(img workload.Image) string {
	if img.Role == workload.Volume {
		return "volume/" + img.Container
	}
	return img.Container
}
