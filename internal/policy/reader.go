package policy

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/store"
)

// timeFormat is how the projections keep a time.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Reader makes the records that policies decide from, out of the evidence projections, as of any head:
// the same image at the same head gives the same record, whatever was said since. It is safe for
// concurrent use.
type Reader struct {
	db *store.DB

	recalls recallBook
	// tools remembers which executables of a layer are shells or package managers: most layers have none, and
	// reading all their names again for every image would cost more than the rest.
	tools toolBook
}

// NewReader returns a reader of the evidence projections in db.
func NewReader(db *store.DB) *Reader { return &Reader{db: db} }

// Head returns the number of statements in the record.
func (r *Reader) Head(ctx context.Context) (head int64, err error) {
	err = r.db.Query().QueryRowContext(ctx, `SELECT coalesce(max(seq) + 1, 0) FROM statement`).Scan(&head)
	return head, err
}

// Record returns what the record said about an image, by its manifest digest, when it had head
// statements; inside.Newest is now. Of an image that it knows nothing of, Known is false.
//
// An index is the worst of what it lists: it is known when all that it lists is, and holds what any of
// them holds. Publication, approval and verifications are its own.
func (r *Reader) Record(ctx context.Context, manifest string, head int64) (Record, error) {
	out, _, err := r.recordAt(ctx, manifest, head)
	return out, err
}

// Records reads the records of many images from one snapshot and hands each to fn; it is faster than as many calls of
// Record, because images share layers. It ends with fn's error.
func (r *Reader) Records(ctx context.Context, manifests []digest.Digest, head int64, fn func(Record) error) error {
	return r.read(ctx, head, func(s *session) error {
		for _, manifest := range manifests {
			one, err := s.record(string(manifest))
			if err != nil {
				return fmt.Errorf("record of %.80s: %w", manifest, err)
			}
			if err := fn(one); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordAt is Record with the reasons for which it may not be what was read at that head; none as a
// rule, and none ever for the newest head.
func (r *Reader) recordAt(ctx context.Context, manifest string, head int64) (out Record, inexact []string, err error) {
	err = r.read(ctx, head, func(s *session) error {
		out, err = s.record(manifest)
		inexact = s.inexact
		return err
	})
	if err != nil {
		return Record{}, nil, fmt.Errorf("record of %.80s: %w", manifest, err)
	}
	return out, inexact, nil
}

// Resolve returns the digest that the tag of a repository here points at, or "" when it points at none.
func (r *Reader) Resolve(ctx context.Context, repository, tag string) (d digest.Digest, err error) {
	err = r.read(ctx, inside.Newest, func(s *session) error {
		d, err = inside.One[digest.Digest](s.Reader, `SELECT t.version FROM tag t JOIN package p ON p.id = t.package_id
			WHERE p.ecosystem = $1 AND p.name = $2 AND t.tag = $3`, purl.OCI, repository, tag)
		return err
	})
	return d, err
}

// Images returns the digest of every image and index that was published here or is listed by one.
func (r *Reader) Images(ctx context.Context) (all []digest.Digest, err error) {
	err = r.read(ctx, inside.Newest, func(s *session) error {
		all, err = inside.List[digest.Digest](s.Reader, `SELECT a.digest FROM artifact a WHERE a.kind = 'manifest'
			AND (EXISTS (SELECT 1 FROM release r WHERE r.artifact_id = a.id) OR EXISTS (SELECT 1 FROM index_manifest x WHERE x.manifest_id = a.id))
			ORDER BY a.id`)
		return err
	})
	return all, err
}

// session reads one snapshot as of one head.
type session struct {
	*inside.Reader
	book    *Reader
	inexact []string // why the record may not be what was read at this head
	inIndex bool     // reading what an index lists: an index in an index is an image without layers
	// layers remembers what layers hold, for the next image of the session that has them too.
	layers map[int64]*inside.Content
}

func (r *Reader) read(ctx context.Context, head int64, fn func(*session) error) error {
	return r.db.Read(ctx, func(tx *sql.Tx) error {
		s := &session{Reader: inside.NewReader(ctx, tx, head), book: r, layers: map[int64]*inside.Content{}}
		defer s.Close()
		if head == inside.Newest {
			newest, err := inside.One[int64](s.Reader, `SELECT coalesce(max(seq) + 1, 0) FROM statement`)
			if err != nil {
				return err
			}
			s.Head = newest
		}
		return fn(s)
	})
}

func parseTime(text string) time.Time {
	t, err := time.Parse(timeFormat, text)
	if err != nil {
		return time.Time{} // a projection that is broken: as if it did not know
	}
	return t
}

func values[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// maxTools is how many layers are remembered; beyond it the memory starts anew.
const maxTools = 100_000

// toolBook is which shells and package managers layers have. A layer that is read again by a newer
// reader has another key.
type toolBook struct {
	mu    sync.Mutex
	known map[toolKey][]tool // guarded by mu
}

type toolKey struct {
	layer    int64
	analyser string
}

// tool is an executable file whose name makes an image less minimal.
type tool struct {
	inside.File
	shell bool // else a package manager
}

func (b *toolBook) get(k toolKey) ([]tool, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.known[k]
	return t, ok
}

func (b *toolBook) put(k toolKey, t []tool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= maxTools {
		b.known = map[toolKey][]tool{}
	}
	b.known[k] = t
}
