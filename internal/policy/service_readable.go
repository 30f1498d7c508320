package policy

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// RecordFor returns the record of an image at a head as actor may see it. What they may not read is
// counted in the gaps and not named: a vendored copy of a private package is in an image that they may pull, and that
// it is that package is not theirs to learn. Whether they may read the image itself the caller has asked.
func (s *Service) RecordFor(ctx context.Context, actor evidence.Actor, manifest string, head int64) (Record, error) {
	record, err := s.reader.Record(ctx, manifest, head)
	if err != nil || s.access.RequireAdmin(ctx, actor) == nil {
		return record, err
	}
	v := &viewer{
		ctx: ctx, reader: s.reader,
		may: func(ecosystem, name string) (bool, error) {
			err := s.access.Authorize(ctx, actor, evidence.Read, ecosystem, name)
			if err == nil {
				return true, nil
			}
			switch fault.KindOf(err) {
			case fault.NotFound, fault.Denied, fault.Unauthenticated, fault.Invalid:
				return false, nil
			}
			return false, err
		},
		known: map[[2]string]bool{},
	}
	err = v.redact(&record)
	return record, err
}

// viewer leaves out of a record what somebody may not read. It holds no reader of the store while it asks
// who may: the answer may need one itself, and with as many viewers as readers nobody would get one.
type viewer struct {
	ctx    context.Context
	reader *Reader
	may    func(ecosystem, name string) (bool, error)
	known  map[[2]string]bool
}

func (v *viewer) reads(name [2]string) (bool, error) {
	if ok, known := v.known[name]; known {
		return ok, nil
	}
	ok, err := v.may(name[0], name[1])
	if err == nil {
		v.known[name] = ok
	}
	return ok, err
}

func (v *viewer) redact(r *Record) error {
	steps := []func(*Record) error{v.references, v.publication, v.base, v.components}
	for _, step := range steps {
		if err := step(r); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewer) references(r *Record) (err error) {
	r.References, err = v.readable(r.References)
	return err
}

// readable keeps the references to repositories that may be read.
func (v *viewer) readable(references []string) ([]string, error) {
	out := []string{}
	for _, reference := range references {
		repository, _, _ := strings.Cut(reference, "@")
		if i := strings.LastIndex(repository, ":"); i > strings.LastIndex(repository, "/") {
			repository = repository[:i]
		}
		ok, err := v.reads([2]string{purl.OCI, repository})
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, reference)
		}
	}
	return out, nil
}

func (v *viewer) publication(r *Record) error {
	if !r.Known {
		return nil
	}
	where, err := v.publishedUnder([]int64{r.Publication.Seq})
	if err != nil {
		return err
	}
	ok, err := v.reads(where[r.Publication.Seq])
	if err == nil && !ok {
		r.Publication, r.Approval = Publication{}, Approval{}
		r.gap("it was first published in a namespace that you may not read")
	}
	return err
}

func (v *viewer) base(r *Record) (err error) {
	b := &r.Contents.Base
	if b.Digest == "" {
		return nil
	}
	if b.References, err = v.readable(b.References); err != nil || len(b.References) > 0 {
		return err
	}
	*b = Base{References: []string{}}
	r.gap("its base image is in a namespace that you may not read")
	return nil
}

func (v *viewer) components(r *Record) error {
	var seqs []int64
	for _, c := range r.Contents.Components {
		if c.Release {
			seqs = append(seqs, c.Published.Seq)
		}
	}
	where, err := v.publishedUnder(seqs)
	if err != nil {
		return err
	}
	kept, hidden := []Component{}, map[string]bool{}
	for _, c := range r.Contents.Components {
		ok := true
		if c.Release {
			if ok, err = v.reads(where[c.Published.Seq]); err != nil {
				return err
			}
		}
		switch {
		case ok:
			kept = append(kept, c)
		case c.Grounds == "content": // only whoever has the package could tell
			hidden[c.PURL] = true
		default:
			hidden[c.PURL] = true
			kept = append(kept, Component{PURL: c.PURL, Layer: c.Layer, Path: c.Path, Grounds: "metadata", Recalled: c.Recalled})
		}
	}
	r.Contents.Components = kept
	r.Gaps = slices.DeleteFunc(r.Gaps, func(gap string) bool { // a sentence may name one, too
		for p := range hidden {
			if strings.Contains(gap, p) {
				return true
			}
		}
		return false
	})
	if len(hidden) > 0 {
		r.gap("%s in namespaces that you may not read", counted(len(hidden), "component"))
	}
	for i, x := range r.Recalls {
		if hidden[x.Via] {
			r.Recalls[i].Subject, r.Recalls[i].Via, r.Recalls[i].By = "", "", ""
		}
	}
	return nil
}

// publishedUnder returns the ecosystem and name of each publication.
func (v *viewer) publishedUnder(seqs []int64) (map[int64][2]string, error) {
	out := map[int64][2]string{}
	return out, v.reader.read(v.ctx, inside.Newest, func(s *session) error {
		return s.In(`SELECT x.seq, p.ecosystem, p.name FROM publication x JOIN package p ON p.id = x.package_id WHERE x.seq IN (%s)`, values(seqs),
			func(rows *sql.Rows) error {
				var seq int64
				var name [2]string
				err := rows.Scan(&seq, &name[0], &name[1])
				out[seq] = name
				return err
			})
	})
}
