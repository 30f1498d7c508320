package policy

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
)

// entry is one name under which a manifest was published.
type entry struct {
	id, pkg   int64
	name      string // repository
	purl      string
	withdrawn bool
	pub       Publication
}

// record makes the record of one manifest, or of what one lists.
func (s *session) record(manifest string) (Record, error) {
	out := newRecord(manifest, s.Head)
	var id int64
	err := s.Each(`SELECT id FROM artifact WHERE digest = $1`, []any{manifest}, func(rows *sql.Rows) error { return rows.Scan(&id) })
	if err != nil {
		return out, err
	}
	entries, err := s.entries(id, manifest)
	if err != nil {
		return out, err
	}
	if err := s.published(&out, entries, manifest); err != nil {
		return out, err
	}
	listed, err := s.listed(id)
	if err != nil {
		return out, err
	}
	keys := []string{manifest}
	for _, e := range entries {
		keys = append(keys, e.purl)
	}
	if err := s.recallImage(&out, keys); err != nil {
		return out, err
	}
	if err := s.facts(&out, keys); err != nil {
		return out, err
	}
	if len(listed) > 0 && !s.inIndex {
		err = s.index(&out, listed)
	} else {
		err = s.contents(&out, id)
	}
	return out, err
}

// newRecord returns the record of nothing: every list is there, because an expression may ask for its size.
func newRecord(manifest string, head int64) Record {
	return Record{
		Digest: manifest, Head: head, References: []string{}, Verifications: []Verification{}, Findings: []Finding{},
		Recalls: []Recall{}, Gaps: []string{}, Contents: Contents{Layers: []string{}, Components: []Component{}, Base: Base{References: []string{}}},
	}
}

const (
	notPublished = "the record has no publication of this image"
	notRead      = "what is inside it is not known: its layers were not read"
)

// Unknown is the record of an image that nothing is known of. Every gate that meets one decides from it, or a
// recomputation would come out differently.
func Unknown(manifest string, head int64) Record {
	r := newRecord(manifest, head)
	r.Gaps = append(r.Gaps, notPublished, notRead)
	return r
}

// gap adds a sentence to the gaps, once.
func (r *Record) gap(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Gaps, text) {
		r.Gaps = append(r.Gaps, text)
	}
}

// entries returns the names of the manifest, those that still offer it first, each group oldest first.
func (s *session) entries(id int64, manifest string) ([]entry, error) {
	var out []entry
	err := s.Each(`SELECT r.id, r.package_id, p.name, r.purl, r.published, r.publisher, r.seq, x.credential, x.method
		FROM release r JOIN package p ON p.id = r.package_id JOIN publication x ON x.seq = r.seq
		WHERE r.artifact_id = $1 AND r.seq < $2 AND p.ecosystem = 'oci' ORDER BY r.seq`, []any{id, s.Head}, func(rows *sql.Rows) error {
		var e entry
		var at string
		err := rows.Scan(&e.id, &e.pkg, &e.name, &e.purl, &at, &e.pub.Publisher, &e.pub.Seq, &e.pub.Credential, &e.pub.Method)
		e.pub.At = parseTime(at)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := s.state(&out[i], manifest); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return order(a.withdrawn, b.withdrawn) })
	return out, nil
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// state looks whether the manifest was withdrawn from the repository.
func (s *session) state(e *entry, manifest string) error {
	return s.Each(`SELECT event FROM publication WHERE package_id = $1 AND version = $2 AND seq < $3 AND event IN ($4, $5) ORDER BY seq`,
		[]any{e.pkg, manifest, s.Head, evidence.Withdrawn, evidence.Restored}, func(rows *sql.Rows) error {
			var event evidence.PublicationEvent
			err := rows.Scan(&event)
			e.withdrawn = event == evidence.Withdrawn
			return err
		})
}

// published fills in who published the image and who approved it: under the first name that still
// offers it. An approval of a copy elsewhere is none of this one.
func (s *session) published(out *Record, entries []entry, manifest string) error {
	if len(entries) == 0 {
		out.gap(notPublished)
		return nil
	}
	first := entries[0]
	out.Known, out.Publication = true, first.pub
	if first.withdrawn {
		out.gap("it was withdrawn from every repository that offered it")
	}
	approvals, err := s.approvals([]string{first.purl}, map[string]string{first.purl: first.pub.Publisher})
	if err != nil {
		return err
	}
	out.Approval = approvals[first.purl]
	for _, e := range entries {
		if e.withdrawn {
			continue
		}
		tags, err := s.tags(e, manifest)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			out.References = append(out.References, e.name+":"+tag)
		}
		out.References = append(out.References, e.name+"@"+manifest)
	}
	return nil
}

// approvals returns, by purl, the newest approval by somebody else than its publisher.
func (s *session) approvals(purls []string, publisher map[string]string) (map[string]Approval, error) {
	out := map[string]Approval{}
	// A file that came after an approval was not looked at, and who brought one in does not approve the others.
	return out, s.In(`SELECT y.purl, y.account, y.reason, y.at, y.seq FROM approval y WHERE y.seq < $1 AND y.purl IN (%s)
		AND NOT EXISTS (SELECT 1 FROM release r WHERE r.purl = y.purl AND r.file <> '' AND r.mirrored = 0 AND r.seq < $1
			AND (r.seq > y.seq OR r.publisher = y.account)) ORDER BY y.seq`, values(purls),
		func(rows *sql.Rows) error {
			var p, at string
			a := Approval{Approved: true}
			if err := rows.Scan(&p, &a.By, &a.Reason, &at, &a.Seq); err != nil {
				return err
			}
			a.At = parseTime(at)
			if a.By != publisher[p] && a.Seq > out[p].Seq {
				out[p] = a
			}
			return nil
		}, s.Head)
}

// tags returns the tags that pointed at the manifest, or at an index in the same repository that lists it.
func (s *session) tags(e entry, manifest string) ([]string, error) {
	versions := []string{manifest}
	err := s.Each(`SELECT a.digest FROM artifact m JOIN index_manifest x ON x.manifest_id = m.id JOIN release r ON r.artifact_id = x.index_id
		JOIN artifact a ON a.id = r.artifact_id WHERE m.digest = $1 AND r.package_id = $2 AND r.seq < $3`,
		[]any{manifest, e.pkg, s.Head}, func(rows *sql.Rows) error {
			var v string
			err := rows.Scan(&v)
			versions = append(versions, v)
			return err
		})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, v := range versions {
		if err := s.tagsOf(e.pkg, v, &out); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tagsOf adds the tags that pointed at one version. One that was set before the head and not moved
// since is in the table; one that was moved since takes a replay of the repository's history.
func (s *session) tagsOf(pkg int64, version string, out *[]string) error {
	moved := false
	err := s.Each(`SELECT tag FROM tag WHERE package_id = $1 AND version = $2 AND seq < $3`, []any{pkg, version, s.Head}, func(rows *sql.Rows) error {
		var tag string
		err := rows.Scan(&tag)
		*out = append(*out, tag)
		return err
	})
	if err != nil {
		return err
	}
	err = s.Each(`SELECT revision >= $1 FROM package WHERE id = $2`, []any{s.Head, pkg}, func(rows *sql.Rows) error { return rows.Scan(&moved) })
	if err != nil || !moved {
		return err
	}
	tags, err := s.replayTags(pkg, s.Head)
	if err != nil {
		return err
	}
	for tag, points := range tags {
		if points == version {
			*out = append(*out, tag)
		}
	}
	return nil
}

// replayTags returns where the tags of a repository pointed when the record had head statements, as
// package evidence projects them.
func (s *session) replayTags(pkg, head int64) (map[string]string, error) {
	tags := map[string]string{}
	return tags, s.Each(`SELECT event, version, tags FROM publication WHERE package_id = $1 AND seq < $2 ORDER BY seq`,
		[]any{pkg, head}, func(rows *sql.Rows) error {
			var event evidence.PublicationEvent
			var version, text string
			if err := rows.Scan(&event, &version, &text); err != nil {
				return err
			}
			var named []string
			if err := json.Unmarshal([]byte(text), &named); err != nil {
				return fmt.Errorf("tags of a publication: %w", err)
			}
			replayTag(tags, event, version, named)
			return nil
		})
}

func replayTag(tags map[string]string, event evidence.PublicationEvent, version string, named []string) {
	for _, tag := range named {
		if event.SetsTags() {
			tags[tag] = version
		} else if event == evidence.Untagged && tags[tag] == version {
			delete(tags, tag)
		}
	}
	if event == evidence.Withdrawn {
		for tag, points := range tags {
			if points == version {
				delete(tags, tag)
			}
		}
	}
}

// facts fills in what was proved about the image, which advisories match it and what could not be seen.
func (s *session) facts(out *Record, keys []string) error {
	proofs := map[[2]string]Verification{} // a proof that was checked again replaces the first result
	err := s.In(`SELECT seq, proof, identity, verdict FROM verification WHERE seq < $1 AND subject IN (%s) ORDER BY seq`, values(keys), func(rows *sql.Rows) error {
		var v Verification
		var verdict string
		err := rows.Scan(&v.Seq, &v.Proof, &v.Identity, &verdict)
		v.Holds = verdict == "holds"
		if key := [2]string{v.Proof, v.Identity}; v.Seq >= proofs[key].Seq {
			proofs[key] = v
		}
		return err
	}, s.Head)
	if err != nil {
		return err
	}
	for _, v := range proofs {
		out.Verifications = append(out.Verifications, v)
	}
	slices.SortFunc(out.Verifications, func(a, b Verification) int { return int(a.Seq - b.Seq) })
	return s.In(`SELECT what, reason FROM gap WHERE seq < $1 AND subject IN (%s) ORDER BY seq`, values(keys), func(rows *sql.Rows) error {
		var what, reason string
		err := rows.Scan(&what, &reason)
		out.gap("%s: %s", what, reason)
		return err
	}, s.Head)
}
