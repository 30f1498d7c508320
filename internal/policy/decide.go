package policy

import (
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/policy/ir"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxReported limits the findings of one check about one image that a verdict lists, of those excepted and
// of the others each. All are evaluated; an image of ten thousand components stays readable.
const maxReported = 32

// Decide answers a request. It is a pure function: it reads no clock but req.At and does no I/O but what
// records does, which it calls once for each image that has a digest. An error in a policy is a failure
// with the effect of the policy's stage.
func (p *Program) Decide(req Request, records func(digest string) Record, exceptions []Exception) Verdict {
	e := &evaluation{
		scope: newScope(&req), exceptions: newResolver(&req, exceptions),
		verdict: Verdict{Allow: true, Revision: p.revision, Findings: []Failure{}, Exceptions: []int64{}},
	}
	for i := range req.Images {
		image := &req.Images[i]
		record := Record{}
		if image.Digest != "" {
			record = records(image.Digest)
			record.Digest = image.Digest
		}
		e.verdict.Head = max(e.verdict.Head, record.Head)
		e.scope.image, e.scope.record = image, view(&req, &record)
		for j := range p.policies {
			e.guarded(&p.policies[j])
		}
	}
	if len(e.exceptions.used) > 0 {
		e.verdict.Exceptions = e.exceptions.used
	}
	return e.verdict
}

// evaluation is the state of one Decide.
type evaluation struct {
	scope      *scope
	exceptions *resolver
	verdict    Verdict

	// Of the check that is evaluated:
	stage              Stage
	reported, excepted int
}

// guarded turns a defect of ours into a failure of the policy that met it: the webhook goes on, and nothing is
// let in by a crash.
func (e *evaluation) guarded(p *ir.Policy) {
	defer func() {
		if r := recover(); r != nil {
			e.broken(p, "evaluation", fmt.Errorf("a defect of Hullmark's, please report it: %v", r))
		}
	}()
	e.policy(p)
}

func (e *evaluation) policy(p *ir.Policy) {
	e.scope.component, e.scope.recall, e.stage = nil, nil, Stage(p.Stage)
	applies, err := e.applies(p)
	if !applies && err == nil {
		return
	}
	e.rollout(p)
	if err != nil {
		e.broken(p, "match", err)
		return
	}
	for _, c := range p.Preconditions {
		holds, err := c.Eval(e.scope)
		if err != nil {
			e.broken(p, "preconditions", err)
			return
		}
		if !holds {
			return
		}
	}
	for i := range p.Checks {
		e.check(p, &p.Checks[i])
	}
}

// applies reports whether the policy is about this image in this request.
func (e *evaluation) applies(p *ir.Policy) (bool, error) {
	matched, err := covers(&p.Match, e.scope.request, e.scope.image)
	if err != nil || !matched {
		return false, err
	}
	for i := range p.Exclude {
		excluded, err := covers(&p.Exclude[i], e.scope.request, e.scope.image)
		if err != nil || excluded {
			return false, err
		}
	}
	return true, nil
}

// rollout finds the stage: the last entry that matches wins. One that may or may not match, because the
// labels are not known, counts only where it is stricter.
func (e *evaluation) rollout(p *ir.Policy) {
	e.stage, e.scope.params = Stage(p.Stage), p.Params
	for i := range p.Rollout {
		r := &p.Rollout[i]
		matched, err := covers(&r.Match, e.scope.request, e.scope.image)
		if err != nil && stricter(Stage(r.Stage), e.stage) {
			matched = true
		}
		if !matched {
			continue
		}
		e.stage, e.scope.params = Stage(r.Stage), p.Params
		if r.Params != nil {
			e.scope.params = r.Params
		}
	}
}

var strictness = [...]Stage{Simulate, Audit, Warn, Enforce}

func stricter(a, b Stage) bool {
	return slices.Index(strictness[:], a) > slices.Index(strictness[:], b)
}

func (e *evaluation) check(p *ir.Policy, c *ir.Check) {
	e.scope.component, e.scope.recall = nil, nil
	e.reported, e.excepted = 0, 0
	switch c.Over {
	case ir.Components:
		components := e.scope.record.Contents.Components
		for i := range components {
			e.scope.component = &components[i]
			e.hold(p, c)
		}
	case ir.Recalls:
		recalls := e.scope.record.Recalls
		for i := range recalls {
			e.scope.recall = &recalls[i]
			e.hold(p, c)
		}
	default:
		e.hold(p, c)
	}
}

func (e *evaluation) hold(p *ir.Policy, c *ir.Check) {
	holds, err := c.Holds.Eval(e.scope)
	if holds && err == nil {
		return
	}
	f := e.failure(p, c.Name)
	e.blame(&f, c)
	if !e.report(&f) {
		return
	}
	f.Message, f.Missing = e.sentence(c.Message), e.sentence(c.Missing)
	if err != nil {
		f.fails(err)
	}
	e.list(f)
}

// broken reports a policy that could not be asked at all.
func (e *evaluation) broken(p *ir.Policy, what string, err error) {
	e.reported, e.excepted = 0, 0
	f := e.failure(p, what)
	e.report(&f)
	f.fails(err)
	e.list(f)
}

func (f *Failure) fails(err error) {
	f.Error = err.Error()
	f.Message = "the policy could not be evaluated: " + f.Error
	f.Missing = "mend the policy, or what it reads; until then this counts as not met"
}

func (e *evaluation) failure(p *ir.Policy, check string) Failure {
	image := e.scope.image
	return Failure{Policy: p.Name, Check: check, Stage: e.stage, Namespace: e.scope.request.Namespace,
		Container: image.Container, Image: image.Reference, Digest: image.Digest,
		Publisher: e.scope.record.Publication.Publisher}
}

// blame names the component, its release and its publisher where one is the cause.
func (e *evaluation) blame(f *Failure, c *ir.Check) {
	if c.Blame != ir.BlameComponent {
		return
	}
	component := e.scope.component
	if recall := e.scope.recall; recall != nil {
		component = e.scope.record.recalled(recall)
		if component == nil { // the image itself, or a file of no package
			return
		}
	}
	f.Component, f.Publisher = component.PURL, component.Published.Publisher
	f.Release = releaseName(component.PURL)
}

// recalled finds the component by which a recall reaches the image.
func (v *recordView) recalled(r *Recall) *componentView {
	if r.Via == "" {
		return nil
	}
	var byFile *componentView
	for i := range v.Contents.Components {
		switch c := &v.Contents.Components[i]; {
		case c.PURL == r.Via || c.PURL == r.Subject:
			return c
		case byFile == nil && c.named(*r):
			byFile = c
		}
	}
	return byFile
}

// releaseName returns "@acme/ui-kit 4.2.1" for a purl.
func releaseName(p string) string {
	_, name, version := purl.PURL(p).Split()
	if version == "" {
		return name
	}
	return name + " " + version
}

// sentence evaluates a text; one that cannot be is shown as it is written: the failure is what counts.
func (e *evaluation) sentence(t ir.Text) string {
	text, err := t.Eval(e.scope)
	if err != nil {
		return fmt.Sprintf("%s (%v)", t.Source, err)
	}
	return text
}

// report applies exceptions, and says whether the failure is still to be listed.
func (e *evaluation) report(f *Failure) bool {
	f.Exception = e.exceptions.find(f, e.scope.image)
	count := &e.reported
	if f.Exception != 0 {
		e.exceptions.use(f.Exception)
		count = &e.excepted
	} else if f.Stage == Enforce {
		e.verdict.Allow = false
	}
	*count++
	return *count <= maxReported
}

func (e *evaluation) list(f Failure) {
	if e.reported == maxReported && f.Exception == 0 || e.excepted == maxReported && f.Exception != 0 {
		f.Message += " (further failures of this check are not listed)"
	}
	e.verdict.Findings = append(e.verdict.Findings, f)
}
