package trace

import (
	"database/sql"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/purl"
)

// byReference starts from an image reference.
func (r *reader) byReference(q Query) (*Node, string, error) {
	if ok, err := r.mayRead(purl.OCI, q.Repository); err != nil || !ok {
		return nil, "", err
	}
	version := string(q.Digest)
	if version == "" {
		var err error
		version, err = inside.One[string](r.Reader, `SELECT t.version FROM tag t JOIN package p ON p.id = t.package_id
			WHERE p.ecosystem = 'oci' AND p.name = $1 AND t.tag = $2`, q.Repository, q.Tag)
		if err != nil || version == "" {
			return nil, "", err
		}
	}
	found, err := r.releases(`WHERE p.ecosystem = 'oci' AND p.name = $1 AND r.version = $2`, q.Repository, version)
	if err != nil || len(found) == 0 {
		return nil, "", err
	}
	return r.image(found[0].artifact)
}

// image goes from an image down to its layers, the releases in them and who published those.
func (r *reader) image(id int64) (*Node, string, error) {
	all, err := r.releases(`WHERE r.artifact_id = $1 ORDER BY r.seq`, id)
	if err != nil {
		return nil, "", err
	}
	seen, hidden, err := r.visible(all)
	if err != nil || len(seen) == 0 {
		return nil, "", err
	}
	root, err := r.imageNode(id)
	if err != nil {
		return nil, "", err
	}
	r.images++
	for _, l := range seen {
		if err := r.addHistory(root, l); err != nil {
			return nil, "", err
		}
	}
	root.add(unreadable(hidden, "repository entry"))
	running, err := r.addRuntime(root, id)
	if err != nil {
		return nil, "", err
	}
	if listed, err := r.addListed(root, id); err != nil || listed > 0 {
		return root, "an index of " + plural(listed, "manifest"), err
	}
	sum, err := r.addStack(root, id)
	if err != nil {
		return nil, "", err
	}
	pushed, err := r.publishedBy(seen[0])
	return root, "holds " + sentenceOf(sum) + running + ", " + pushed, err
}

// addListed hangs below an index what it lists, each with its layers, and returns how many.
func (r *reader) addListed(root *Node, index int64) (int, error) {
	ids, err := inside.List[int64](r.Reader, `SELECT manifest_id FROM index_manifest WHERE index_id = $1 ORDER BY position`, index)
	for i, id := range ids {
		if r.images >= r.limits.Images {
			root.add(truncated(len(ids)-i, "manifest"))
			break
		}
		r.images++
		n, err := r.imageNode(id)
		if err != nil {
			return 0, err
		}
		if _, err := r.addStack(n, id); err != nil {
			return 0, err
		}
		root.add(n)
	}
	return len(ids), err
}

// imageNode returns the bare node of an image: what it is called where the actor may read it.
func (r *reader) imageNode(id int64) (*Node, error) {
	n := &Node{Kind: KindImage}
	var platform, incomplete string
	err := r.Each(`SELECT digest, platform, incomplete FROM artifact WHERE id = $1`, []any{id}, func(rows *sql.Rows) error {
		return rows.Scan(&n.ID, &platform, &incomplete)
	})
	if err != nil {
		return nil, err
	}
	names, err := r.references(n, id)
	if err != nil {
		return nil, err
	}
	n.Title = strings.Join(names, ", ")
	n.set("platform", platform)
	if incomplete != "" {
		n.add(gap("this image was not read to its end: " + incomplete))
	}
	return n, r.restsOnContents(n)
}

// references returns the image's readable names, "repository:tag" or, untagged,
// "repository@digest", and puts repositories and tags into n.
func (r *reader) references(n *Node, id int64) ([]string, error) {
	all, err := r.releases(`WHERE r.artifact_id = $1 ORDER BY p.name, r.seq`, id)
	if err != nil {
		return nil, err
	}
	seen, _, err := r.visible(all)
	if err != nil {
		return nil, err
	}
	var names, repositories []string
	for _, l := range seen {
		repositories = append(repositories, l.name)
		tags, err := r.tags(n, l)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			names = append(names, l.name+":"+tag)
		}
		if len(tags) == 0 {
			names = append(names, l.name+"@"+short(l.version))
		}
		n.rests(l.seq).set("state", l.state).set("recalled", l.recalled)
	}
	n.set("repository", strings.Join(repositories, " ")).set("references", strings.Join(names, " "))
	return names, nil
}

// tags returns the tags of l and, for an image of one platform among several, those of the indexes
// in the same repository that list it.
func (r *reader) tags(n *Node, l release) ([]string, error) {
	var tags []string
	err := r.Each(`SELECT tag, seq FROM tag WHERE package_id = $1 AND version = $2
		UNION SELECT t.tag, t.seq FROM index_manifest x JOIN release i ON i.artifact_id = x.index_id AND i.package_id = $1
			JOIN tag t ON t.package_id = i.package_id AND t.version = i.version WHERE x.manifest_id = $3
		ORDER BY 1 LIMIT 20`,
		[]any{l.packageID, l.version, l.artifact}, func(rows *sql.Rows) error {
			var tag string
			var seq int64
			err := rows.Scan(&tag, &seq)
			tags = append(tags, tag)
			n.rests(seq)
			return err
		})
	return tags, err
}

// addStack hangs the image's layers, lowest first, with what each brought that was published here.
func (r *reader) addStack(root *Node, image int64) (*inside.Content, error) {
	stack, err := r.stack(image)
	if err != nil {
		return nil, err
	}
	if len(stack) == 0 {
		root.add(gap("its layers are not known: it is an index, or was pushed without being read"))
	}
	holds, err := r.Inside(stack)
	if err != nil {
		return nil, err
	}
	left, err := r.Hide(image, stack, holds)
	if err != nil {
		return nil, err
	}
	sum := inside.NewContent()
	for position, id := range stack {
		n, err := r.layer(id)
		if err != nil {
			return nil, err
		}
		instruction, err := inside.One[string](r.Reader, `SELECT created_by FROM image_layer WHERE image_id = $1 AND position = $2`, image, position)
		if err != nil {
			return nil, err
		}
		n.setInt("position", position).set("instruction", instruction)
		c := left[position].Without(sum)
		sum.Join(c)
		if err := r.addInside(n, c); err != nil {
			return nil, err
		}
		root.add(n)
	}
	return sum, nil
}

func (r *reader) stack(image int64) ([]int64, error) {
	return inside.List[int64](r.Reader, `SELECT layer_id FROM image_layer WHERE image_id = $1 ORDER BY position`, image)
}

// short abbreviates a digest for people.
func short(d string) string {
	if p, err := digest.Parse(d); err == nil {
		return p.Algorithm() + ":" + p.Short()
	}
	return d
}
