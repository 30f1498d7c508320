package registry

import (
	"context"
	"fmt"

	"github.com/hullmark/hullmark/internal/purl"
)

// Recall is a release that was recalled, by its name or by the digest of its artifact.
type Recall struct {
	Seq     int64 // of the recall statement
	Name    string
	Version string
	Reason  string
}

// Recalls returns every recalled release of an ecosystem, ordered by name and version.
func (c *Core) Recalls(ctx context.Context, ecosystem string) ([]Recall, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT max(x.seq), p.name, r.version, r.recalled FROM recall x
		JOIN release r ON r.purl = x.subject OR r.artifact_id = (SELECT a.id FROM artifact a WHERE a.digest = x.subject)
		JOIN package p ON p.id = r.package_id WHERE p.ecosystem = $1 AND r.recalled <> ''
		GROUP BY p.name, r.version, r.recalled ORDER BY p.name, r.version`, ecosystem)
	if err != nil {
		return nil, fmt.Errorf("list recalls: %w", err)
	}
	defer rows.Close()
	var out []Recall
	for rows.Next() {
		var r Recall
		if err := rows.Scan(&r.Seq, &r.Name, &r.Version, &r.Reason); err != nil {
			return nil, fmt.Errorf("list recalls: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// InLayers reports whether an image layer in the record contains the release by its metadata.
func (c *Core) InLayers(ctx context.Context, p purl.PURL) (bool, error) {
	var used bool
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM component c
		JOIN artifact_component x ON x.component_id = c.id JOIN layer l ON l.artifact_id = x.artifact_id
		WHERE c.purl = $1)`, p).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("look for %s in layers: %w", p, err)
	}
	return used, nil
}
