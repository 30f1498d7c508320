// Package workload reads Kubernetes objects that carry a pod, and answers one question: which images
// would this object run? It is the one canonical answer, for every gate and tool that needs it.
//
// Pods, the built-in kinds with a pod template, and any unknown kind in which a pod template is found
// are read alike: regular, init and ephemeral containers, and image volumes. An image that cannot be
// read is listed with its error; it is never left out. The package decodes bytes and talks to nobody.
package workload
