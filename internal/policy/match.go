package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// covers reports whether a scope holds a request's image. It fails when a namespace selector has to be
// asked and the namespace's labels are not known: that is an error, not a "no".
func covers(m *ir.Match, req *Request, image *Image) (bool, error) {
	if !anyGlob(m.Clusters, req.Cluster) || !anyGlob(m.Namespaces, req.Namespace) ||
		!anyOf(m.Kinds, req.Kind) || !anyOf(m.Operations, req.Operation) || !anyGlob(m.Users, req.User) {
		return false, nil
	}
	if len(m.Images) > 0 && !slices.ContainsFunc(m.Images, func(prefix string) bool { return image.within(prefix) }) {
		return false, nil
	}
	if m.Selector == nil {
		return true, nil
	}
	if len(req.Labels) == 0 { // every namespace has kubernetes.io/metadata.name
		return false, fmt.Errorf("the labels of namespace %q are not known, and a namespace selector asks for them", req.Namespace)
	}
	for _, r := range m.Selector.Requirements {
		if !r.Holds(req.Labels) {
			return false, nil
		}
	}
	return true, nil
}

func anyOf(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

func anyGlob(list []string, value string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(pattern string) bool { return glob(pattern, value) })
}

// glob matches a pattern in which * stands for any run of characters.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		var middle string
		middle, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, middle)
		}
		i := strings.Index(s, middle)
		if i < 0 {
			return false
		}
		s = s[i+len(middle):]
	}
}

// within reports whether the image is the one that prefix names, or below it. prefix is a digest, or the
// beginning of a reference that ends where a segment, a tag or a digest does: "registry/acme" holds
// registry/acme/shop:1 and not registry/acme-evil/shop:1. A reference without a registry is taken as the
// object has it, never as one of any registry.
func (i *Image) within(prefix string) bool {
	if prefix == "" {
		return false
	}
	if prefix == i.Digest || below(i.Reference, prefix) {
		return true
	}
	if i.Registry == "" || i.Repository == "" {
		return false
	}
	// A host has no case: the runtime pulls from Registry.Example what a scope calls registry.example.
	name := strings.ToLower(i.Registry) + "/" + i.Repository
	host, path, isPath := strings.Cut(prefix, "/")
	if prefix = strings.ToLower(host); isPath {
		prefix += "/" + path
	}
	return below(name, prefix) || i.Tag != "" && below(name+":"+i.Tag, prefix) || i.Digest != "" && below(name+"@"+i.Digest, prefix)
}

func below(reference, prefix string) bool {
	rest, ok := strings.CutPrefix(reference, prefix)
	if !ok {
		return false
	}
	switch {
	case rest == "", strings.HasSuffix(prefix, "/"), rest[0] == '/', rest[0] == '@':
		return true
	default: // a colon before a tag, not before a port
		return rest[0] == ':' && !strings.Contains(rest, "/")
	}
}
