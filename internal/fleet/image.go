package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	// maxLayers bounds the layers that a request names, and filesAtOnce the files of one message.
	maxLayers   = 256
	filesAtOnce = 2000
	// maxIndexing bounds how many images are worked out at a time: a rollout makes every node ask at once.
	maxIndexing = 4
)

// indexes is what images are found by, besides the record.
type indexes struct {
	slots   chan struct{}
	configs configs
}

// stack is an image, or as much of one as its layers tell: image is 0 when the record knows only those.
type stack struct {
	image  int64
	digest string
	layers []int64 // lowest first; 0 for one that the record does not know
	diffs  []string
	gaps   []string
}

func (s *Service) image(ctx context.Context, req *connect.Request[fleetv1.ImageRequest], stream *connect.ServerStream[fleetv1.ImageResponse]) error {
	c := callerOf(ctx)
	_ = c.conn.SetReadDeadline(time.Time{})
	defer c.unlimited()
	select {
	case s.indexes.slots <- struct{}{}:
		defer func() { <-s.indexes.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	send := func(m *fleetv1.ImageResponse) error {
		_ = c.conn.SetWriteDeadline(time.Now().Add(sendWithin))
		return stream.Send(m)
	}
	return s.answer(s.sendImage(ctx, req.Msg, send))
}

func (s *Service) sendImage(ctx context.Context, req *fleetv1.ImageRequest, send func(*fleetv1.ImageResponse) error) error {
	st, err := s.find(ctx, req)
	if err != nil {
		return err
	}
	var owners *owners
	out := &fleetv1.Image{Digest: st.digest, DiffIds: st.diffs}
	err = s.Record.DB().Read(ctx, func(tx *sql.Tx) error {
		r := inside.NewReader(ctx, tx, inside.Newest)
		defer r.Close()
		if owners, err = ownersOf(r, st); err != nil {
			return err
		}
		if out.References, err = references(r, st.image); err != nil {
			return err
		}
		out.Components, err = described(r, owners)
		return err
	})
	if err != nil {
		return err
	}
	out.Gaps = append(st.gaps, owners.gaps...)
	if err := send(&fleetv1.ImageResponse{Part: &fleetv1.ImageResponse_Image{Image: out}}); err != nil {
		return err
	}
	for i, layer := range st.layers {
		if layer == 0 {
			continue
		}
		if err := s.sendFiles(ctx, layer, st.diffs[i], owners.of(i), send); err != nil {
			return err
		}
	}
	return nil
}

// sendFiles sends a layer's files in parts. Each part is read by itself, so that a slow agent holds up
// nobody's database.
func (s *Service) sendFiles(ctx context.Context, layer int64, diffID string, owner func(path, sum string) int32, send func(*fleetv1.ImageResponse) error) error {
	for after, more := "", true; more; {
		rows, err := s.Record.DB().Query().QueryContext(ctx, `SELECT path, sha256 FROM file WHERE artifact_id = $1 AND path > $2
			ORDER BY path LIMIT $3`, layer, after, filesAtOnce)
		if err != nil {
			return fmt.Errorf("files of %s: %w", diffID, err)
		}
		part := &fleetv1.LayerFiles{DiffId: diffID}
		for rows.Next() {
			f := &fleetv1.LayerFile{}
			if err := rows.Scan(&f.Path, &f.Sha256); err != nil {
				return errors.Join(fmt.Errorf("files of %s: %w", diffID, err), rows.Close())
			}
			f.Component = owner(f.Path, string(f.Sha256))
			part.Files = append(part.Files, f)
			after = f.Path
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("files of %s: %w", diffID, err)
		}
		more = len(part.Files) == filesAtOnce
		if err := send(&fleetv1.ImageResponse{Part: &fleetv1.ImageResponse_Files{Files: part}}); err != nil {
			return err
		}
	}
	return nil
}

func errImage(what string) error {
	return fault.New(fault.NotFound, "image-unknown", "the record knows no image %s; push it to this server, and its files have names", clip(what))
}

// find returns the layers that the request means.
func (s *Service) find(ctx context.Context, req *fleetv1.ImageRequest) (stack, error) {
	if len(req.DiffIds) > maxLayers {
		return stack{}, fault.New(fault.TooLarge, "image-unknown", "an image has at most %d layers", maxLayers)
	}
	id, err := s.manifest(ctx, req)
	if err != nil {
		return stack{}, err
	}
	var out stack
	err = s.Record.DB().Read(ctx, func(tx *sql.Tx) error {
		r := inside.NewReader(ctx, tx, inside.Newest)
		defer r.Close()
		if id == 0 {
			if len(req.DiffIds) == 0 {
				return errImage(req.Digest)
			}
			out, err = byLayers(r, req.DiffIds)
			return err
		}
		if id, err = platform(r, id, &out); err != nil {
			return err
		}
		return out.read(r, id)
	})
	return out, err
}

// manifest returns the artifact that the request's digest or reference names, or 0.
func (s *Service) manifest(ctx context.Context, req *fleetv1.ImageRequest) (int64, error) {
	if req.Digest == "" {
		return 0, nil
	}
	if d, err := digest.Parse(req.Digest); err == nil {
		id, err := s.artifact(ctx, string(d))
		if err != nil || id != 0 {
			return id, err
		}
		return s.indexes.configs.manifest(ctx, s.Record.DB(), s.Blobs, string(d))
	}
	repository, tag, ok := strings.Cut(req.Digest, ":")
	if !ok {
		return 0, errImage(req.Digest)
	}
	var version string
	err := s.Record.DB().Query().QueryRowContext(ctx, `SELECT t.version FROM tag t JOIN package p ON p.id = t.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND t.tag = $3`, purl.OCI, repository, tag).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", clip(req.Digest), err)
	}
	return s.artifact(ctx, version)
}

func (s *Service) artifact(ctx context.Context, d string) (int64, error) {
	var id int64
	err := s.Record.DB().Query().QueryRowContext(ctx, `SELECT id FROM artifact WHERE digest = $1 AND kind = 'manifest'`, d).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// platform returns the image that an index stands for: its first one, which is a guess and said so. An
// agent that knows the layers asks by them.
func platform(r *inside.Reader, id int64, out *stack) (int64, error) {
	listed, err := inside.List[int64](r, `SELECT manifest_id FROM index_manifest WHERE index_id = $1 ORDER BY position`, id)
	if err != nil || len(listed) == 0 {
		return id, err
	}
	if len(listed) > 1 {
		out.gaps = append(out.gaps, "the digest is of an index of several images; this is the first one")
	}
	return listed[0], nil
}

func (st *stack) read(r *inside.Reader, id int64) error {
	st.image = id
	var incomplete string
	err := r.Each(`SELECT digest, incomplete FROM artifact WHERE id = $1`, []any{id}, func(rows *sql.Rows) error {
		return rows.Scan(&st.digest, &incomplete)
	})
	if err != nil {
		return err
	}
	if incomplete != "" {
		st.gaps = append(st.gaps, "the image was not read to its end: "+incomplete)
	}
	return r.Each(`SELECT il.layer_id, a.digest FROM image_layer il JOIN artifact a ON a.id = il.layer_id WHERE il.image_id = $1
		ORDER BY il.position`, []any{id}, func(rows *sql.Rows) error {
		var layer int64
		var diffID string
		err := rows.Scan(&layer, &diffID)
		st.layers, st.diffs = append(st.layers, layer), append(st.diffs, diffID)
		return err
	})
}

// byLayers finds the image that has exactly these layers or, when there is none, takes the layers alone.
func byLayers(r *inside.Reader, diffs []string) (stack, error) {
	st := stack{diffs: diffs}
	for _, d := range diffs {
		id, err := inside.One[int64](r, `SELECT id FROM artifact WHERE digest = $1 AND kind = 'layer'`, d)
		if err != nil {
			return st, err
		}
		if id == 0 {
			st.gaps = append(st.gaps, "layer "+clip(d)+" is not in the record")
		}
		st.layers = append(st.layers, id)
	}
	if slices.Max(st.layers) == 0 {
		return st, errImage(diffs[len(diffs)-1])
	}
	if slices.Contains(st.layers, 0) {
		return st, nil
	}
	top := len(diffs) - 1
	images, err := inside.List[int64](r, `SELECT image_id FROM image_layer WHERE layer_id = $1 AND position = $2
		AND NOT EXISTS (SELECT 1 FROM image_layer u WHERE u.image_id = image_layer.image_id AND u.position > $2) ORDER BY image_id`, st.layers[top], top)
	if err != nil {
		return st, err
	}
	for _, image := range images {
		var whole stack
		if err := whole.read(r, image); err != nil {
			return st, err
		}
		if slices.Equal(whole.layers, st.layers) {
			return whole, nil
		}
	}
	return st, nil
}

func references(r *inside.Reader, image int64) ([]string, error) {
	return inside.List[string](r, `SELECT p.name || ':' || t.tag FROM release l JOIN package p ON p.id = l.package_id
		JOIN tag t ON t.package_id = p.id AND t.version = l.version WHERE l.artifact_id = $1 ORDER BY 1`, image)
}
