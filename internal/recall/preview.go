package recall

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	// previewDays is how far back a preview counts pulls.
	previewDays = 7
	// maxListed bounds the images and workloads that a preview names; all are counted.
	maxListed = 50
)

// Preview is what a recall would do.
type Preview struct {
	Subjects []string
	Known    bool // the record knows one of them
	Releases int  // that nobody would download any more, images not counted
	Images   int  // that nobody would pull any more
	// Named are some of the images, by a reference that the caller may read.
	Named []string
	// Pulls are the downloads of all these in the last days, oldest first; days without any are left out.
	Pulls []Day
	Pods  int // containers of them that run
	// Workloads are where these run, as far as the caller may read the image, with most containers first.
	Workloads []Workload
	// Stuck is how many of the workloads would not start again: their image is refused.
	Stuck int
	// System is how many of the pods are in system namespaces, where only a recall with that word stops them.
	System int
	// Executed is how many workloads were seen to execute what is recalled.
	Executed  int
	Receivers int // that would be waited for
	// Refusal is why the recall would be refused as it is asked for; empty when it would not.
	Refusal string
}

// Day is how often something was downloaded in a day.
type Day struct {
	Day   string // "2006-01-02", UTC
	Pulls int64
}

// Workload is something that runs an image which the recall reaches.
type Workload struct {
	evidence.WorkloadRef
	Pods    int
	Restart bool // it would start again after a stop
	System  bool
}

// Preview returns what the recall would do: it is made, looked at and taken back. Codes as for
// [Service.Recall].
func (s *Service) Preview(ctx context.Context, actor evidence.Actor, o Order) (Preview, error) {
	o.Reason = "preview"
	drafts, subjects, err := s.drafts(ctx, actor, o)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Subjects: keys(subjects)}
	if p.Known, err = s.known(ctx, p.Subjects); err != nil {
		return p, err
	}
	select {
	case s.rehearsing <- struct{}{}: // one at a time: appends wait for each
		defer func() { <-s.rehearsing }()
	case <-ctx.Done():
		return p, ctx.Err()
	}
	err = s.record.Rehearse(ctx, func(tx *sql.Tx) error {
		return s.look(ctx, tx, actor, o, &p)
	}, drafts...)
	if err != nil {
		return p, err
	}
	expected, err := s.missing(ctx, Recall{Gates: o.Gates}, nil)
	p.Receivers = len(expected)
	for _, gate := range serverGates {
		if enforces(o.Gates, gate) {
			p.Receivers++
		}
	}
	return p, err
}

// touched selects what the recall that was tried reaches, by artifact: $1 is its number.
const touched = `(SELECT x.artifact_id AS id FROM recall_reach x JOIN recall r ON r.subject = x.subject WHERE r.seq = $1
	UNION SELECT a.id FROM artifact a JOIN recall r ON r.subject = a.digest WHERE r.seq = $1
	UNION SELECT l.artifact_id FROM release l JOIN recall r ON r.subject = l.purl WHERE r.seq = $1)`

// look reads what changed. The recall under rehearsal is the newest one.
func (s *Service) look(ctx context.Context, tx *sql.Tx, actor evidence.Actor, o Order, p *Preview) error {
	var seq int64
	if err := tx.QueryRowContext(ctx, `SELECT max(seq) FROM recall`).Scan(&seq); err != nil {
		return fmt.Errorf("preview: %w", err)
	}
	err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(a.kind <> 'manifest'), 0), coalesce(sum(a.kind = 'manifest'), 0)
		FROM `+touched+` t JOIN artifact a ON a.id = t.id WHERE EXISTS (SELECT 1 FROM release l WHERE l.artifact_id = a.id)`, seq).
		Scan(&p.Releases, &p.Images)
	if err != nil {
		return fmt.Errorf("preview: %w", err)
	}
	if err := s.lookAtPulls(ctx, tx, seq, p); err != nil {
		return err
	}
	readable, err := s.lookAtImages(ctx, tx, actor, seq, p)
	if err != nil {
		return err
	}
	if err := s.lookAtPods(ctx, tx, seq, o, readable, p); err != nil {
		return err
	}
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT DISTINCT cluster, namespace, kind, name FROM behaviour b
		JOIN recall r ON r.subject = b.component AND r.seq = $1 WHERE b.fact = 'executed')`, seq).Scan(&p.Executed)
	if err != nil {
		return fmt.Errorf("preview: %w", err)
	}
	return s.refusal(ctx, actor, o, p)
}

// refusal asks what stands in the way of the recall: one that is in force now.
func (s *Service) refusal(ctx context.Context, actor evidence.Actor, o Order, p *Preview) error {
	var subjects []evidence.Subject
	for _, key := range p.Subjects {
		subjects = append(subjects, subjectOf(key))
	}
	err := s.record.DB().Read(ctx, func(tx *sql.Tx) error { return s.mayReplace(ctx, tx, actor, subjects, o) })
	if fault.KindOf(err) == fault.Conflict && err != nil {
		p.Refusal = fault.As(err).Text
		return nil
	}
	return err
}

func (s *Service) lookAtPulls(ctx context.Context, tx *sql.Tx, seq int64, p *Preview) error {
	since := s.record.Now().AddDate(0, 0, 1-previewDays).Format(time.DateOnly)
	rows, err := tx.QueryContext(ctx, `SELECT substr(d.at, 1, 10), sum(d.count) FROM `+touched+` t JOIN release l ON l.artifact_id = t.id
		JOIN decision d ON d.subject = 'pulls:' || l.purl WHERE d.gate = 'pull' AND d.verdict = 'allow' AND d.at >= $2
		GROUP BY 1 ORDER BY 1`, seq, since)
	if err != nil {
		return fmt.Errorf("preview of pulls: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d Day
		if err := rows.Scan(&d.Day, &d.Pulls); err != nil {
			return fmt.Errorf("preview of pulls: %w", err)
		}
		p.Pulls = append(p.Pulls, d)
	}
	return rows.Err()
}

// lookAtImages names some of the images, and returns which repositories the actor may read, by name.
func (s *Service) lookAtImages(ctx context.Context, tx *sql.Tx, actor evidence.Actor, seq int64, p *Preview) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT g.name, coalesce((SELECT min(tag) FROM tag WHERE package_id = g.id AND version = l.version), '')
		FROM `+touched+` t JOIN release l ON l.artifact_id = t.id JOIN package g ON g.id = l.package_id AND g.ecosystem = 'oci'
		ORDER BY 1, 2`, seq)
	if err != nil {
		return nil, fmt.Errorf("preview of images: %w", err)
	}
	defer rows.Close()
	readable := map[string]bool{}
	for rows.Next() {
		var name, tag string
		if err := rows.Scan(&name, &tag); err != nil {
			return nil, fmt.Errorf("preview of images: %w", err)
		}
		ok, known := readable[name]
		if !known {
			ok = s.access.Authorize(ctx, actor, evidence.Read, purl.OCI, name) == nil
			readable[name] = ok
		}
		if ok && len(p.Named) < maxListed {
			p.Named = append(p.Named, strings.TrimSuffix(name+":"+tag, ":"))
		}
	}
	return readable, rows.Err()
}

// lookAtPods counts what runs. Where an image is only in repositories that the actor may not read, its
// containers are counted and not named.
func (s *Service) lookAtPods(ctx context.Context, tx *sql.Tx, seq int64, o Order, readable map[string]bool, p *Preview) error {
	rows, err := tx.QueryContext(ctx, `SELECT w.cluster, w.namespace, w.kind, w.name, coalesce(g.name, ''), count(DISTINCT w.node || ' ' || w.container)
		FROM `+touched+` t JOIN artifact a ON a.id = t.id JOIN placement w ON w.image = a.digest AND w.running = 1
		LEFT JOIN release l ON l.artifact_id = a.id LEFT JOIN package g ON g.id = l.package_id
		GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2, 3, 4, 5`, seq)
	if err != nil {
		return fmt.Errorf("preview of pods: %w", err)
	}
	defer rows.Close()
	refused := enforces(o.Gates, "pull") || enforces(o.Gates, "admit")
	counted, listed := map[evidence.WorkloadRef]int{}, map[evidence.WorkloadRef]bool{}
	for rows.Next() {
		var w Workload
		var repository string
		if err := rows.Scan(&w.Cluster, &w.Namespace, &w.Kind, &w.Name, &repository, &w.Pods); err != nil {
			return fmt.Errorf("preview of pods: %w", err)
		}
		w.System, w.Restart = SystemNamespace(w.Namespace), !refused
		if more := w.Pods - counted[w.WorkloadRef]; more > 0 { // one image may be in several repositories
			p.Pods += more
			if w.System {
				p.System += more
			}
			if _, known := counted[w.WorkloadRef]; !known && refused {
				p.Stuck++
			}
			counted[w.WorkloadRef] = w.Pods
		}
		if readable[repository] && !listed[w.WorkloadRef] && len(p.Workloads) < maxListed {
			listed[w.WorkloadRef] = true
			p.Workloads = append(p.Workloads, w)
		}
	}
	return rows.Err()
}

// SystemNamespace reports whether a namespace is one that the cluster itself lives in: what is stopped
// there may take the cluster with it.
func SystemNamespace(namespace string) bool {
	return strings.HasPrefix(namespace, "kube-") || strings.HasPrefix(namespace, "openshift-") ||
		slices.Contains([]string{"hullmark", "hullmark-system", "istio-system", "cilium", "calico-system", "tigera-operator"}, namespace)
}
