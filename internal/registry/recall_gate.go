package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// publishGate selects the recalls that the publish gate enforces.
const publishGate = `(gates = '' OR gates LIKE '% publish %')`

// pullRecalls selects the recalls that the pull gate enforces.
const pullRecalls = `(gates = '' OR gates LIKE '% pull %')`

// errRecalled matches the refusal of checkRecalled.
var errRecalled = &fault.Error{Code: "release-recalled"}

// filesOf returns the SHA-256 of the files in the upload, as "sha256:…", when a recall might name one.
// A layer's files are not known yet: the pull gate stops an image when they are.
func (c *Core) filesOf(ctx context.Context, u Upload) (map[string]bool, error) {
	var named bool
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM recall WHERE subject LIKE 'sha256:%' AND `+publishGate+`)`).Scan(&named)
	if err != nil || !named {
		return nil, err
	}
	files := map[string]bool{}
	for _, d := range u.Contents {
		contents, ok := d.Predicate.(evidence.Contents)
		if !ok || contents.Inventory == "" {
			continue
		}
		inv, err := c.record.Inventory(ctx, contents.Inventory)
		if err != nil {
			return nil, err
		}
		for _, f := range inv.Files {
			files[f.SHA256.String()] = true
		}
	}
	return files, nil
}

// checkRecalled refuses to publish what is recalled: by its name, by its digest, or by one of its files.
func checkRecalled(ctx context.Context, tx *sql.Tx, u Upload, files map[string]bool) error {
	err := refusal(tx.QueryRowContext(ctx, `SELECT subject, reason FROM recall WHERE subject IN ($1, $2) AND `+publishGate+` LIMIT 1`, u.PURL, u.Artifact))
	if err != nil || len(files) == 0 {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT subject, reason FROM recall WHERE subject LIKE 'sha256:%' AND `+publishGate)
	if err != nil {
		return fmt.Errorf("look for recalls: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var subject, reason string
		if err := rows.Scan(&subject, &reason); err != nil {
			return fmt.Errorf("look for recalls: %w", err)
		}
		if files[subject] {
			return recalled(subject, reason)
		}
	}
	return rows.Err()
}

// MayServeBlob is the pull gate for bytes that are no release of their own, a layer: recalled ones, by the digest of the
// blob or of what it unpacks to, are refused with code release-recalled.
func (c *Core) MayServeBlob(ctx context.Context, d digest.Digest) error {
	var reason string
	err := c.record.DB().Query().QueryRowContext(ctx, `SELECT reason FROM recall WHERE `+pullRecalls+` AND subject IN ($1,
		(SELECT a.digest FROM layer_blob b JOIN artifact a ON a.id = b.layer_id WHERE b.blob = $1)) LIMIT 1`, d).Scan(&reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for recalls: %w", err)
	}
	return fault.New(fault.Policy, "release-recalled", "the layer %s was recalled: %s; use an image without it", d, reason)
}

func refusal(row *sql.Row) error {
	var subject, reason string
	err := row.Scan(&subject, &reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for recalls: %w", err)
	}
	return recalled(subject, reason)
}

func recalled(subject, reason string) error {
	what := "it"
	if strings.HasPrefix(subject, "sha256:") {
		what = "a file or archive in it, " + subject + ","
	}
	return fault.New(fault.Policy, "release-recalled", "this may not be published: %s was recalled: %s", what, reason)
}
