// Package container tells which container a control group belongs to, which image it was made from, and
// which of the image's layers each lower layer of its overlay is.
//
// It asks container runtimes through [Source], off the path of events, with a bound on time and number of
// tries. It never guesses: a runtime that does not answer, or an overlay that does not have the image's
// layers, leaves a gap that is named, and layer numbers stay unexplained.
package container

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// Container is what a runtime knows about a container. It does not change once it is found.
type Container struct {
	ID      string
	Name    string // of the container in its pod, or podman's name
	Runtime string // the source that knew it: "cri", "podman", "rule"
	Cgroup  string // path of its control group; groups below it are the container's too

	Image     digest.Digest // manifest, or configuration where the runtime knows no more; "" when unknown
	Reference string        // as it was asked for, e.g. "127.0.0.1:5000/acme/shop:1"
	Pod       string
	Workload  evidence.WorkloadRef

	// DiffIDs are the layers of the image, lowest first; empty when unknown.
	DiffIDs []digest.Digest
	// Lower maps a lower folder of the overlay, as its options name it, to the layer it holds, for
	// runtimes that write this down. Nil where only the order tells.
	Lower map[string]digest.Digest
	// Merged is where the root is mounted in the host's view; "" when unknown.
	Merged string
	// Root is what the root file system is made of; see [Locate].
	Root Root
	// Gaps are what could not be found out, as sentences.
	Gaps []string
}

// Display is what people call the container: the pod where there is one.
func (c *Container) Display() string {
	switch {
	case c.Pod != "":
		return c.Pod
	case c.Name != "":
		return c.Name
	default:
		return c.ID[:min(len(c.ID), 12)]
	}
}

// Ref is what is known about a container before anybody is asked.
type Ref struct {
	Cgroup string
	ID     string // by the path; "" when the path names none
}

// ErrUnknown is what a source returns for a container that is not, or not yet, its own.
var ErrUnknown = errors.New("unknown container")

// Source is a container runtime, or a configuration that stands in for one.
type Source interface {
	// Name is the runtime's name, for Container.Runtime.
	Name() string
	// Find returns the container, ErrUnknown when it has none by that reference, or why it could not tell.
	Find(ctx context.Context, ref Ref) (*Container, error)
}

// idSegment matches the last part of a group's name as cgroupfs and systemd drivers of the runtimes write
// it: "<id>", "cri-containerd-<id>.scope", "libpod-<id>", "docker-<id>.scope", "crio-<id>.scope".
var idSegment = regexp.MustCompile(`^(?:[a-z-]+[-:])?([0-9a-f]{64})(?:\.scope|\.service)?$`)

// Refs returns the containers that a group may belong to, innermost first. The monitor of a container
// (conmon) is not in it.
func Refs(path string) []Ref {
	var out []Ref
	at := ""
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		at += "/" + segment
		m := idSegment.FindStringSubmatch(segment)
		if m == nil || strings.Contains(segment, "conmon-") {
			continue
		}
		out = append(out, Ref{Cgroup: at, ID: m[1]})
	}
	slices.Reverse(out)
	return out
}

// Below reports whether the group at path is root or lies below it.
func Below(path, root string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}
