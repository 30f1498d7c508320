package container

import (
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

// owner tells the workload that made a pod from the labels that Kubernetes' own controllers put on it, and
// the pod's name, which those controllers build from the owner's. Where the two do not agree, or no such
// label is there, the pod is its own workload.
func owner(pod string, labels map[string]string) evidence.WorkloadRef {
	if hash := labels["pod-template-hash"]; hash != "" {
		if name, _, ok := strings.Cut(pod, "-"+hash+"-"); ok {
			return evidence.WorkloadRef{Kind: "Deployment", Name: name}
		}
	}
	if labels["statefulset.kubernetes.io/pod-name"] == pod && pod != "" {
		if i := strings.LastIndexByte(pod, '-'); i > 0 {
			return evidence.WorkloadRef{Kind: "StatefulSet", Name: pod[:i]}
		}
	}
	job := labels["batch.kubernetes.io/job-name"]
	if job == "" {
		job = labels["job-name"]
	}
	if job != "" && strings.HasPrefix(pod, job+"-") {
		return evidence.WorkloadRef{Kind: "Job", Name: job}
	}
	if labels["controller-revision-hash"] != "" && labels["pod-template-generation"] != "" {
		if i := strings.LastIndexByte(pod, '-'); i > 0 {
			return evidence.WorkloadRef{Kind: "DaemonSet", Name: pod[:i]}
		}
	}
	return evidence.WorkloadRef{Kind: "Pod", Name: pod}
}
