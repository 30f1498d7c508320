package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// InForce reports whether an exception may be used at a moment: approved, not revoked, not expired. It
// stops working at the very moment that it names. Without a clock, at the zero time, none is in force.
func (e Exception) InForce(at time.Time) bool {
	return !at.IsZero() && e.ApprovedSeq > 0 && e.RevokedSeq == 0 && at.Before(e.Expires)
}

// resolver is the one place where exceptions are applied, for webhook, command line and recomputation.
type resolver struct {
	usable []usable // by number
	used   []int64
}

// usable is an exception in force that is within scope as far as the request alone tells.
type usable struct {
	*Exception
	component string // of the scope, spelt as components are
}

func newResolver(req *Request, exceptions []Exception) *resolver {
	r := &resolver{}
	for i := range exceptions {
		e := &exceptions[i]
		if e.InForce(req.At) && e.Scope != (evidence.ExceptionScope{}) && reachesWorkload(e.Scope, req) {
			r.usable = append(r.usable, usable{e, canonical(e.Scope.Component)})
		}
	}
	slices.SortFunc(r.usable, func(a, b usable) int { return cmp.Compare(a.ID, b.ID) })
	return r
}

// canonical spells a purl as the record does; what is none stays as it is and matches nothing.
func canonical(component string) string {
	if p, err := purl.Parse(component); err == nil {
		return string(p)
	}
	return component
}

func reachesWorkload(s evidence.ExceptionScope, req *Request) bool {
	return is(s.Cluster, req.Cluster) && is(s.Namespace, req.Namespace) && is(s.Kind, req.Kind) && is(s.Name, req.Name)
}

func is(want, have string) bool { return want == "" || want == have }

// find returns the number of the exception that lets a failure past, or 0. Of several it is the oldest, so that
// the same request is always counted under the same one.
func (r *resolver) find(f *Failure, image *Image) int64 {
	for _, e := range r.usable {
		if e.lets(f, image) {
			return e.ID
		}
	}
	return 0
}

func (r *resolver) use(id int64) {
	if i, seen := slices.BinarySearch(r.used, id); !seen {
		r.used = slices.Insert(r.used, i, id)
	}
}

func (e usable) lets(f *Failure, image *Image) bool {
	if e.Policy != "*" && e.Policy != f.Policy {
		return false
	}
	if e.Scope.Image != "" && !image.within(e.Scope.Image) {
		return false
	}
	return e.component == "" || sameComponent(e.component, f.Component)
}

// sameComponent reports whether a purl is the one in a scope, which may leave the version out.
// A failure that blames no component is not let past by an exception for one.
func sameComponent(scope, component string) bool {
	if scope == "" || component == "" {
		return false
	}
	if scope == component {
		return true
	}
	rest, ok := strings.CutPrefix(component, scope)
	if !ok {
		return false
	}
	version, _, _ := strings.Cut(rest, "?")
	version, _, _ = strings.Cut(version, "#")
	return version == "" || version[0] == '@' && !strings.ContainsAny(scope, "@?#") && !strings.Contains(version, "/")
}
