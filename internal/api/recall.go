package api

import (
	"net/http"
	"strconv"

	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/recall"
)

func (a *API) listRecalls(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	after, limit, err := pageBySeq(r)
	if err != nil {
		return err
	}
	found, err := a.Recalls.List(r.Context(), after, limit)
	if err != nil {
		return err
	}
	// A digest that nothing here has is nobody's to read; only administrators recall such.
	admin := a.Accounts.RequireAdmin(r.Context(), actor) == nil
	out := resource.Page[resource.Recall]{Items: []resource.Recall{}}
	for _, one := range found {
		if !admin {
			if one.Subjects, err = a.readableOf(r, actor, one.Subjects); err != nil {
				return err
			}
		}
		if len(one.Subjects) > 0 {
			out.Items = append(out.Items, recallOf(one))
		}
	}
	if len(found) == limit {
		out.Next = cursor(strconv.FormatInt(found[limit-1].Seq, 10))
	}
	return reply(w, r, http.StatusOK, out)
}

// readableOf keeps the subjects that the actor may read: a digest that is recalled can be in a public
// and in a private repository, and the recall names both.
func (a *API) readableOf(r *http.Request, actor evidence.Actor, subjects []string) ([]string, error) {
	var out []string
	for _, s := range subjects {
		err := a.Tracer.MayRead(r.Context(), actor, s)
		if err == nil {
			out = append(out, s)
		} else if !refused(err) {
			return nil, err
		}
	}
	return out, nil
}

func recallOf(r recall.Recall) resource.Recall {
	return resource.Recall{
		Subject: list(r.Subjects), Reason: r.Reason, Cause: string(r.Cause), Account: r.Account, At: r.At, Seq: r.Seq, Known: r.Known,
		Gates: r.Gates, System: r.System, Canary: scopeOf(r.Canary), Undo: r.Undo,
	}
}

func scopeOf(w *evidence.WorkloadRef) *resource.Scope {
	if w == nil {
		return nil
	}
	return &resource.Scope{Cluster: w.Cluster, Namespace: w.Namespace, Kind: w.Kind, Name: w.Name}
}

func workloadOf(s resource.Scope) *evidence.WorkloadRef {
	return &evidence.WorkloadRef{Cluster: s.Cluster, Namespace: s.Namespace, Kind: s.Kind, Name: s.Name}
}

func (a *API) makeRecall(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	var in resource.NewRecall
	if err := decode(r, &in); err != nil {
		return err
	}
	o := recall.Order{Subject: in.Subject, Reason: in.Reason, Cause: recall.Cause(in.Cause), Gates: in.Gates, System: in.System}
	if in.Canary != nil {
		o.Canary = workloadOf(*in.Canary)
	}
	made, err := a.Recalls.Recall(r.Context(), actor, o)
	if err != nil {
		return err
	}
	return reply(w, r, http.StatusCreated, recallOf(made))
}

func (a *API) liftRecall(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	err := a.Recalls.Lift(r.Context(), actor, r.PathValue("subject"), r.URL.Query().Get("reason"))
	return done(w, err)
}

// previewRecall answers what a recall would do. The parameters are the members of a recall's body.
func (a *API) previewRecall(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	q := r.URL.Query()
	o := recall.Order{Subject: q.Get("subject"), Gates: q["gate"], System: q.Get("system") == "true"}
	if c := q.Get("canary"); c != "" {
		o.Canary = workloadOf(*resource.ParseScope(c))
	}
	p, err := a.Recalls.Preview(r.Context(), actor, o)
	if err != nil {
		return err
	}
	out := resource.RecallPreview{
		Subject: list(p.Subjects), Known: p.Known, Releases: p.Releases, Images: p.Images, Named: list(p.Named),
		Pulls: []resource.Pulls{}, Pods: p.Pods, Workloads: []resource.RecalledWorkload{}, Stuck: p.Stuck, System: p.System,
		Executed: p.Executed, Receivers: p.Receivers, Refusal: p.Refusal,
	}
	for _, d := range p.Pulls {
		out.Pulls = append(out.Pulls, resource.Pulls{Day: d.Day, Pulls: d.Pulls})
	}
	for _, one := range p.Workloads {
		out.Workloads = append(out.Workloads, resource.RecalledWorkload{
			Scope: *scopeOf(&one.WorkloadRef), Pods: one.Pods, Restart: one.Restart, System: one.System,
		})
	}
	return reply(w, r, http.StatusOK, out)
}

func (a *API) recallReceipts(w http.ResponseWriter, r *http.Request, actor evidence.Actor) error {
	seq, err := strconv.ParseInt(r.PathValue("seq"), 10, 64)
	if err != nil || seq < 0 {
		return fault.New(fault.Invalid, "request-invalid", "a recall has a number; list the recalls to see it")
	}
	found, err := a.Recalls.Receipts(r.Context(), actor, seq)
	if err != nil {
		return err
	}
	out := resource.RecallReceipts{Recall: recallOf(found.Recall), Received: []resource.Receipt{}, Missing: []resource.Receiver{}}
	for _, one := range found.Received {
		out.Received = append(out.Received, resource.Receipt{
			Receiver: one.Receiver, Gate: one.Gate, Outcome: one.Outcome, Stopped: one.Stopped, At: one.At,
			Milliseconds: one.At.Sub(found.At).Milliseconds(), Seq: one.Seq,
		})
	}
	for _, m := range found.Missing {
		out.Missing = append(out.Missing, resource.Receiver{Receiver: m.Receiver, Gate: m.Gate, Seen: optional(m.Seen)})
	}
	return reply(w, r, http.StatusOK, out)
}
