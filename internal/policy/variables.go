package policy

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy/cel"
	"github.com/hullmark/hullmark/internal/policy/ir"
)

// What policies see is the Record with what depends on the moment and the gate: ages, and the recalls
// that reach this request. The views embed pointers: a record of a thousand components is not copied.

type recordView struct {
	*Record
	Age      ir.Age       `json:"age"`
	Contents contentsView `json:"contents"`
	Recalls  []Recall     `json:"recalls"`
}

type contentsView struct {
	*Contents
	Components []componentView `json:"components"`
}

type componentView struct {
	*Component
	Age      ir.Age `json:"age"`
	Recalled string `json:"recalled"`
}

type namespaceView struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

// variables returns the names that expressions may use, by what their check goes over.
func variables(over ir.Over) []ir.Variable {
	vars := []ir.Variable{
		{Name: "record", Type: reflect.TypeFor[recordView]()},
		{Name: "image", Type: reflect.TypeFor[Image]()},
		{Name: "workload", Type: reflect.TypeFor[evidence.WorkloadRef]()},
		{Name: "namespace", Type: reflect.TypeFor[namespaceView]()},
		{Name: "request", Type: reflect.TypeFor[Request]()},
		{Name: "params", Type: reflect.TypeFor[map[string]any]()},
		{Name: "now", Type: reflect.TypeFor[time.Time]()},
	}
	switch over {
	case ir.Components:
		return append(vars, ir.Variable{Name: "component", Type: reflect.TypeFor[componentView]()})
	case ir.Recalls:
		return append(vars, ir.Variable{Name: "recall", Type: reflect.TypeFor[Recall]()})
	default:
		return vars
	}
}

// Fields lists everything that expressions may read, component and recall included.
func Fields() []cel.Field {
	vars := append(variables(ir.Components), variables(ir.Recalls)[len(variables(ir.Images)):]...)
	fields, err := cel.Describe(vars)
	if err != nil {
		panic(err) // the variables are constants, and a test reads them
	}
	return fields
}

// scope holds the variables of one evaluation.
type scope struct {
	request   *Request
	workload  evidence.WorkloadRef
	namespace namespaceView
	image     *Image
	record    *recordView
	component *componentView
	recall    *Recall
	params    map[string]any
	spent     uint64
}

// Spend implements ir.Meter. The limit is one of all policies together: one that loops over everything for each of
// ten thousand components would otherwise hold a pod up for minutes.
func (s *scope) Spend(steps uint64) error {
	if s.spent += steps; s.spent > cel.MaxSteps {
		return errors.New("the policies take too many steps for one request; loop over less, or use foreach")
	}
	return nil
}

// Value implements ir.Values.
func (s *scope) Value(name string) any {
	switch name {
	case "record":
		return s.record
	case "image":
		return s.image
	case "component":
		if s.component != nil {
			return s.component
		}
	case "recall":
		if s.recall != nil {
			return s.recall
		}
	case "workload":
		return &s.workload
	case "namespace":
		return &s.namespace
	case "request":
		return s.request
	case "params":
		return s.params
	case "now":
		return s.request.At
	}
	return nil
}

func newScope(req *Request) *scope {
	return &scope{
		request:   req,
		workload:  evidence.WorkloadRef{Cluster: req.Cluster, Namespace: req.Namespace, Kind: req.Kind, Name: req.Name},
		namespace: namespaceView{Name: req.Namespace, Labels: req.Labels},
	}
}

// view makes what a request sees of a record.
func view(req *Request, r *Record) *recordView {
	v := &recordView{Record: r, Age: ir.AgeAt(req.At, r.Publication.At), Recalls: r.Recalls}
	v.Contents.Contents = &r.Contents
	elsewhere := func(recall Recall) bool { return !recall.reaches(req) }
	filtered := slices.ContainsFunc(r.Recalls, elsewhere)
	if filtered {
		v.Recalls = slices.DeleteFunc(slices.Clone(r.Recalls), elsewhere)
	}
	v.Contents.Components = make([]componentView, len(r.Contents.Components))
	for i := range r.Contents.Components {
		c := &r.Contents.Components[i]
		v.Contents.Components[i] = componentView{Component: c, Age: ir.AgeAt(req.At, c.Published.At), Recalled: c.Recalled}
		if filtered && c.Recalled != "" && !v.recalls(c) && r.recalls(c) {
			v.Contents.Components[i].Recalled = "" // by a recall that is for other gates
		}
	}
	return v
}

// recalls reports whether one of the recalls that are left is about the component.
func (v *recordView) recalls(c *Component) bool { return slices.ContainsFunc(v.Recalls, c.named) }
func (r *Record) recalls(c *Component) bool     { return slices.ContainsFunc(r.Recalls, c.named) }

func (c *Component) named(r Recall) bool {
	return r.Via == c.PURL || r.Subject == c.PURL || c.Artifact != "" && r.Subject == c.Artifact ||
		c.Release && c.Path != "" && r.Via == c.Path // a package database is the path of many
}

// GateAdmit is the gate that a request without one asks at.
const GateAdmit = "admit"

// reaches reports whether a recall is enforced at the request's gate and in its namespace. A cluster heals
// itself from its system namespaces, so a recall gets there only when it says so.
func (r Recall) reaches(req *Request) bool {
	gate := req.Gate
	if gate == "" {
		gate = GateAdmit
	}
	if len(r.Gates) > 0 && !slices.Contains(r.Gates, gate) {
		return false
	}
	return r.System || !SystemNamespace(req.Namespace)
}

// SystemNamespace reports whether Kubernetes itself runs in a namespace.
func SystemNamespace(name string) bool {
	return name == "kube-system" || name == "kube-public" || name == "kube-node-lease"
}
