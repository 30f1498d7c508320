package oci

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
)

// describeLater puts an image's contents on the record when its layers have been read. The push
// is acknowledged by then; a server that is stopped in between makes up for it in Recover.
func (g *Registry) describeLater(name string, m *manifest, d digest.Digest) {
	p, first := g.layers.start(d)
	if !first {
		return // the same image is being pushed to two repositories: one description is enough
	}
	g.layers.group.Go(func() {
		defer g.layers.finish(d, p)
		ctx := g.layers.ctx
		draft, err := g.describe(ctx, ctx, name, m, d)
		if err == nil {
			_, err = g.core.Record().Append(context.WithoutCancel(ctx), nil, draft)
		}
		if err != nil && ctx.Err() == nil {
			g.config.Log.ErrorContext(ctx, "the contents of an image could not be recorded",
				slog.String("manifest", string(d)), slog.Any("error", err))
		}
	})
}

// Settled waits until the contents of everything that was pushed so far are on the record, or ctx
// ends. What is pushed meanwhile is not waited for: on a busy server that would never end.
func (g *Registry) Settled(ctx context.Context) error {
	for _, p := range g.layers.allPending() {
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *layerBook) allPending() []*pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.pending))
}

// Recover takes up the images whose contents a stopped server left unread. It is called once,
// before the registry serves; the reading goes on after it returns. A server that is stopped
// meanwhile tries again at its next start, which is no error.
func (g *Registry) Recover(ctx context.Context) error {
	err := g.takeUp(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (g *Registry) takeUp(ctx context.Context) error {
	images, err := g.undescribed(ctx)
	if err != nil {
		return err
	}
	for _, im := range images {
		m, err := g.storedManifest(ctx, im)
		if err != nil { // one image that cannot be read must not keep the server from starting
			g.config.Log.ErrorContext(ctx, "the contents of an image were not taken up",
				slog.String("manifest", string(im.digest)), slog.Any("error", err))
			continue
		}
		if im.mirrored {
			if err := g.describeIfWhole(ctx, im); err != nil {
				return err
			}
			continue
		}
		if m.isImage() {
			g.describeLater(im.name, m, im.digest)
		}
	}
	return nil
}

func (g *Registry) storedManifest(ctx context.Context, im undescribed) (*manifest, error) {
	raw, err := g.readSmall(ctx, im.digest, g.config.Limits.Manifest)
	if err != nil {
		return nil, err
	}
	return parseManifest(im.mediaType, raw)
}

type undescribed struct {
	name, mediaType string
	digest          digest.Digest
	mirrored        bool // its layers may not have been asked for yet
}

// undescribed lists the images that nothing is known of, not even why.
func (g *Registry) undescribed(ctx context.Context) ([]undescribed, error) {
	rows, err := g.core.Record().DB().Query().QueryContext(ctx, `SELECT p.name, a.media_type, a.digest, r.mirrored
		FROM release r JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
		WHERE p.ecosystem = $1 AND r.state <> 'withdrawn' AND r.artifact_type IN ($2, $3) AND a.incomplete = '' AND a.platform = ''
			AND NOT EXISTS (SELECT 1 FROM image_layer l WHERE l.image_id = a.id)`, purl.OCI, configImage, configDockerImage)
	if err != nil {
		return nil, fmt.Errorf("list images without contents: %w", err)
	}
	defer rows.Close()
	var out []undescribed
	for rows.Next() {
		var u undescribed
		if err := rows.Scan(&u.name, &u.mediaType, &u.digest, &u.mirrored); err != nil {
			return nil, fmt.Errorf("list images without contents: %w", err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}
