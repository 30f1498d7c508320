package fleet

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

// owners says to which component of an image each of its files belongs.
type owners struct {
	items []*inside.Item // what the image holds, by purl
	index map[string]int32
	// stack is what each layer holds, without what upper ones removed.
	stack []*inside.Content
	gaps  []string
}

// ownersOf asks the join what the layers hold.
func ownersOf(r *inside.Reader, st stack) (*owners, error) {
	known := slices.DeleteFunc(slices.Clone(st.layers), func(id int64) bool { return id == 0 })
	held, err := r.Inside(known)
	if err != nil {
		return nil, err
	}
	o := &owners{index: map[string]int32{}}
	if st.image != 0 {
		if o.stack, err = r.Hide(st.image, st.layers, held); err != nil {
			return nil, err
		}
	} else {
		for _, id := range st.layers {
			c := held[id]
			if c == nil {
				c = inside.NewContent()
			}
			o.stack = append(o.stack, c)
		}
	}
	o.collect()
	o.gaps, err = unread(r, known)
	return o, err
}

// collect makes one list of what any layer holds; what two hold is on joint grounds.
func (o *owners) collect() {
	all := map[string]*inside.Item{}
	add := func(i *inside.Item) {
		have := all[i.PURL]
		if have == nil {
			have = &inside.Item{PURL: i.PURL, Files: map[string]bool{}}
			all[i.PURL] = have
		}
		have.Release = max(have.Release, i.Release)
		have.Metadata = have.Metadata || i.Metadata
		maps.Copy(have.Files, i.Files)
	}
	for _, c := range o.stack {
		for _, i := range c.Components {
			add(i)
		}
		for _, i := range c.Releases {
			add(i)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		o.index[p] = int32(len(o.items))
		o.items = append(o.items, all[p])
	}
}

// unread are the layers that nobody has read, or not to their end.
func unread(r *inside.Reader, layers []int64) ([]string, error) {
	ids := make([]any, len(layers))
	for i, id := range layers {
		ids[i] = id
	}
	var gaps []string
	return gaps, r.In(`SELECT a.digest, a.incomplete, l.artifact_id IS NULL FROM artifact a LEFT JOIN layer l ON l.artifact_id = a.id
		WHERE a.id IN (%s)`, ids, func(rows *sql.Rows) error {
		var d, incomplete string
		var missing bool
		err := rows.Scan(&d, &incomplete, &missing)
		if missing {
			gaps = append(gaps, "layer "+d+" was not read")
		} else if incomplete != "" {
			gaps = append(gaps, "layer "+d+" was not read to its end: "+incomplete)
		}
		return err
	})
}

// of returns the function that names the owner of a file in the layer at a position: the release that
// ships its bytes or, failing that, the component in whose folder it lies; -1 for none. Where several
// releases ship the bytes, one that metadata names there wins, then the first by purl.
func (o *owners) of(position int) func(file, sum string) int32 {
	content := map[string]*inside.Item{}
	for _, i := range sorted(o.stack[position].Releases) {
		for sum := range i.Files {
			if have := content[sum]; have == nil || i.Metadata && !have.Metadata {
				content[sum] = i
			}
		}
	}
	folders := o.folders(position)
	return func(file, sum string) int32 {
		if i := content[sum]; i != nil {
			return o.index[i.PURL]
		}
		for at := file; at != "." && at != "/"; at = path.Dir(at) {
			if i := folders[at]; i != nil {
				return o.index[i.PURL]
			}
		}
		return -1
	}
}

func sorted(items map[int64]*inside.Item) []*inside.Item {
	return slices.SortedFunc(maps.Values(items), func(a, b *inside.Item) int { return cmp.Compare(a.PURL, b.PURL) })
}

// folders are the places of components that have one: an npm package owns the folder of its package.json,
// and a file that declares a single component, as a program does, is that component. A package
// database declares many, and says nothing about where their files are.
func (o *owners) folders(position int) map[string]*inside.Item {
	out := map[string]*inside.Item{}
	declares := map[string]int{}
	for _, i := range sorted(o.stack[position].Components) {
		declares[i.Path]++
		if path.Base(i.Path) == "package.json" {
			out[path.Dir(i.Path)] = i
		} else {
			out[i.Path] = i
		}
	}
	for p, n := range declares {
		if n > 1 {
			delete(out, p)
		}
	}
	delete(out, "")
	return out
}

// described makes the messages of what the image holds, with how what was published here came to be.
func described(r *inside.Reader, o *owners) ([]*fleetv1.Component, error) {
	out := make([]*fleetv1.Component, len(o.items))
	byRelease := map[int64]*fleetv1.Component{}
	var releases []any
	for n, i := range o.items {
		out[n] = &fleetv1.Component{Purl: i.PURL, Grounds: string(i.Grounds())}
		if i.Release != 0 {
			byRelease[i.Release] = out[n]
			releases = append(releases, i.Release)
		}
	}
	err := r.In(`SELECT l.id, a.digest, l.publisher, coalesce(b.credential, ''), coalesce(b.label, ''), l.published, coalesce((SELECT account FROM approval
			WHERE purl = l.purl AND account <> l.publisher ORDER BY seq DESC LIMIT 1), ''), l.origin
		FROM release l JOIN artifact a ON a.id = l.artifact_id LEFT JOIN publication b ON b.seq = l.seq WHERE l.id IN (%s)`, releases,
		func(rows *sql.Rows) error {
			var id int64
			var published, origin string
			var c fleetv1.Component
			err := rows.Scan(&id, &c.Artifact, &c.Publisher, &c.Credential, &c.Label, &published, &c.Approver, &origin)
			if err != nil {
				return err
			}
			if u, err := url.Parse(origin); err == nil && origin != "" {
				c.Publisher = "the upstream " + u.Host
			}
			at, err := time.Parse(time.RFC3339Nano, published)
			to := byRelease[id]
			to.Artifact, to.Publisher, to.Credential, to.Label, to.Approver = c.Artifact, c.Publisher, c.Credential, c.Label, c.Approver
			to.Approved, to.Published = c.Approver != "", timestamppb.New(at)
			return err
		})
	if err != nil {
		return nil, err
	}
	return out, recalled(r, out)
}

// recalled fills in the reasons of recalls in force, by purl or by the archive's digest.
func recalled(r *inside.Reader, all []*fleetv1.Component) error {
	reasons := map[string]string{}
	err := r.Each(`SELECT subject, reason FROM recall WHERE gates = '' OR gates LIKE '% run %'`, nil, func(rows *sql.Rows) error {
		var subject, reason string
		err := rows.Scan(&subject, &reason)
		reasons[subject] = reason
		return err
	})
	if err != nil {
		return fmt.Errorf("recalls in force: %w", err)
	}
	for _, c := range all {
		c.Recalled = cmp.Or(reasons[c.Purl], reasons[c.Artifact])
	}
	return nil
}
