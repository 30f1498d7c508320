package policy

import (
	"cmp"
	"database/sql"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// recallBook is the history of recalls, in memory: every image is held against all of them, and they
// are few beside what images hold. It only grows, as the record does.
type recallBook struct {
	mu     sync.Mutex
	upTo   int64                    // statements before it are in; guarded by mu, as the others
	events map[string][]recallEvent // by subject, oldest first
	files  [][]byte                 // the SHA-256 among the subjects
}

type recallEvent struct {
	seq    int64
	lifted bool
}

// catchUp reads what was recalled and lifted before head and is not in yet.
func (b *recallBook) catchUp(r *inside.Reader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.upTo >= r.Head {
		return nil
	}
	type row struct {
		subject string
		recallEvent
	}
	var rows []row
	err := r.Each(`SELECT subject, seq, lifted FROM recall_event WHERE seq >= $1 AND seq < $2 ORDER BY seq`, []any{b.upTo, r.Head},
		func(scan *sql.Rows) error {
			var one row
			err := scan.Scan(&one.subject, &one.seq, &one.lifted)
			rows = append(rows, one)
			return err
		})
	if err != nil {
		return err
	}
	if b.events == nil {
		b.events = map[string][]recallEvent{}
	}
	for _, one := range rows {
		if sum := sumOf(one.subject); sum != nil && b.events[one.subject] == nil {
			b.files = append(b.files, sum)
		}
		b.events[one.subject] = append(b.events[one.subject], one.recallEvent)
	}
	b.upTo = r.Head
	return nil
}

// inForce returns the recall of subject that was in force at head; ok is false when none was.
func (b *recallBook) inForce(subject string, head int64) (seq int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events[subject] {
		if e.seq >= head {
			break
		}
		seq, ok = e.seq, !e.lifted
	}
	return seq, ok
}

// sums returns the SHA-256 digests that were ever recalled.
func (b *recallBook) sums() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clip(b.files)
}

// recallImage adds the recalls of the image itself, under its digest or one of its names.
func (s *session) recallImage(out *Record, keys []string) error {
	if err := s.book.recalls.catchUp(s.Reader); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := s.reach(out, key, ""); err != nil {
			return err
		}
	}
	return nil
}

// recallLayers adds the recalls of what is in the image: its layers, the releases and components in
// them, and single files wherever they are.
func (s *session) recallLayers(out *Record, image int64, stack []layer, left []*inside.Content) error {
	for _, l := range stack {
		for _, key := range []string{l.digest, l.blob} {
			if _, err := s.reach(out, key, l.digest); err != nil {
				return err
			}
		}
	}
	for i := range out.Contents.Components {
		if err := s.recallComponent(out, &out.Contents.Components[i], left); err != nil {
			return err
		}
	}
	if err := s.recallFiles(out, image, stack, left); err != nil {
		return err
	}
	slices.SortStableFunc(out.Recalls, func(a, b Recall) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Via, b.Via)) })
	return nil
}

// recallComponent adds the recalls of one component, under its purl or the digest of its archive.
func (s *session) recallComponent(out *Record, c *Component, left []*inside.Content) error {
	for _, key := range []string{c.PURL, c.Artifact} {
		seq, ok := s.book.recalls.inForce(key, s.Head)
		if !ok {
			continue
		}
		if c.Grounds == string(inside.ByContent) {
			reached, err := s.reachedByContent(out, c, seq, left)
			if err != nil {
				return err
			}
			if !reached {
				continue
			}
		}
		reason, err := s.reach(out, key, c.PURL)
		if err != nil {
			return err
		}
		c.Recalled = cmp.Or(c.Recalled, reason)
	}
	return nil
}

// reachedByContent reports whether the recall of a release reaches a copy that nothing names. Only an administrator's
// does: whoever publishes and recalls files that others have too must not be able to stop theirs.
func (s *session) reachedByContent(out *Record, c *Component, seq int64, left []*inside.Content) (bool, error) {
	r, err := s.recall(seq)
	if err != nil {
		return false, err
	}
	if !r.Admin {
		out.gap("it holds files of %s, which its owner recalled; only an administrator's recall reaches copies that nothing names", c.PURL)
		return false, nil
	}
	told, err := s.toldApart(c, left)
	if err == nil && !told {
		out.gap("it holds files of %s, which is recalled, that versions which are not recalled ship too: which of them it is cannot be told", c.PURL)
	}
	return told, err
}

// toldApart reports whether a release that is recognised by content alone shows itself by a file that no other
// version of its package ships, but such as are recalled too. Files that good versions share with a recalled one must not
// stop everybody who has copied those. What other packages ship counts all the same: else whoever publishes a
// copy of a payload would take it out of every recall.
func (s *session) toldApart(c *Component, left []*inside.Content) (bool, error) {
	good := map[string]bool{} // files that versions which are not recalled ship
	err := s.Each(`SELECT o.purl, a.digest, f.sha256 FROM release r JOIN release o ON o.package_id = r.package_id AND o.id <> r.id AND o.seq < $1
		JOIN artifact a ON a.id = o.artifact_id JOIN file f ON f.artifact_id = o.artifact_id WHERE r.purl = $2`, []any{s.Head, c.PURL},
		func(rows *sql.Rows) error {
			var p, artifact string
			var sum sql.RawBytes
			if err := rows.Scan(&p, &artifact, &sum); err != nil {
				return err
			}
			_, byName := s.book.recalls.inForce(p, s.Head)
			_, byBytes := s.book.recalls.inForce(artifact, s.Head)
			if !byName && !byBytes {
				good[string(sum)] = true
			}
			return nil
		})
	if err != nil {
		return false, err
	}
	for _, layer := range left {
		for _, i := range layer.Releases {
			if i.PURL != c.PURL {
				continue
			}
			for sum := range i.Files {
				if !good[sum] {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// reach adds the recall of key, if one is in force, as reaching the image by via, and returns its reason.
// One statement names a release and its bytes: it is told once.
func (s *session) reach(out *Record, key, via string) (reason string, err error) {
	seq, ok := s.book.recalls.inForce(key, s.Head)
	if !ok {
		return "", nil
	}
	for _, have := range out.Recalls {
		if have.Seq == seq && have.Via == via {
			return have.Reason, nil
		}
	}
	r, err := s.recall(seq)
	if err != nil {
		return "", err
	}
	out.Recalls = append(out.Recalls, Recall{
		Seq: seq, Subject: key, Via: via, Reason: r.Reason, By: r.Actor.Account, Gates: append([]string{}, r.Gates...), System: r.System,
	})
	return r.Reason, nil
}

func (s *session) recall(seq int64) (r evidence.Recall, err error) {
	body, err := inside.One[[]byte](s.Reader, `SELECT body FROM statement WHERE seq = $1`, seq)
	if err != nil {
		return r, err
	}
	st, err := evidence.DecodeStatement(body)
	if err != nil {
		return r, err
	}
	return evidence.Decode[evidence.Recall](st)
}

// recallFiles adds the recalls of single files by their SHA-256. A file that an upper layer removed is
// not in the image.
func (s *session) recallFiles(out *Record, image int64, stack []layer, left []*inside.Content) error {
	found, err := s.recalledFiles(stack)
	if err != nil {
		return err
	}
	for position, l := range stack {
		files := found[l.id]
		if len(files) == 0 {
			continue
		}
		remain, err := s.Remaining(image, position, files)
		if err != nil {
			return err
		}
		for _, f := range files {
			if !remain[f.Sum] {
				continue
			}
			reason, err := s.reach(out, "sha256:"+hex.EncodeToString([]byte(f.Sum)), f.Path)
			if err != nil {
				return err
			}
			if reason != "" {
				blame(out, left[position], f, reason)
			}
		}
	}
	return nil
}

// blame marks the components that ship a recalled file, and names the file as theirs.
func blame(out *Record, c *inside.Content, f inside.File, reason string) {
	for _, i := range c.Releases {
		if !i.Files[f.Sum] {
			continue
		}
		for n := range out.Contents.Components {
			if one := &out.Contents.Components[n]; one.PURL == i.PURL && one.Recalled == "" {
				one.Recalled, one.Path = reason, f.Path
			}
		}
	}
}

// recalledFiles returns the files of each layer whose SHA-256 was ever recalled. It goes from the
// shorter list: a few recalls are looked up in every layer, thousands of them by each file.
func (s *session) recalledFiles(stack []layer) (map[int64][]inside.File, error) {
	sums := s.book.recalls.sums()
	ids := make([]any, len(stack))
	files := 0
	for i, l := range stack {
		ids[i] = l.id
		files += l.files
	}
	out := map[int64][]inside.File{}
	add := func(rows *sql.Rows) error {
		var id int64
		var f inside.File
		var sum []byte
		err := rows.Scan(&id, &f.Path, &sum)
		f.Sum = string(sum)
		if slices.ContainsFunc(out[id], func(g inside.File) bool { return g == f }) {
			return err
		}
		out[id] = append(out[id], f)
		return err
	}
	if len(sums)*len(stack) <= files {
		for _, l := range stack {
			err := s.In(`SELECT artifact_id, path, sha256 FROM file WHERE artifact_id = $1 AND sha256 IN (%s)`, values(sums), add, l.id)
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return out, s.In(`SELECT f.artifact_id, f.path, f.sha256 FROM file f JOIN recall_event e ON e.subject = 'sha256:' || lower(hex(f.sha256))
		WHERE f.artifact_id IN (%s)`, ids, add)
}
