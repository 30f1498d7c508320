package container

import (
	"context"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// Rule says by hand what runs in a control group, for containers that no runtime on this node knows.
type Rule struct {
	Cgroup    string
	Container Container
}

// ParseRule reads CGROUP_PATH=IMAGE_DIGEST[,key=value…]. Keys are cluster, namespace, kind, name, pod,
// reference, root (where the host has the container's root mounted), and layers: diffIDs, lowest first,
// joined by "+". It fails with code container-rule-invalid.
func ParseRule(s string) (Rule, error) {
	invalid := func(why string) (Rule, error) {
		return Rule{}, fault.New(fault.Invalid, "container-rule-invalid",
			"%q is not a container rule (%s); expected CGROUP_PATH=IMAGE_DIGEST[,namespace=…,kind=…,name=…,pod=…,reference=…,root=/…,layers=sha256:…+sha256:…]", s, why)
	}
	path, rest, ok := strings.Cut(s, "=")
	if !ok || !strings.HasPrefix(path, "/") || path == "/" {
		return invalid("the path of the group starts with / and is not the root")
	}
	first, rest, _ := strings.Cut(rest, ",")
	image, err := digest.Parse(first)
	if err != nil {
		return invalid("the image is named by its digest")
	}
	path = strings.TrimSuffix(path, "/")
	r := Rule{Cgroup: path, Container: Container{ID: path[strings.LastIndex(path, "/")+1:], Cgroup: path, Image: image}}
	r.Container.Workload.Kind = "container"
	r.Container.Workload.Name = r.Container.ID
	for pair := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(pair, "=")
		if rest == "" {
			break
		}
		if why := r.Container.set(key, value); why != "" {
			return invalid(why)
		}
	}
	return r, nil
}

// set is one key=value of a rule. It returns what is wrong.
func (c *Container) set(key, value string) string {
	fields := map[string]*string{
		"cluster": &c.Workload.Cluster, "namespace": &c.Workload.Namespace, "kind": &c.Workload.Kind,
		"name": &c.Workload.Name, "pod": &c.Pod, "reference": &c.Reference, "root": &c.Merged,
	}
	if field, ok := fields[key]; ok {
		*field = value
		return ""
	}
	if key != "layers" {
		return "unknown key " + key
	}
	for part := range strings.SplitSeq(value, "+") {
		diffID, err := digest.Parse(part)
		if err != nil {
			return "a layer is named by its diffID"
		}
		c.DiffIDs = append(c.DiffIDs, diffID)
	}
	return ""
}

// Rules are a source made of rules.
type Rules []Rule

// Name implements Source.
func (Rules) Name() string { return "rule" }

// Find implements Source.
func (rules Rules) Find(_ context.Context, ref Ref) (*Container, error) {
	for _, r := range rules {
		if ref.Cgroup == r.Cgroup {
			c := r.Container
			return &c, nil
		}
	}
	return nil, ErrUnknown
}

// Refs returns the rules' groups that a group belongs to, innermost first.
func (rules Rules) Refs(path string) []Ref {
	var out []Ref
	for _, r := range rules {
		if Below(path, r.Cgroup) {
			out = append(out, Ref{Cgroup: r.Cgroup, ID: r.Container.ID})
		}
	}
	return out
}
