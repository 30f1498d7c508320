package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/purl"
)

// tagChanges tells where tags point now. A withdrawal takes tags along that its statement does not name, so
// that whole repositories are compared.
func (h *hub) tagChanges(ctx context.Context, kinds map[string]bool, head int64) ([]*frame, error) {
	if h.loaded && !kinds[evidence.PublicationType] {
		return nil, nil
	}
	h.mu.Lock()
	from := h.head
	h.mu.Unlock()
	if !h.loaded {
		from = 0
	}
	now, err := h.tagsSince(ctx, from)
	if err != nil {
		return nil, err
	}
	var frames []*frame
	tell := func(repository, tag, digest string) error {
		f, err := h.frame(head, func(u *fleetv1.Update) {
			u.Change = &fleetv1.Update_Tag{Tag: &fleetv1.Tag{Repository: repository, Tag: tag, Digest: digest}}
		})
		frames = append(frames, f)
		return err
	}
	for repository, tags := range now {
		before := h.tagsOf(repository)
		for tag, digest := range tags {
			if before[tag] != digest {
				if err := tell(repository, tag, digest); err != nil {
					return nil, err
				}
			}
		}
		for tag := range before {
			if _, there := tags[tag]; !there {
				if err := tell(repository, tag, ""); err != nil {
					return nil, err
				}
			}
		}
		h.setTags(repository, tags)
	}
	if !h.loaded {
		return nil, nil // who comes new is sent them all
	}
	return frames, nil
}

// tagsSince returns the tags of the repositories that a statement from from on is about.
func (h *hub) tagsSince(ctx context.Context, from int64) (map[string]map[string]string, error) {
	rows, err := h.Record.DB().Query().QueryContext(ctx, `SELECT p.name, coalesce(t.tag, ''), coalesce(t.version, '') FROM package p
		LEFT JOIN tag t ON t.package_id = p.id WHERE p.ecosystem = $1 AND p.revision >= $2`, purl.OCI, from)
	if err != nil {
		return nil, fmt.Errorf("look for tags: %w", err)
	}
	defer rows.Close()
	out := map[string]map[string]string{}
	for rows.Next() {
		var repository, tag, version string
		if err := rows.Scan(&repository, &tag, &version); err != nil {
			return nil, fmt.Errorf("look for tags: %w", err)
		}
		if out[repository] == nil {
			out[repository] = map[string]string{}
		}
		if tag != "" {
			out[repository][tag] = version
		}
	}
	return out, rows.Err()
}

func (h *hub) tagsOf(repository string) map[string]string {
	h.tagsMu.Lock()
	defer h.tagsMu.Unlock()
	return h.tags[repository]
}

func (h *hub) setTags(repository string, tags map[string]string) {
	h.tagsMu.Lock()
	defer h.tagsMu.Unlock()
	h.tags[repository] = tags
}

// allTags returns every repository's tags; the inner maps are never changed.
func (h *hub) allTags() map[string]map[string]string {
	h.tagsMu.Lock()
	defer h.tagsMu.Unlock()
	return maps.Clone(h.tags)
}

// goneTags are those that publications from a statement on name and that are not there now.
func (h *hub) goneTags(ctx context.Context, from int64, all map[string]map[string]string) ([]*fleetv1.Tag, error) {
	rows, err := h.Record.DB().Query().QueryContext(ctx, `SELECT p.name, b.tags FROM publication b JOIN package p ON p.id = b.package_id
		WHERE b.seq >= $1 AND p.ecosystem = $2`, from, purl.OCI)
	if err != nil {
		return nil, fmt.Errorf("look for tags that are gone: %w", err)
	}
	defer rows.Close()
	type key struct{ repository, tag string }
	gone := map[key]bool{}
	for rows.Next() {
		var repository, list string
		if err := rows.Scan(&repository, &list); err != nil {
			return nil, fmt.Errorf("look for tags that are gone: %w", err)
		}
		var tags []string
		if err := json.Unmarshal([]byte(list), &tags); err != nil {
			return nil, fmt.Errorf("look for tags that are gone: %w", err)
		}
		for _, tag := range tags {
			if _, there := all[repository][tag]; !there {
				gone[key{repository, tag}] = true
			}
		}
	}
	var out []*fleetv1.Tag
	for k := range gone {
		out = append(out, &fleetv1.Tag{Repository: k.repository, Tag: k.tag})
	}
	return out, rows.Err()
}
