package trace

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// maxGateDecisions bounds the decisions of the admit and run gates below an image: every pod makes one.
const maxGateDecisions = 20

// runs are where images run, as agents saw it, and where something was seen executing.
type runs struct {
	workloads map[evidence.WorkloadRef]int           // containers
	executed  map[evidence.WorkloadRef]bool          // where it was loaded as code or executed
	placed    map[int64][]*Node                      // by image
	seen      map[int64][]*Node                      // behaviours by image
	counted   map[int64]map[evidence.WorkloadRef]int // containers by image, so that joining counts none twice
}

func newRuns() *runs {
	return &runs{
		workloads: map[evidence.WorkloadRef]int{}, executed: map[evidence.WorkloadRef]bool{},
		placed: map[int64][]*Node{}, seen: map[int64][]*Node{}, counted: map[int64]map[evidence.WorkloadRef]int{},
	}
}

// watched reports whether any agent has said anything: only then does "runs nowhere" mean something. What
// runs where is for people with an account: anybody may read what is public, but not how it is used.
func (r *reader) watched() (bool, error) {
	if r.actor.Anonymous() {
		return false, nil
	}
	return inside.One[bool](r.Reader, `SELECT EXISTS (SELECT 1 FROM running WHERE image > '') OR EXISTS (SELECT 1 FROM behaviour WHERE component > '')`)
}

// runsOf returns where the images of c run that the actor may read and that still hold it, and where the
// component was seen executing in one of them; nil when no agent has said anything.
func (r *reader) runsOf(c *containment, component string) (*runs, error) {
	if ok, err := r.watched(); err != nil || !ok {
		return nil, err
	}
	var ids []any
	for id, h := range c.images {
		if h.readable && !h.introduced().hidden {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b any) int { return cmp.Compare(a.(int64), b.(int64)) })
	out := newRuns()
	if err := r.placements(out, ids); err != nil {
		return nil, err
	}
	return out, r.behaviours(out, `b.component = $1`, component, ids)
}

func (r *reader) placements(out *runs, images []any) error {
	return r.In(`SELECT a.id, w.cluster, w.namespace, w.kind, w.name, w.containers, w.seq FROM artifact a
		JOIN running w ON w.image = a.digest AND w.containers > 0 WHERE a.id IN (%s)
		ORDER BY a.id, w.containers DESC, w.cluster, w.namespace, w.kind, w.name`, images, func(rows *sql.Rows) error {
		var image, seq int64
		var w evidence.WorkloadRef
		var containers int
		if err := rows.Scan(&image, &w.Cluster, &w.Namespace, &w.Kind, &w.Name, &containers, &seq); err != nil {
			return err
		}
		out.count(image, w, containers)
		n := &Node{Kind: KindPlacement, ID: workloadText(w), Title: "runs in " + workloadText(w) + " (" + plural(containers, "container") + ")"}
		out.placed[image] = append(out.placed[image], n.workload(w).setInt("containers", containers).rests(seq))
		return nil
	})
}

func (s *runs) count(image int64, w evidence.WorkloadRef, containers int) {
	if s.counted[image] == nil {
		s.counted[image] = map[evidence.WorkloadRef]int{}
	}
	s.counted[image][w] = containers
	s.workloads[w] += containers
}

// behaviours adds what agents saw, in images that are known to be readable. first selects the rows.
func (r *reader) behaviours(out *runs, where, first string, images []any) error {
	return r.In(`SELECT a.id, b.component, b.fact, b.cluster, b.namespace, b.kind, b.name, sum(b.count), count(DISTINCT b.node), min(b.first), max(b.last), max(b.seq)
		FROM behaviour b JOIN artifact a ON a.digest = b.image WHERE `+where+` AND a.id IN (%s)
		GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 3, 8 DESC, 2, 4, 5, 6, 7`, images, func(rows *sql.Rows) error {
		var image, count, seq int64
		var component, fact, begin, end string
		var nodes int
		var w evidence.WorkloadRef
		if err := rows.Scan(&image, &component, &fact, &w.Cluster, &w.Namespace, &w.Kind, &w.Name, &count, &nodes, &begin, &end, &seq); err != nil {
			return err
		}
		out.executed[w] = true
		n := &Node{Kind: KindBehaviour, ID: component, Title: fmt.Sprintf("%s %s in %s on %s, last at %s",
			fact, timesText(count), workloadText(w), plural(nodes, "node"), minute(end))}
		if !strings.HasPrefix(where, "b.component") {
			n.Title = component + " " + n.Title
		}
		n.workload(w).set("fact", fact).set("count", strconv.FormatInt(count, 10)).set("first", begin).set("last", end)
		out.seen[image] = append(out.seen[image], n.rests(seq))
		return nil
	}, first)
}

func timesText(n int64) string {
	if n == 1 {
		return "once"
	}
	return strconv.FormatInt(n, 10) + " times"
}

// workloadText names a workload from the outside in, without what is not known.
func workloadText(w evidence.WorkloadRef) string {
	parts := slices.DeleteFunc([]string{w.Cluster, w.Namespace, w.Kind, w.Name}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return "a container"
	}
	return strings.Join(parts, "/")
}

func (n *Node) workload(w evidence.WorkloadRef) *Node {
	return n.set("cluster", w.Cluster).set("namespace", w.Namespace).set("workloadKind", w.Kind).set("workload", w.Name)
}

// nodes are the placements and behaviours of one image, at most limit of each.
func (s *runs) nodes(image int64, limit int) []*Node {
	if s == nil {
		return nil
	}
	return append(cut(s.placed[image], limit, "workload"), cut(s.seen[image], limit, "behaviour")...)
}

// join adds what another release found; an image that holds both counts once.
func (s *runs) join(other *runs) *runs {
	if s == nil || other == nil {
		return cmp.Or(s, other)
	}
	for image, workloads := range other.counted {
		if s.counted[image] == nil {
			for w, containers := range workloads {
				s.count(image, w, containers)
			}
		}
	}
	maps.Copy(s.executed, other.executed)
	return s
}

// sentence is the part of a summary that says where it runs.
func (s *runs) sentence() string {
	if s == nil {
		return ""
	}
	total := 0
	for _, n := range s.workloads {
		total += n
	}
	out := ", running in " + plural(len(s.workloads), "workload")
	if total > 0 {
		out += " (" + plural(total, "container") + ")"
	}
	return out + ", executed in " + plural(len(s.executed), "workload")
}

// addRuntime hangs below an image where it runs, what its components were seen doing, and what the admit
// and run gates decided about it, the newest; it returns the part of the summary.
func (r *reader) addRuntime(root *Node, image int64) (string, error) {
	if r.actor.Anonymous() {
		return "", nil
	}
	if err := r.addGateDecisions(root); err != nil {
		return "", err
	}
	if ok, err := r.watched(); err != nil || !ok {
		return "", err
	}
	found := newRuns()
	if err := r.placements(found, []any{image}); err != nil {
		return "", err
	}
	if err := r.behaviours(found, `b.component > $1`, "", []any{image}); err != nil {
		return "", err
	}
	root.add(found.nodes(image, r.limits.Releases)...)
	return found.sentence(), nil
}

// addGateDecisions hangs the newest decisions of the admit and run gates about an image below it, with the
// exceptions that they were made under.
func (r *reader) addGateDecisions(root *Node) error {
	var all []*Node
	err := r.Each(`SELECT s.body FROM statement_subject x JOIN decision d ON d.seq = x.seq JOIN statement s ON s.seq = d.seq
		WHERE x.subject = $1 AND d.gate IN ('admit', 'run') ORDER BY x.seq DESC LIMIT $2`,
		[]any{evidence.SubjectKey(root.ID), maxGateDecisions + 1}, func(rows *sql.Rows) error {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				return err
			}
			s, err := evidence.DecodeStatement(body)
			if err != nil {
				return err
			}
			d, err := evidence.Decode[evidence.Decision](s)
			all = append(all, gateDecision(s, d))
			return err
		})
	if err != nil {
		return err
	}
	if len(all) > maxGateDecisions {
		all = append(all[:maxGateDecisions], &Node{Kind: KindTruncated, Title: "truncated: more decisions before these"})
	}
	root.add(all...)
	return nil
}

func gateDecision(s evidence.Statement, d evidence.Decision) *Node {
	n := &Node{Kind: KindDecision, ID: strconv.FormatInt(s.Seq, 10), Title: d.Gate + " gate: " + d.Verdict + " " + d.Action}
	if d.Code != "" {
		n.Title += " (" + d.Code + ")"
	}
	if d.Workload != nil {
		n.Title += " in " + workloadText(*d.Workload)
		n.workload(*d.Workload)
	}
	var exceptions []string
	for _, id := range d.Exceptions {
		exceptions = append(exceptions, "#"+strconv.FormatInt(id, 10))
	}
	if len(exceptions) > 0 {
		n.Title += " under exception " + strings.Join(exceptions, ", ")
	}
	at := s.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	n.Title += " at " + minute(at)
	n.set("gate", d.Gate).set("action", d.Action).set("verdict", d.Verdict).set("code", d.Code).set("policy", d.Policy).set("at", at)
	return n.set("exceptions", strings.Join(exceptions, " ")).rests(s.Seq)
}
