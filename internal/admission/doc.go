// Package admission is the gate of a Kubernetes cluster: a validating webhook that decides about every
// object that would run images, and a mutating one that pins the tags of pods to the digests that are
// decided on. (admission.k8s.io/v1)
//
// It decides from a snapshot in memory and from the request, and from nothing else: no disk and no
// network while a request waits. It refuses to guess: an object that cannot be read, an image reference
// with an odd name or a policy that fails to evaluate is a failure, never "not matched". Before its
// snapshot was whole once it answers with an error, so that the cluster's failurePolicy speaks.
//
// Below it: workload reads objects, snapshot keeps the record, report carries decisions to the server,
// certs is the webhook's own authority, install puts the webhook into the cluster and keeps it there.
package admission
