package policy

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/purl"
)

// Touched returns the images and indexes whose records the statements from from to to-1 may have
// changed, in no order that means anything. It may name one that did not change, and leaves none out that did: who keeps
// records reads these again, and no others.
func (r *Reader) Touched(ctx context.Context, from, to int64) (out []digest.Digest, err error) {
	err = r.read(ctx, inside.Newest, func(s *session) error {
		t := &touch{session: s, images: map[int64]bool{}, digests: map[digest.Digest]bool{}}
		if err := t.statements(from, to); err != nil {
			return err
		}
		out, err = t.all()
		return err
	})
	return out, err
}

// touch collects images, by their ids; digests are those that nothing here is known of.
type touch struct {
	*session
	images  map[int64]bool
	digests map[digest.Digest]bool
}

// touching are the predicates that a record is made of.
var touching = []any{
	evidence.PublicationType, evidence.ApprovalType, evidence.VerificationType, evidence.ContentsType, evidence.FindingsType,
	evidence.RecallType, evidence.GapType,
}

func (t *touch) statements(from, to int64) error {
	var all []evidence.Statement
	err := t.In(`SELECT body FROM statement WHERE seq >= $1 AND seq < $2 AND predicate_type IN (%s) ORDER BY seq`, touching, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		st, err := evidence.DecodeStatement(body)
		all = append(all, st)
		return err
	}, from, to)
	if err != nil {
		return err
	}
	for _, st := range all {
		if err := t.statement(st); err != nil {
			return err
		}
	}
	return nil
}

func (t *touch) statement(st evidence.Statement) error {
	if st.PredicateType == evidence.PublicationType {
		p, err := evidence.Decode[evidence.Publication](st)
		if err != nil {
			return err
		}
		if p.Ecosystem == purl.OCI {
			if err := t.moved(st.Seq, p); err != nil {
				return err
			}
		}
	}
	for _, subject := range st.Subject {
		if strings.HasPrefix(subject.Name, "pkg:") {
			if err := t.named(subject.Name); err != nil {
				return err
			}
		}
		for algorithm, hex := range subject.Digest {
			if err := t.bytes(digest.Digest(algorithm + ":" + hex)); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved touches the images that the tags of a publication pointed at before.
func (t *touch) moved(seq int64, p evidence.Publication) error {
	if len(p.Tags) == 0 && p.Event != evidence.Withdrawn {
		return nil
	}
	pkg, err := inside.One[int64](t.Reader, `SELECT id FROM package WHERE ecosystem = $1 AND name = $2`, p.Ecosystem, p.Name)
	if err != nil {
		return err
	}
	before, err := t.replayTags(pkg, seq)
	if err != nil {
		return err
	}
	for _, tag := range p.Tags {
		if version := before[tag]; version != "" && version != p.Version {
			if err := t.bytes(digest.Digest(version)); err != nil {
				return err
			}
		}
	}
	return nil
}

// named touches the images that are called p or hold something that is.
func (t *touch) named(p string) error {
	err := t.add(`SELECT il.image_id FROM component c JOIN artifact_component ac ON ac.component_id = c.id
		JOIN image_layer il ON il.layer_id = ac.artifact_id WHERE c.purl = $1`, p)
	if err != nil {
		return err
	}
	artifacts, err := inside.List[int64](t.Reader, `SELECT artifact_id FROM release WHERE purl = $1`, p)
	for _, id := range artifacts {
		if err := t.artifact(id); err != nil {
			return err
		}
	}
	return err
}

// bytes touches the images that have this digest, or hold something that has it.
func (t *touch) bytes(d digest.Digest) error {
	id, err := inside.One[int64](t.Reader, `SELECT id FROM artifact WHERE digest = $1`, d)
	if err != nil {
		return err
	}
	if id == 0 {
		t.digests[d] = true // an image that is known nowhere can be recalled too
	} else if err := t.artifact(id); err != nil {
		return err
	}
	if err := t.add(`SELECT il.image_id FROM layer_blob b JOIN image_layer il ON il.layer_id = b.layer_id WHERE b.blob = $1`, d); err != nil {
		return err
	}
	if sum := sumOf(string(d)); sum != nil {
		return t.add(`SELECT il.image_id FROM file f JOIN image_layer il ON il.layer_id = f.artifact_id WHERE f.sha256 = $1`, sum)
	}
	return nil
}

// artifact touches the image, those that have the layer and those that hold a file of the release; and
// what follows from an image: those that are built on it, which name it as their base.
func (t *touch) artifact(id int64) error {
	kind, err := inside.One[string](t.Reader, `SELECT kind FROM artifact WHERE id = $1`, id)
	if err != nil {
		return err
	}
	switch kind {
	case "manifest":
		t.images[id] = true
		return t.add(`SELECT il.image_id FROM image_top t JOIN image_layer il ON il.layer_id = t.layer_id AND il.position = t.position
			WHERE t.image_id = $1`, id)
	case "layer":
		return t.add(`SELECT image_id FROM image_layer WHERE layer_id = $1`, id)
	}
	return t.add(`SELECT il.image_id FROM file f JOIN file g ON g.sha256 = f.sha256 JOIN image_layer il ON il.layer_id = g.artifact_id
		WHERE f.artifact_id = $1 AND f.size >= $2`, id, inside.MinDistinctive)
}

func (t *touch) add(query string, args ...any) error {
	ids, err := inside.List[int64](t.Reader, query, args...)
	for _, id := range ids {
		t.images[id] = true
	}
	return err
}

// all returns what was touched, with the indexes that list it.
func (t *touch) all() ([]digest.Digest, error) {
	ids := make([]int64, 0, len(t.images))
	for id := range t.images {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	scan := func(rows *sql.Rows) error {
		var d digest.Digest
		err := rows.Scan(&d)
		t.digests[d] = true
		return err
	}
	err := t.In(`SELECT a.digest FROM index_manifest x JOIN artifact a ON a.id = x.index_id WHERE x.manifest_id IN (%s)`, values(ids), scan)
	if err != nil {
		return nil, err
	}
	err = t.In(`SELECT digest FROM artifact WHERE id IN (%s)`, values(ids), scan)
	out := make([]digest.Digest, 0, len(t.digests))
	for d := range t.digests {
		out = append(out, d)
	}
	slices.Sort(out)
	return out, err
}
