package policy

import (
	"cmp"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// layer is one layer of an image's stack.
type layer struct {
	id         int64
	digest     string // diffID
	blob       string
	analyser   string // "" when it was not read
	incomplete string
	files      int
}

// contents fills in what is inside an image.
func (s *session) contents(out *Record, image int64) error {
	stack, err := s.stack(out, image)
	if err != nil {
		return err
	}
	if len(stack) == 0 {
		out.gap(notRead)
		return s.findings(out)
	}
	ids := make([]int64, len(stack))
	for i, l := range stack {
		ids[i] = l.id
		out.Contents.Layers = append(out.Contents.Layers, l.digest)
	}
	holds, err := s.holds(ids)
	if err != nil {
		return err
	}
	left, err := s.Hide(image, ids, holds)
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return s.components(out, left) },
		func() error { return s.recallLayers(out, image, stack, left) },
		func() error { return s.tools(out, image, stack) },
		func() error { return s.base(out, stack) },
		func() error { return s.findings(out) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// maxLayers is how many layers' contents a session remembers before it starts anew.
const maxLayers = 512

// holds returns what each layer holds.
func (s *session) holds(ids []int64) (map[int64]*inside.Content, error) {
	if len(s.layers) > maxLayers {
		clear(s.layers)
	}
	var missing []int64
	for _, id := range ids {
		if s.layers[id] == nil && !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	read, err := s.Inside(missing)
	maps.Copy(s.layers, read)
	return s.layers, err
}

// stack returns the image's layers, lowest first, and says what of them was not read.
func (s *session) stack(out *Record, image int64) ([]layer, error) {
	described, err := s.described(out, image)
	if err != nil || !described {
		return nil, err
	}
	var incomplete string
	err = s.Each(`SELECT platform, incomplete FROM artifact WHERE id = $1`, []any{image}, func(rows *sql.Rows) error {
		return rows.Scan(&out.Contents.Platform, &incomplete)
	})
	if err != nil {
		return nil, err
	}
	out.Contents.Complete = incomplete == ""
	if incomplete != "" {
		out.gap("this image was not read to its end: %s", incomplete)
	}
	var stack []layer
	err = s.Each(`SELECT il.layer_id, a.digest, il.blob, coalesce(l.analyser, ''), a.incomplete, coalesce(l.files, 0)
		FROM image_layer il JOIN artifact a ON a.id = il.layer_id LEFT JOIN layer l ON l.artifact_id = il.layer_id
		WHERE il.image_id = $1 ORDER BY il.position`, []any{image}, func(rows *sql.Rows) error {
		var l layer
		err := rows.Scan(&l.id, &l.digest, &l.blob, &l.analyser, &l.incomplete, &l.files)
		stack = append(stack, l)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stack, s.unread(out, stack)
}

// described reports whether it was said before the head what is inside the image. What was said more
// fully since is what the tables have.
func (s *session) described(out *Record, image int64) (bool, error) {
	var first, last int64 = -1, -1
	err := s.Each(`SELECT coalesce(min(seq), -1), coalesce(max(seq), -1) FROM described WHERE artifact_id = $1`, []any{image},
		func(rows *sql.Rows) error { return rows.Scan(&first, &last) })
	if err != nil || first < 0 || first >= s.Head {
		return false, err
	}
	if last >= s.Head {
		if err := s.sameAsBefore(out, image); err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameAsBefore looks whether one of the descriptions before the head was whole: then those after it, of
// the same image in other repositories, have added nothing.
func (s *session) sameAsBefore(out *Record, image int64) error {
	whole := false
	err := s.Each(`SELECT x.body FROM described d JOIN statement x ON x.seq = d.seq WHERE d.artifact_id = $1 AND d.seq < $2`,
		[]any{image, s.Head}, func(rows *sql.Rows) error {
			c, err := scanContents(rows)
			whole = whole || c.Incomplete == ""
			return err
		})
	if err == nil && !whole {
		s.unsure(out, "what is inside it was described more fully since")
	}
	return err
}

func scanContents(rows *sql.Rows) (evidence.Contents, error) {
	var body []byte
	if err := rows.Scan(&body); err != nil {
		return evidence.Contents{}, err
	}
	st, err := evidence.DecodeStatement(body)
	if err != nil {
		return evidence.Contents{}, err
	}
	return evidence.Decode[evidence.Contents](st)
}

// unsure says that the record at an older head cannot be read exactly any more.
func (s *session) unsure(out *Record, why string) {
	out.gap("%s", why)
	s.inexact = append(s.inexact, why)
}

// unread says which layers were not read when the record had as many statements, or not to their end. An image
// waits for its layers, so this is rare; a layer that a newer reader has read since is told apart.
func (s *session) unread(out *Record, stack []layer) error {
	ids := make([]any, len(stack))
	for i, l := range stack {
		ids[i] = l.id
	}
	again := map[int64]bool{}
	err := s.In(`SELECT artifact_id, min(seq) < $1 FROM described WHERE artifact_id IN (%s) GROUP BY artifact_id HAVING max(seq) >= $1`, ids,
		func(rows *sql.Rows) error {
			var id int64
			var before bool
			err := rows.Scan(&id, &before)
			again[id] = before
			return err
		}, s.Head)
	if err != nil {
		return err
	}
	for i, l := range stack {
		if before, later := again[l.id]; later && !before {
			stack[i].analyser = "" // it was not read yet
		} else if later {
			if err := s.sameReader(out, l); err != nil {
				return err
			}
		}
		if l = stack[i]; l.analyser == "" {
			out.Contents.Complete = false
			out.gap("layer %d has not been read", i)
		} else if l.incomplete != "" {
			out.Contents.Complete = false
			out.gap("layer %d was not read to its end: %s", i, l.incomplete)
		}
	}
	return nil
}

func (s *session) sameReader(out *Record, l layer) error {
	analyser := ""
	err := s.Each(`SELECT x.body FROM described d JOIN statement x ON x.seq = d.seq WHERE d.artifact_id = $1 AND d.seq < $2 ORDER BY d.seq`,
		[]any{l.id, s.Head}, func(rows *sql.Rows) error {
			c, err := scanContents(rows)
			analyser = c.Analyser
			return err
		})
	if err == nil && analyser != l.analyser {
		s.unsure(out, fmt.Sprintf("layer %s was read again since, by %s instead of %s", l.digest, l.analyser, analyser))
	}
	return err
}

// components fills in what the finished image holds, each where its lowest layer brought it.
func (s *session) components(out *Record, left []*inside.Content) error {
	sum := inside.NewContent()
	byRelease := map[int64]*Component{}
	var order []*Component
	for position, here := range left {
		c := here.Without(sum)
		sum.Join(c)
		for _, i := range c.Components {
			if i.Release == 0 {
				order = append(order, &Component{PURL: i.PURL, Layer: position, Path: i.Path, Grounds: string(i.Grounds())})
			}
		}
		for id, i := range c.Releases {
			have := byRelease[id]
			if have == nil {
				have = &Component{PURL: i.PURL, Layer: position, Path: cmp.Or(i.Path, where(here, i)), Release: true}
				byRelease[id] = have
				order = append(order, have)
			}
			have.Grounds = string(sum.Releases[id].Grounds())
		}
	}
	if err := s.releases(byRelease); err != nil {
		return err
	}
	slices.SortFunc(order, func(a, b *Component) int { return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.PURL, b.PURL)) })
	foreign := 0
	for _, c := range order {
		if !c.Release {
			foreign++
		}
		out.Contents.Components = append(out.Contents.Components, *c)
	}
	if foreign > 0 {
		out.gap("of %d components it is not known who published them: they were not published here", foreign)
	}
	return nil
}

// where returns a file of the item in the layer.
func where(c *inside.Content, i *inside.Item) string {
	first := ""
	for f := range c.Files {
		if i.Files[f.Sum] && (first == "" || f.Path < first) {
			first = f.Path
		}
	}
	return first
}

// releases fills in how the components came to be published.
func (s *session) releases(by map[int64]*Component) error {
	ids := make([]any, 0, len(by))
	for id := range by {
		ids = append(ids, id)
	}
	var purls []string
	publisher := map[string]string{}
	err := s.In(`SELECT r.id, a.digest, r.published, r.publisher, r.seq, x.credential, x.method FROM release r
		JOIN artifact a ON a.id = r.artifact_id JOIN publication x ON x.seq = r.seq WHERE r.id IN (%s)`, ids, func(rows *sql.Rows) error {
		var id int64
		var artifact, at string
		var p Publication
		if err := rows.Scan(&id, &artifact, &at, &p.Publisher, &p.Seq, &p.Credential, &p.Method); err != nil {
			return err
		}
		p.At = parseTime(at)
		c := by[id]
		c.Artifact, c.Published = artifact, p
		purls = append(purls, c.PURL)
		publisher[c.PURL] = p.Publisher
		return nil
	})
	if err != nil {
		return err
	}
	approvals, err := s.approvals(purls, publisher)
	for _, c := range by {
		c.Approval = approvals[c.PURL]
	}
	return err
}

// shells and managers are the names of executables that a minimal image has none of.
var (
	shells   = []string{"sh", "bash", "dash", "ash", "busybox"}
	managers = []string{"dpkg", "apt", "apt-get", "apk", "rpm", "dnf", "microdnf", "yum", "pacman"}
)

// tools looks for a shell and a package manager among the files that the finished image has.
func (s *session) tools(out *Record, image int64, stack []layer) error {
	for position, l := range stack {
		found, err := s.toolsOf(l)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		files := make([]inside.File, len(found))
		for i, t := range found {
			files[i] = t.File
		}
		left, err := s.Remaining(image, position, files)
		if err != nil {
			return err
		}
		for _, t := range found {
			if left[t.Sum] {
				out.Contents.Shell = out.Contents.Shell || t.shell
				out.Contents.PackageManager = out.Contents.PackageManager || !t.shell
			}
		}
	}
	return nil
}

func (s *session) toolsOf(l layer) ([]tool, error) {
	key := toolKey{l.id, l.analyser}
	if found, ok := s.book.tools.get(key); ok || l.analyser == "" {
		return found, nil
	}
	var found []tool
	err := s.Each(toolQuery, []any{l.id}, func(rows *sql.Rows) error {
		var t tool
		var mode int64
		var sum []byte
		if err := rows.Scan(&t.Path, &mode, &sum); err != nil {
			return err
		}
		t.Sum, t.shell = string(sum), slices.Contains(shells, path.Base(t.Path))
		if fs.FileMode(mode)&0o111 != 0 {
			found = append(found, t)
		}
		return nil
	})
	if err == nil {
		s.book.tools.put(key, found)
	}
	return found, err
}

// toolQuery selects a layer's files by their last path segment.
var toolQuery = func() string {
	var names []string
	for _, name := range slices.Concat(shells, managers) {
		names = append(names, "path = '"+name+"'", "path GLOB '*/"+name+"'")
	}
	return `SELECT path, mode, sha256 FROM file WHERE artifact_id = $1 AND (` + strings.Join(names, " OR ") + `)`
}()

// base finds the image that this one was built on: the known one whose layers are the longest part of
// this one's, from the lowest on. Of several with the same layers it is the oldest.
func (s *session) base(out *Record, stack []layer) error {
	for n := len(stack) - 1; n > 0; n-- {
		candidates, err := s.standingOn(stack, n)
		if err != nil {
			return err
		}
		for _, id := range candidates {
			same, err := s.isPrefix(id, stack[:n])
			if err != nil {
				return err
			}
			if same {
				return s.fillBase(out, id, n)
			}
		}
	}
	return nil
}

// standingOn returns the images that were known at the head and end with the n-th layer of the stack.
func (s *session) standingOn(stack []layer, n int) ([]int64, error) {
	return inside.List[int64](s.Reader, `SELECT t.image_id FROM image_top t JOIN artifact a ON a.id = t.image_id
		WHERE t.layer_id = $1 AND t.position = $2 AND a.incomplete = ''
			AND EXISTS (SELECT 1 FROM described d WHERE d.artifact_id = t.image_id AND d.seq < $3)
			AND EXISTS (SELECT 1 FROM release r WHERE r.artifact_id = t.image_id AND r.seq < $3) ORDER BY t.image_id`,
		stack[n-1].id, n-1, s.Head)
}

func (s *session) isPrefix(image int64, stack []layer) (bool, error) {
	ids, err := inside.List[int64](s.Reader, `SELECT layer_id FROM image_layer WHERE image_id = $1 ORDER BY position`, image)
	return slices.EqualFunc(ids, stack, func(id int64, l layer) bool { return id == l.id }), err
}

func (s *session) fillBase(out *Record, image int64, layers int) error {
	manifest, err := inside.One[string](s.Reader, `SELECT digest FROM artifact WHERE id = $1`, image)
	if err != nil {
		return err
	}
	entries, err := s.entries(image, manifest)
	if err != nil {
		return err
	}
	var of Record
	if err := s.published(&of, entries, manifest); err != nil {
		return err
	}
	out.Contents.Base = Base{Digest: manifest, References: append([]string{}, of.References...), Layers: layers}
	return nil
}

// findings fills in the advisories that match the image or a component of it: the newest word of each
// source on each.
func (s *session) findings(out *Record) error {
	some, err := inside.One[int64](s.Reader, `SELECT EXISTS (SELECT 1 FROM finding)`)
	if err != nil || some == 0 {
		return err
	}
	subjects := []any{out.Digest}
	for _, c := range out.Contents.Components {
		subjects = append(subjects, c.PURL)
	}
	newest := map[[2]string]string{}
	err = s.In(`SELECT subject, source, advisories FROM finding WHERE seq < $1 AND subject IN (%s) ORDER BY seq`, subjects, func(rows *sql.Rows) error {
		var subject, source, advisories string
		err := rows.Scan(&subject, &source, &advisories)
		newest[[2]string{subject, source}] = advisories
		return err
	}, s.Head)
	for key, advisories := range newest {
		component := key[0]
		if component == out.Digest {
			component = ""
		}
		for advisory := range strings.FieldsSeq(advisories) {
			out.Findings = append(out.Findings, Finding{Advisory: advisory, Component: component})
		}
	}
	slices.SortFunc(out.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Advisory, b.Advisory))
	})
	out.Findings = slices.Compact(out.Findings)
	return err
}

// sumOf returns the bytes of a file's digest as layers are indexed by it; nil for another algorithm.
func sumOf(digest string) []byte {
	text, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return nil
	}
	sum, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return sum
}
