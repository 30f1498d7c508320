package evidence

import (
	"encoding/json"
	"strings"
)

func (b *batch) decision(s Statement, d Decision) error {
	subject := s.Subject[0].keys()[0]
	err := b.exec(`INSERT INTO decision (seq, gate, action, subject, verdict, code, account, policy, head, count, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		s.Seq, d.Gate, d.Action, subject, d.Verdict, d.Code, d.Actor.Account, d.Policy, d.Head, max(d.Count, 1), stamp(s.Time))
	if err != nil {
		return err
	}
	if d.ID != "" {
		if err := b.exec(`INSERT INTO decision_id (id, seq) VALUES ($1, $2) ON CONFLICT DO NOTHING`, d.ID, s.Seq); err != nil {
			return err
		}
	}
	if err := b.receipt(s, d); err != nil {
		return err
	}
	return b.exceptionUses(s, d)
}

// receipt keeps the first receipt of a receiver: a recall is carried out once.
func (b *batch) receipt(s Statement, d Decision) error {
	if d.Receipt == nil {
		return nil
	}
	return b.exec(`INSERT INTO receipt (recall_seq, receiver, gate, outcome, stopped, at, seq) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`, d.Receipt.Recall, d.Receipt.Receiver, d.Gate, d.Receipt.Outcome, d.Receipt.Stopped, stamp(s.Time), s.Seq)
}

func (b *batch) exceptionUses(s Statement, d Decision) error {
	var w WorkloadRef
	if d.Workload != nil {
		w = *d.Workload
	}
	var images []string
	for _, subject := range s.Subject {
		if image := subject.digestOf(); image != "" {
			images = append(images, image.String())
		}
	}
	for _, id := range d.Exceptions {
		err := b.exec(`INSERT INTO exception_use (exception_id, seq, count, cluster, namespace, kind, name, images, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			id, s.Seq, max(d.Count, 1), w.Cluster, w.Namespace, w.Kind, w.Name, strings.Join(images, " "), stamp(s.Time))
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) policySet(s Statement, p PolicySet) error {
	return b.exec(`INSERT INTO policy_set (seq, revision, account, at) VALUES ($1, $2, $3, $4)`,
		s.Seq, p.Revision, p.Actor.Account, stamp(s.Time))
}

// approval changes what the name offers: an approved version does not wait for the cooldown.
func (b *batch) approval(s Statement, a Approval) error {
	err := b.exec(`INSERT INTO approval (seq, purl, account, reason, at) VALUES ($1, $2, $3, $4, $5)`,
		s.Seq, a.Release, a.Actor.Account, a.Reason, stamp(s.Time))
	if err != nil {
		return err
	}
	return b.exec(`UPDATE package SET modified = $1, revision = $2 WHERE id IN (SELECT package_id FROM release WHERE purl = $3)`,
		stamp(s.Time), s.Seq, a.Release)
}

func (b *batch) exception(s Statement, x Exception) error {
	switch x.Event {
	case Approved:
		return b.exec(`UPDATE exception SET approver = $1, approved_seq = $2 WHERE id = $3`, x.Actor.Account, s.Seq, x.ID)
	case Revoked:
		return b.exec(`UPDATE exception SET revoked_seq = $1 WHERE id = $2`, s.Seq, x.ID)
	}
	scope, err := json.Marshal(x.Scope)
	if err != nil {
		return err
	}
	return b.exec(`INSERT INTO exception (id, policy, scope, reason, ticket, requester, expires, requested, approver, approved_seq, revoked_seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0, 0)`,
		s.Seq, x.Policy, string(scope), x.Reason, x.Ticket, x.Actor.Account, stamp(x.Expires), stamp(s.Time))
}

func (b *batch) placement(s Statement, p Placement) error {
	image := s.Subject[0].digestOf()
	// A container that starts is one more in its workload, one that stops one less in that which it was in.
	err := b.exec(`UPDATE running SET containers = containers - 1, seq = $1 WHERE (image, cluster, namespace, kind, name) IN
		(SELECT image, cluster, namespace, kind, name FROM placement WHERE image = $2 AND cluster = $3 AND node = $4 AND container = $5 AND running = 1)`,
		s.Seq, image, p.Cluster, p.Node, p.Container)
	if err != nil {
		return err
	}
	if p.Running {
		err = b.exec(`INSERT INTO running (image, cluster, namespace, kind, name, containers, seq) VALUES ($1, $2, $3, $4, $5, 1, $6)
			ON CONFLICT (image, cluster, namespace, kind, name) DO UPDATE SET containers = containers + 1, seq = excluded.seq`,
			image, p.Cluster, p.Namespace, p.Kind, p.Name, s.Seq)
	}
	if err != nil {
		return err
	}
	return b.exec(`INSERT INTO placement (image, cluster, node, container, namespace, kind, name, pod, running, first, last, seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
		ON CONFLICT (image, cluster, node, container) DO UPDATE SET running = excluded.running, last = excluded.last, seq = excluded.seq,
			namespace = CASE WHEN excluded.running THEN excluded.namespace ELSE namespace END,
			kind = CASE WHEN excluded.running THEN excluded.kind ELSE kind END,
			name = CASE WHEN excluded.running THEN excluded.name ELSE name END,
			pod = CASE WHEN excluded.running THEN excluded.pod ELSE pod END`,
		image, p.Cluster, p.Node, p.Container, p.Namespace, p.Kind, p.Name, p.Pod, p.Running, stamp(s.Time), s.Seq)
}

func (b *batch) behaviour(s Statement, h Behaviour) error {
	return b.exec(`INSERT INTO behaviour (component, fact, image, cluster, namespace, kind, name, node, first, last, count, seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (component, fact, image, cluster, namespace, kind, name, node) DO UPDATE
		SET last = max(last, excluded.last), count = count + excluded.count, seq = excluded.seq`,
		s.Subject[0].keys()[0], h.Fact, h.Image, h.Cluster, h.Namespace, h.Kind, h.Name, h.Node, stamp(h.First), stamp(h.Last), h.Count, s.Seq)
}

func (b *batch) verification(s Statement, v Verification) error {
	return s.eachKey(func(key string) error {
		return b.exec(`INSERT INTO verification (subject, seq, proof, identity, verdict) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			key, s.Seq, v.Proof, v.Identity, v.Verdict)
	})
}

func (b *batch) findings(s Statement, f Findings) error {
	return s.eachKey(func(key string) error {
		return b.exec(`INSERT INTO finding (subject, seq, source, advisories) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			key, s.Seq, f.Source, strings.Join(f.Advisories, " "))
	})
}

func (b *batch) gap(s Statement, g Gap) error {
	return s.eachKey(func(key string) error {
		return b.exec(`INSERT INTO gap (subject, seq, what, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, key, s.Seq, g.What, g.Reason)
	})
}

// imageTop notes which layer is the image's highest, now that its layers are known.
func (b *batch) imageTop(image int64) error {
	if err := b.exec(`DELETE FROM image_top WHERE image_id = $1`, image); err != nil {
		return err
	}
	return b.exec(`INSERT INTO image_top (layer_id, position, image_id) SELECT layer_id, position, image_id FROM image_layer
		WHERE image_id = $1 ORDER BY position DESC LIMIT 1`, image)
}

// eachKey calls fn for every purl and digest that the statement is about.
func (s Statement) eachKey(fn func(key string) error) error {
	for _, subject := range s.Subject {
		for _, key := range subject.keys() {
			if err := fn(key); err != nil {
				return err
			}
		}
	}
	return nil
}
