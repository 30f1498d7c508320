package evidence

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// pullGate selects the recalls that the pull gate enforces.
const pullGate = `(gates = '' OR gates LIKE '% pull %')`

// recall sets or lifts a recall on each subject, by name and by digest, and on everything that holds it.
func (b *batch) recall(s Statement, r Recall) error {
	for _, subject := range s.Subject {
		for _, key := range subject.keys() {
			if err := b.recallKey(s, r, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) recallKey(s Statement, r Recall, key string) error {
	if r.Requested {
		return b.exec(`UPDATE recall SET undo_by = $1 WHERE subject = $2`, r.Actor.Account, key)
	}
	reached, err := b.list(`SELECT artifact_id FROM recall_reach WHERE subject = $1 ORDER BY artifact_id`, key)
	if err != nil {
		return err
	}
	if err := b.setRecall(s, r, key); err != nil {
		return err
	}
	if !r.Lifted {
		if err := b.recallFiles(key); err != nil {
			return err
		}
		now, err := b.reach(s, key)
		if err != nil {
			return err
		}
		reached = append(reached, now...)
	}
	slices.Sort(reached)
	for _, artifact := range slices.Compact(reached) {
		if err := b.refresh(s, "", artifact); err != nil {
			return err
		}
	}
	return nil
}

// setRecall writes what the recall names, and marks the releases that are it.
func (b *batch) setRecall(s Statement, r Recall, key string) error {
	for _, table := range []string{"recall", "recall_file", "recall_reach"} {
		if err := b.exec(`DELETE FROM `+table+` WHERE subject = $1`, key); err != nil {
			return err
		}
	}
	if !r.Lifted {
		err := b.exec(`INSERT INTO recall (subject, seq, reason, account, at, gates, by_admin) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			key, s.Seq, r.Reason, r.Actor.Account, stamp(s.Time), gateList(r.Gates), r.Admin)
		if err != nil {
			return err
		}
	}
	err := b.exec(`INSERT INTO recall_event (seq, subject, lifted, reason, account, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		s.Seq, key, r.Lifted, r.Reason, r.Actor.Account, stamp(s.Time))
	if err != nil {
		return err
	}
	artifact, err := b.id(`SELECT id FROM artifact WHERE digest = $1`, key)
	if err != nil {
		return err
	}
	return b.refresh(s, key, artifact)
}

// gateList is a list of gates as the table has it: each between blanks, so that LIKE finds whole words.
func gateList(gates []string) string {
	if len(gates) == 0 {
		return ""
	}
	return " " + strings.Join(gates, " ") + " "
}

// refresh gives the releases with that purl or artifact the reason of the newest recall that the pull
// gate enforces on them, or none; their packages change with them. A release stays recalled while any
// recall reaches it: lifting one does not lift the other.
func (b *batch) refresh(s Statement, purl string, artifact int64) error {
	const which = ` (purl = $1 OR artifact_id = $2) `
	err := b.exec(`UPDATE release SET recalled = coalesce((SELECT CASE WHEN x.via = '' THEN r.reason ELSE 'it holds ' || x.via || ': ' || r.reason END
			FROM recall r JOIN (SELECT release.purl AS subject, '' AS via UNION ALL SELECT a.digest, '' FROM artifact a WHERE a.id = release.artifact_id
				UNION ALL SELECT subject, via FROM recall_reach WHERE artifact_id = release.artifact_id) x ON x.subject = r.subject
			WHERE `+pullGate+` ORDER BY r.seq DESC, r.subject, x.via LIMIT 1), '')
		WHERE`+which, purl, artifact)
	if err != nil {
		return err
	}
	return b.exec(`UPDATE package SET modified = $3, revision = $4 WHERE id IN (SELECT package_id FROM release WHERE`+which+`)`,
		purl, artifact, stamp(s.Time), s.Seq)
}

// recallFiles notes the files that a recall means. What is too small to be recognised by counts only when
// it is named. An owner's recall means no files but by name: who publishes a file that others have
// must not be able to stop theirs.
func (b *batch) recallFiles(key string) error {
	if d, err := digest.Parse(key); err == nil && d.Algorithm() == digest.SHA256 {
		sum, err := hex.DecodeString(d.Hex())
		if err != nil {
			return err
		}
		if err := b.exec(`INSERT INTO recall_file (sha256, subject, named) VALUES ($1, $2, 1)`, sum, key); err != nil {
			return err
		}
	}
	return b.exec(`INSERT INTO recall_file (sha256, subject, named) SELECT f.sha256, $1, 0 FROM artifact a JOIN file f ON f.artifact_id = a.id
		WHERE a.kind = 'package' AND f.size >= $2 AND (SELECT by_admin FROM recall WHERE subject = $1) = 1
			AND (a.digest = $1 OR a.id IN (SELECT artifact_id FROM release WHERE purl = $1))
		ON CONFLICT DO NOTHING`, key, inside.MinDistinctive)
}

// reach finds what holds what the recall of key means, notes it, and returns its artifacts.
func (b *batch) reach(s Statement, key string) ([]int64, error) {
	images, err := b.list(`SELECT il.image_id FROM component c JOIN artifact_component ac ON ac.component_id = c.id
			JOIN image_layer il ON il.layer_id = ac.artifact_id WHERE c.purl = $1
		UNION SELECT il.image_id FROM artifact a JOIN image_layer il ON il.layer_id = a.id WHERE a.digest = $1
		UNION SELECT image_id FROM image_layer WHERE blob = $1
		UNION SELECT il.image_id FROM recall_file rf CROSS JOIN file f ON f.sha256 = rf.sha256
			JOIN image_layer il ON il.layer_id = f.artifact_id WHERE rf.subject = $1 ORDER BY 1`, key)
	if err != nil {
		return nil, err
	}
	r := inside.NewReader(b.ctx, b.tx, inside.Newest)
	defer r.Close()
	var reached []int64
	for _, image := range images {
		via, err := b.holds(r, image, key)
		if err != nil {
			return nil, err
		}
		if via == "" {
			continue // an upper layer took it out
		}
		if err := b.exec(`INSERT INTO recall_reach (subject, artifact_id, via) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, key, image, via); err != nil {
			return nil, err
		}
		reached = append(reached, image)
	}
	archives, err := b.list(`INSERT INTO recall_reach (subject, artifact_id, via)
		SELECT DISTINCT rf.subject, f.artifact_id, rf.subject FROM recall_file rf CROSS JOIN file f ON f.sha256 = rf.sha256
		JOIN release l ON l.artifact_id = f.artifact_id WHERE rf.subject = $1 AND rf.named = 1 ON CONFLICT DO NOTHING RETURNING artifact_id`, key)
	return append(reached, archives...), err
}

// holds returns by what the finished image holds what the recall of key means, or "" when it does not.
func (b *batch) holds(r *inside.Reader, image int64, key string) (string, error) {
	named, err := b.id(`SELECT 1 WHERE EXISTS (SELECT 1 FROM image_layer il JOIN artifact a ON a.id = il.layer_id
			WHERE il.image_id = $1 AND (a.digest = $2 OR il.blob = $2))
		OR EXISTS (SELECT 1 FROM component c JOIN artifact_component ac ON ac.component_id = c.id
			JOIN image_layer il ON il.layer_id = ac.artifact_id AND il.image_id = $1 WHERE c.purl = $2
			AND NOT EXISTS (SELECT 1 FROM hidden_component h WHERE h.image_id = $1 AND h.position = il.position AND h.component_id = c.id))`, image, key)
	if err != nil || named != 0 {
		return key, err
	}
	return b.holdsFile(r, image, key)
}

// holdsFile looks for the recall's files in the image. One that a release ships which is not recalled
// proves nothing, unless the recall names the file.
func (b *batch) holdsFile(r *inside.Reader, image int64, key string) (string, error) {
	at := map[int][]inside.File{} // by position
	err := r.Each(`SELECT il.position, f.path, f.sha256 FROM recalled_file rf CROSS JOIN file f ON f.sha256 = rf.sha256
		JOIN image_layer il ON il.layer_id = f.artifact_id AND il.image_id = $1 WHERE rf.subject = $2`, []any{image, key}, func(rows *sql.Rows) error {
		var position int
		var f inside.File
		var sum []byte
		err := rows.Scan(&position, &f.Path, &sum)
		f.Sum = string(sum)
		at[position] = append(at[position], f)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("recalled files of image %d: %w", image, err)
	}
	found := ""
	for position, files := range at {
		left, err := r.Remaining(image, position, files)
		if err != nil {
			return "", fmt.Errorf("recalled files of image %d: %w", image, err)
		}
		for sum := range left {
			found = max(found, sum)
		}
	}
	if found == "" {
		return "", nil
	}
	return digest.SHA256 + ":" + hex.EncodeToString([]byte(found)), nil
}

// reachImage asks of an image whose contents have become known which recalls reach it.
func (b *batch) reachImage(s Statement, image int64) error {
	if any, err := b.id(`SELECT 1 FROM recall LIMIT 1`); err != nil || any == 0 {
		return err
	}
	if err := b.exec(`DELETE FROM recall_reach WHERE artifact_id = $1`, image); err != nil {
		return err
	}
	keys, err := b.texts(`SELECT r.subject FROM image_layer il JOIN artifact_component ac ON ac.artifact_id = il.layer_id
			JOIN component c ON c.id = ac.component_id JOIN recall r ON r.subject = c.purl WHERE il.image_id = $1
		UNION SELECT r.subject FROM image_layer il JOIN artifact a ON a.id = il.layer_id JOIN recall r ON r.subject IN (a.digest, il.blob)
			WHERE il.image_id = $1
		UNION SELECT rf.subject FROM recall_file rf CROSS JOIN file f ON f.sha256 = rf.sha256
			JOIN image_layer il ON il.layer_id = f.artifact_id AND il.image_id = $1 ORDER BY 1`, image)
	if err != nil {
		return err
	}
	r := inside.NewReader(b.ctx, b.tx, inside.Newest)
	defer r.Close()
	for _, key := range keys {
		via, err := b.holds(r, image, key)
		if err != nil {
			return err
		}
		if via == "" {
			continue
		}
		if err := b.exec(`INSERT INTO recall_reach (subject, artifact_id, via) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, key, image, via); err != nil {
			return err
		}
	}
	return b.refresh(s, "", image)
}

// reachLayer does so for the images that have a layer which has been read only now, if it holds anything
// that is recalled.
func (b *batch) reachLayer(s Statement, layer int64) error {
	hit, err := b.id(`SELECT 1 WHERE EXISTS (SELECT 1 FROM recall_file rf CROSS JOIN file f ON f.sha256 = rf.sha256 WHERE f.artifact_id = $1)
		OR EXISTS (SELECT 1 FROM recall r JOIN component c ON c.purl = r.subject
			JOIN artifact_component ac ON ac.component_id = c.id AND ac.artifact_id = $1)
		OR EXISTS (SELECT 1 FROM image_layer il JOIN recall_reach x ON x.artifact_id = il.image_id WHERE il.layer_id = $1)`, layer)
	if err != nil || hit == 0 {
		return err
	}
	images, err := b.list(`SELECT DISTINCT image_id FROM image_layer WHERE layer_id = $1 ORDER BY image_id`, layer)
	if err != nil {
		return err
	}
	for _, image := range images {
		if err := b.reachImage(s, image); err != nil {
			return err
		}
	}
	return nil
}

// reachArchive asks of an archive whose files have become known whether one is recalled by name, and
// gives its files to the recalls that wait for them.
func (b *batch) reachArchive(s Statement, artifact int64) error {
	keys, err := b.texts(`SELECT rf.subject FROM recall_file rf CROSS JOIN file f ON f.sha256 = rf.sha256 AND f.artifact_id = $1 WHERE rf.named = 1
		UNION SELECT r.subject FROM recall r JOIN release l ON l.purl = r.subject AND l.artifact_id = $1
		UNION SELECT r.subject FROM recall r JOIN artifact a ON a.digest = r.subject AND a.id = $1 ORDER BY 1`, artifact)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := b.exec(`DELETE FROM recall_file WHERE subject = $1`, key); err != nil {
			return err
		}
		if err := b.recallFiles(key); err != nil {
			return err
		}
		reached, err := b.reach(s, key)
		if err != nil {
			return err
		}
		for _, id := range reached {
			if err := b.refresh(s, "", id); err != nil {
				return err
			}
		}
	}
	return nil
}

// list returns the integers that query yields.
func (b *batch) list(query string, args ...any) ([]int64, error) {
	return column[int64](b, query, args)
}

func (b *batch) texts(query string, args ...any) ([]string, error) {
	return column[string](b, query, args)
}

func column[T any](b *batch, query string, args []any) ([]T, error) {
	s, err := b.prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(b.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%.60q: %w", query, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("%.60q: %w", query, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
