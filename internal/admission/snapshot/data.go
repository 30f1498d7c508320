package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
)

// Program is a set of policies that was compiled.
type Program interface {
	// Decide answers a request from what the record says about its images, asked for by digest.
	Decide(request policy.Request, records func(digest string) policy.Record, exceptions []policy.Exception) policy.Verdict
}

// Compile makes a program of a policy document.
type Compile func(revision string, document []byte) (Program, error)

type tagKey struct{ repository, tag string }

// data is one whole state. While a stream starts anew, a second one is filled beside the one that
// answers.
type data struct {
	codec      *codec
	head       int64
	images     map[string]*image
	tags       map[tagKey]string
	program    Program
	revision   string
	document   []byte
	exceptions []policy.Exception
	recalls    []*fleetv1.Recall
	// reached are the recalls by the images that they reach, as recalls names them.
	reached map[string][]*fleetv1.Recall
	// degraded is why the newest policies are not those that decide; empty when they are.
	degraded string
}

func newData(c *codec) *data {
	return &data{codec: c, images: map[string]*image{}, tags: map[tagKey]string{}, reached: map[string][]*fleetv1.Recall{}}
}

// change is an update that was read and is ready to be taken in: what takes long is done before anybody
// has to wait for it.
type change func(*data)

// prepare reads an update. It fails when the update cannot be read.
func (c *codec) prepare(u *fleetv1.Update, compile Compile) (change, error) {
	switch v := u.GetChange().(type) {
	case *fleetv1.Update_Image:
		return c.prepareImage(v.Image)
	case *fleetv1.Update_Tag:
		return func(d *data) { d.setTag(v.Tag) }, nil
	case *fleetv1.Update_Exceptions:
		var list []policy.Exception
		if err := json.Unmarshal(v.Exceptions.GetExceptions(), &list); err != nil {
			return nil, fmt.Errorf("exceptions: %w", err)
		}
		return func(d *data) { d.exceptions = list }, nil
	case *fleetv1.Update_Recalls:
		return func(d *data) { d.setRecalls(v.Recalls.GetRecalls()) }, nil
	case *fleetv1.Update_Policies:
		return preparePolicies(v.Policies, compile), nil
	}
	return func(*data) {}, nil
}

func (c *codec) prepareImage(r *fleetv1.ImageRecord) (change, error) {
	if len(r.GetRecord()) == 0 {
		return func(d *data) { delete(d.images, r.GetDigest()) }, nil
	}
	img, err := c.newImage(r.GetRecord())
	if err != nil {
		return nil, fmt.Errorf("record of %s: %w", r.GetDigest(), err)
	}
	return func(d *data) { d.images[r.GetDigest()] = img }, nil
}

// preparePolicies compiles before anything is replaced: a broken set leaves the last good one in force.
func preparePolicies(p *fleetv1.PolicySet, compile Compile) change {
	program, err := compile(p.GetRevision(), p.GetDocument())
	if err != nil {
		return func(d *data) { d.degraded = fmt.Sprintf("policy set %s does not compile: %v", p.GetRevision(), err) }
	}
	return func(d *data) {
		d.program, d.revision, d.document, d.degraded = program, p.GetRevision(), p.GetDocument(), ""
	}
}

func (d *data) setTag(t *fleetv1.Tag) {
	key := tagKey{t.GetRepository(), t.GetTag()}
	if t.GetDigest() == "" {
		delete(d.tags, key)
		return
	}
	d.tags[key] = t.GetDigest()
}

func (d *data) setRecalls(list []*fleetv1.Recall) {
	d.recalls = list
	d.reached = make(map[string][]*fleetv1.Recall, len(list))
	for _, r := range list {
		for _, digest := range slices.Concat(r.GetImages(), r.GetSubjects()) {
			if !slices.Contains(d.reached[digest], r) {
				d.reached[digest] = append(d.reached[digest], r)
			}
		}
	}
}

// keepPolicies takes the policies of an older state where this one has none that compile.
func (d *data) keepPolicies(old *data) {
	if d.program == nil && old.program != nil {
		d.program, d.revision, d.document = old.program, old.revision, old.document
	}
}

// record returns what is known about a digest, with the recalls that are in force now: they come first
// on the stream, before the records of all the images that they reach.
func (d *data) record(digest string) (policy.Record, error) {
	img := d.images[digest]
	if img == nil {
		unknown := policy.Unknown(digest, d.head)
		unknown.Recalls = d.overlay(digest, nil, policy.Record{})
		return unknown, nil
	}
	r, err := d.codec.read(img)
	if err != nil {
		return policy.Record{}, err
	}
	out := *r
	out.Head = d.head // nothing about the image has changed since it was read
	out.Recalls = d.overlay(digest, r.Recalls, *r)
	return out, nil
}

// overlay drops recalls that were lifted and adds those that the image's record does not tell yet.
func (d *data) overlay(digest string, told []policy.Recall, r policy.Record) []policy.Recall {
	inForce := func(seq int64) bool {
		return slices.ContainsFunc(d.recalls, func(r *fleetv1.Recall) bool { return r.GetSeq() == seq })
	}
	out := slices.DeleteFunc(slices.Clone(told), func(t policy.Recall) bool { return !inForce(t.Seq) })
	for _, recall := range d.reached[digest] {
		known := slices.ContainsFunc(out, func(t policy.Recall) bool { return t.Seq == recall.GetSeq() })
		if !known {
			out = append(out, RecallOf(recall, r))
		}
	}
	return out
}

// RecallOf words a recall for an image, naming the component by which it reaches it where that is known.
func RecallOf(r *fleetv1.Recall, record policy.Record) policy.Recall {
	out := policy.Recall{
		Seq: r.GetSeq(), Reason: r.GetReason(), By: r.GetAccount(), Gates: slices.Clone(r.GetGates()), System: r.GetSystem(),
	}
	if len(r.GetSubjects()) > 0 {
		out.Subject = r.GetSubjects()[0]
	}
	for _, c := range record.Contents.Components {
		if slices.Contains(r.GetComponents(), c.PURL) {
			out.Via = c.PURL
			break
		}
	}
	return out
}

// stored is what the state holds beside images and tags, as it lies in the file.
func (d *data) stored(heard time.Time, after int64) (map[string][]byte, error) {
	exceptions, err := json.Marshal(d.exceptions)
	if err != nil {
		return nil, err
	}
	recalls, err := proto.Marshal(&fleetv1.Recalls{Recalls: d.recalls})
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"policies": d.document, "revision": []byte(d.revision), "exceptions": exceptions, "recalls": recalls,
		"head": fmt.Append(nil, after), "heard": []byte(heard.Format(time.RFC3339Nano)),
	}, nil
}
