package snapshot

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/store"
)

//go:embed schema.sql
var schema string

// Schema returns the tables of a snapshot file.
func Schema() store.Schema { return store.Schema{Owner: "snapshot", Steps: []string{schema}} }

// Snapshot answers from memory and is written to a file behind the answers. It is safe for concurrent
// use by many readers and one follower.
type Snapshot struct {
	db      *store.DB
	compile Compile
	clock   clock.Clock
	codec   *codec

	mu    sync.RWMutex
	live  *data     // answers; nil until it was whole once
	heard time.Time // when the server was last heard, by this machine's clock

	// What the follower alone touches, under apply.
	apply  sync.Mutex
	next   *data // filled while a stream starts anew; nil otherwise
	after  int64 // everything up to this head has been taken in
	latest int64 // the head of the last update, of which more may come
	dirty  changes
}

// changes are what the file does not have yet.
type changes struct {
	images map[string]*image // nil value: gone
	tags   map[tagKey]string // "": gone
	state  bool              // policies, exceptions, recalls or the head
	all    bool              // everything: the state is a new one
}

// Open reads the snapshot that db holds, which may be none. Policies that lie there are compiled
// again; when this program cannot, the snapshot is as if it had never been whole.
func Open(ctx context.Context, db *store.DB, compile Compile, c clock.Clock) (*Snapshot, error) {
	if err := db.Migrate(ctx, Schema()); err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	s := &Snapshot{db: db, compile: compile, clock: c, codec: codec}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	return s, nil
}

// After is the head from which a stream can go on; 0 asks for everything.
func (s *Snapshot) After() int64 {
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.after
}

// Begin tells that a stream starts. What an earlier one had begun and not finished is forgotten.
func (s *Snapshot) Begin() {
	s.apply.Lock()
	defer s.apply.Unlock()
	s.next, s.latest = nil, s.after
}

// Apply takes one update in: it decides from the next request on. The file follows with [Snapshot.Flush].
func (s *Snapshot) Apply(u *fleetv1.Update) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	defer s.hear()
	change, err := s.codec.prepare(u, s.compile)
	if err != nil {
		return err
	}
	if u.GetReset_() || s.next == nil && !s.whole() {
		s.next = newData(s.codec)
	}
	if s.next != nil {
		change(s.next)
		s.next.head = max(s.next.head, u.GetHead())
		if u.GetSynced() {
			s.replace(u.GetHead())
		}
		return nil
	}
	s.mu.Lock()
	change(s.live)
	s.live.head = max(s.live.head, u.GetHead())
	s.mu.Unlock()
	s.remember(u)
	return nil
}

// replace puts the state that has become whole in force.
func (s *Snapshot) replace(head int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.next.keepPolicies(s.live)
	}
	s.live, s.next = s.next, nil
	s.after, s.latest = head, head
	s.dirty = changes{all: true}
}

// remember notes what the file lacks. A head is complete when a later one is spoken of, or nothing more.
func (s *Snapshot) remember(u *fleetv1.Update) {
	if u.GetHead() > s.latest {
		s.after, s.latest = max(s.after, s.latest), u.GetHead()
	}
	switch c := u.GetChange().(type) {
	case nil, *fleetv1.Update_Synced:
		s.after = max(s.after, u.GetHead())
	case *fleetv1.Update_Image:
		if s.dirty.images == nil {
			s.dirty.images = map[string]*image{}
		}
		s.dirty.images[c.Image.GetDigest()] = s.live.images[c.Image.GetDigest()]
	case *fleetv1.Update_Tag:
		if s.dirty.tags == nil {
			s.dirty.tags = map[tagKey]string{}
		}
		s.dirty.tags[tagKey{c.Tag.GetRepository(), c.Tag.GetTag()}] = c.Tag.GetDigest()
	}
	s.dirty.state = true
}

func (s *Snapshot) whole() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.live != nil
}

func (s *Snapshot) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = s.clock.Now()
}

// Written reports whether the file has everything that was heard.
func (s *Snapshot) Written() bool {
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.whole() && s.next == nil && !s.dirty.all && !s.dirty.state
}

// View is what one decision is made from.
type View struct {
	Program    Program
	Revision   string
	Head       int64
	Heard      time.Time
	Exceptions []policy.Exception
	Records    map[string]policy.Record // by digest
	Degraded   string                   // why the newest policies are not those that decide
}

// Record is what is known about a digest that the view was made for.
func (v View) Record(digest string) policy.Record { return v.Records[digest] }

// View resolves the tags of images, in place, and collects what is known about their digests, all at
// one head. known says whether the repositories of a registry are this record's, so that its tags mean
// something here. It fails with code snapshot-empty before the snapshot was whole once, and with
// code policies-missing when no set of policies has ever compiled.
func (s *Snapshot) View(images []policy.Image, known func(registry string) bool) (View, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.live
	if d == nil {
		return View{}, fault.New(fault.Unavailable, "snapshot-empty",
			"the admission controller has not heard anything from its server yet; look at its log, and at --server and --token-file")
	}
	if d.program == nil {
		return View{}, fault.New(fault.Unavailable, "policies-missing",
			"there is no set of policies that this admission controller can use; put one in force with 'hullmark policy set'")
	}
	v := View{
		Program: d.program, Revision: d.revision, Head: d.head, Heard: s.heard, Exceptions: d.exceptions,
		Degraded: d.degraded, Records: make(map[string]policy.Record, len(images)),
	}
	for i := range images {
		if img := &images[i]; img.Digest == "" && img.Tag != "" && known(img.Registry) {
			img.Digest = d.tags[tagKey{img.Repository, img.Tag}]
		}
		digest := images[i].Digest
		if _, done := v.Records[digest]; done || digest == "" {
			continue
		}
		record, err := d.record(digest)
		if err != nil {
			return View{}, fmt.Errorf("record of %s: %w", digest, err)
		}
		v.Records[digest] = record
	}
	return v, nil
}

// Status is what an operator wants to know.
type Status struct {
	Whole    bool      `json:"whole"`
	Head     int64     `json:"head"`
	Heard    time.Time `json:"heard"`
	Age      float64   `json:"ageSeconds"`
	Images   int       `json:"images"`
	Tags     int       `json:"tags"`
	Recalls  int       `json:"recalls"`
	Revision string    `json:"policyRevision"`
	Degraded string    `json:"degraded,omitempty"`
}

// Status describes the snapshot.
func (s *Snapshot) Status() Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := Status{Heard: s.heard, Age: Age(s.heard, s.clock.Now()).Seconds()}
	if d := s.live; d != nil {
		out.Whole, out.Head, out.Revision, out.Degraded = true, d.head, d.revision, d.degraded
		out.Images, out.Tags, out.Recalls = len(d.images), len(d.tags), len(d.recalls)
	}
	return out
}

// Age is how long ago heard was; a clock that was set back makes nothing younger than now.
func Age(heard, now time.Time) time.Duration { return max(0, now.Sub(heard)) }
