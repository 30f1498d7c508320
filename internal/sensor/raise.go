package sensor

import (
	"encoding/json"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// raise makes an alert of an event, and tells it unless an equal one was told. a.mu is held; the routes
// do not block.
func (a *Agent) raise(b *box, ev *kernel.Event, c *content, code alert.Code, action string) {
	a.raiseDone(b, ev, c, code, action, actions[ev.Action])
}

func (a *Agent) raiseDone(b *box, ev *kernel.Event, c *content, code alert.Code, action string, done alert.Done) {
	p, ancestors := a.processes.Snapshot(ev)
	al := alert.Alert{
		ID: a.Random(), Code: code, Time: ev.Time, Action: action, Level: a.Level.String(), Done: done, Node: a.Node,
		Container: describe(b.c), Process: seenProcess(ev, p, ancestors), File: c.file, Release: c.release,
		Exception: a.exceptionFor(b), Count: 1, Gaps: append(append([]string(nil), b.c.Gaps...), c.gaps...),
	}
	al.Container.Cluster = a.Cluster
	if c.recall != nil {
		al.Recall = c.recall.Seq
		if al.Release != nil {
			recalled := *al.Release
			recalled.Recalled = c.recall.Reason
			al.Release = &recalled
		}
	}
	if ev.Peer.IsValid() && action == "connect" {
		al.Peer = ev.Peer.String()
	}
	al.Sentence = al.Compose()
	if a.book.Raise(&al, a.Clock.Now()) {
		a.tell(al)
	}
}

// tell hands an alert to every route.
func (a *Agent) tell(al alert.Alert) {
	if a.Lines != nil {
		a.Lines(Line{Type: "alert", Time: al.Time, Alert: &al})
	}
	if a.Alerts != nil {
		a.Alerts(al)
	}
	if a.Reporter != nil {
		a.Reporter.Urgent(a.decision(al))
	}
}

// decision is an alert as a statement.
func (a *Agent) decision(al alert.Alert) evidence.Draft {
	verdict := "allow"
	if al.Done != alert.Observed {
		verdict = "deny"
	}
	event, err := json.Marshal(al)
	if err != nil { // a struct of texts and numbers
		event = nil
	}
	where := al.Container.WorkloadRef
	d := evidence.Decision{
		Gate: "run", Action: al.Action, Verdict: verdict, Code: string(al.Code), Reasons: []string{al.Sentence},
		Count: al.Count, ID: al.ID, Workload: &where, Event: event,
	}
	var subjects []evidence.Subject
	if al.Release != nil {
		subjects = append(subjects, evidence.About(purl.PURL(al.Release.PURL), ""))
	}
	if al.Container.Image != "" {
		subjects = append(subjects, evidence.About("", al.Container.Image))
	}
	if len(subjects) == 0 {
		subjects = []evidence.Subject{a.self()}
	}
	return a.draft(d, subjects...)
}

func (a *Agent) draft(p evidence.Predicate, subjects ...evidence.Subject) evidence.Draft {
	return evidence.Draft{
		Subjects: subjects, Predicate: p, Issuer: evidence.Issuer{Kind: evidence.Agent, ID: a.Node}, Assurance: evidence.Observed,
	}
}

// self is the node as a subject.
func (a *Agent) self() evidence.Subject { return evidence.Subject{Name: "node:" + a.Node} }

// gap tells that something could not be seen.
func (a *Agent) gap(what, reason string) {
	g := evidence.Gap{What: what, Reason: reason}
	if a.Lines != nil {
		a.Lines(Line{Type: "gap", Time: a.Clock.Now(), Gap: &g})
	}
	if a.Reporter != nil {
		a.Reporter.Aggregate(a.draft(g, a.self()))
	}
	a.Logger.Warn("gap", "what", what, "reason", reason)
}

func (a *Agent) aggregate(drafts []evidence.Draft) {
	if a.Reporter == nil {
		return
	}
	for _, d := range drafts {
		a.Reporter.Aggregate(d)
	}
}

func seenProcess(ev *kernel.Event, p process.Process, ancestors []process.Ancestor) alert.Process {
	out := alert.Process{
		PID: ev.PID, Started: ev.Started, Comm: ev.Comm, Path: p.Path, Args: p.Args, UID: ev.UID, Ancestors: ancestors,
	}
	if out.Path == "" && ev.Kind == kernel.Exec && ev.Action != kernel.Denied { // it has ended meanwhile
		out.Path = ev.File.Path
	}
	if ev.Kind == kernel.Exec && ev.Args != "" {
		out.Args = ev.Args
	}
	return out
}
