package evidence

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/hullmark/hullmark/internal/purl"
)

// project derives the projection rows of s. inv is the inventory that a contents statement names.
// It must depend on nothing but the statements before s, or a rebuild would give other rows.
func (b *batch) project(s Statement, inv *Inventory) error {
	switch s.PredicateType {
	case PublicationType:
		return projected(s, b.publication)
	case ContentsType:
		return projected(s, func(s Statement, c Contents) error { return b.contents(s, c, inv) })
	case DecisionType:
		return projected(s, b.decision)
	case RecallType:
		return projected(s, b.recall)
	case ApprovalType:
		return projected(s, b.approval)
	case PolicySetType:
		return projected(s, b.policySet)
	case ExceptionType:
		return projected(s, b.exception)
	case PlacementType:
		return projected(s, b.placement)
	case BehaviourType:
		return projected(s, b.behaviour)
	case VerificationType:
		return projected(s, b.verification)
	case FindingsType:
		return projected(s, b.findings)
	case GapType:
		return projected(s, b.gap)
	}
	return nil // kept as a statement; no table needs it yet
}

func projected[T Predicate](s Statement, fn func(Statement, T) error) error {
	p, err := Decode[T](s)
	if err != nil {
		return err
	}
	return fn(s, p)
}

func (b *batch) publication(s Statement, p Publication) error {
	pkg, err := b.touch(s, p.Ecosystem, p.Name)
	if err != nil {
		return err
	}
	if err := b.insertPublication(s, p, pkg); err != nil {
		return err
	}
	switch p.Event {
	case Published, Mirrored:
		err = b.release(s, p, pkg, "active")
	case Held:
		err = b.held(s, p, pkg)
	case Released:
		err = b.exec(`UPDATE release SET state = 'active' WHERE package_id = $1 AND version = $2 AND state = 'held'`+oneFile, pkg, p.Version, p.File)
	case Withdrawn:
		err = b.withdraw(pkg, p)
	case Restored:
		err = b.exec(`UPDATE release SET state = 'active' WHERE package_id = $1 AND version = $2`+oneFile, pkg, p.Version, p.File)
	case Deprecated:
		err = b.exec(`UPDATE release SET deprecated = $4 WHERE package_id = $1 AND version = $2`+oneFile, pkg, p.Version, p.File, p.Message)
	case Unlisted:
		err = b.exec(`UPDATE release SET unlisted = $4 WHERE package_id = $1 AND version = $2`+oneFile, pkg, p.Version, p.File, cmp.Or(p.Message, "unlisted"))
	case Relisted:
		err = b.exec(`UPDATE release SET unlisted = '' WHERE package_id = $1 AND version = $2`+oneFile, pkg, p.Version, p.File)
	}
	if err != nil {
		return err
	}
	return b.tags(s, p, pkg)
}

// oneFile narrows to the file that an event names; one that names none is about all files of the version.
const oneFile = ` AND mirrored = 0 AND ($3 = '' OR file = $3)`

// held makes a release that waits. Content that waits already may be brought in again, for more tags.
func (b *batch) held(s Statement, p Publication, pkg int64) error {
	known, err := b.id(`SELECT id FROM release WHERE package_id = $1 AND version = $2 AND file = $3 AND mirrored = 0 AND state = 'held'`, pkg, p.Version, p.File)
	if err != nil || known != 0 {
		return err
	}
	return b.release(s, p, pkg, "held")
}

// withdraw takes the version away with every tag that points at it, also one that the statement does
// not name: it may have been set in between, and there may be more than a statement can name.
func (b *batch) withdraw(pkg int64, p Publication) error {
	err := b.exec(`UPDATE release SET state = 'withdrawn' WHERE package_id = $1 AND version = $2`+oneFile, pkg, p.Version, p.File)
	if err != nil {
		return err
	}
	return b.exec(`DELETE FROM tag WHERE package_id = $1 AND version = $2
		AND NOT EXISTS (SELECT 1 FROM release WHERE package_id = $1 AND version = $2 AND state <> 'withdrawn')`, pkg, p.Version)
}

func (b *batch) insertPublication(s Statement, p Publication, pkg int64) error {
	tags, err := json.Marshal(append([]string{}, p.Tags...))
	if err != nil {
		return err
	}
	return b.exec(`INSERT INTO publication (seq, package_id, event, version, tags, account, credential, label, method, address_hash, assurance, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		s.Seq, pkg, p.Event, p.Version, string(tags), p.Actor.Account, p.Actor.Credential, p.Actor.Label, p.Actor.Method,
		p.Actor.AddressHash, s.Assurance, stamp(s.Time))
}

func (b *batch) release(s Statement, p Publication, pkg int64, state string) error {
	kind := "package"
	if p.Ecosystem == purl.OCI {
		kind = "manifest"
	}
	artifact, err := b.artifact(p.Artifact, kind, p.MediaType, p.Size)
	if err != nil {
		return err
	}
	// Somebody else's image may have named the digest before, as a layer that was never read: what is
	// published is what its publisher says.
	err = b.exec(`UPDATE artifact SET kind = $1, media_type = $2, size = $3 WHERE id = $4 AND media_type = ''`,
		kind, p.MediaType, p.Size, artifact)
	if err != nil {
		return err
	}
	name := s.Subject[0].Name
	published, publisher, origin := s.Time, p.Actor.Account, ""
	if p.Origin != nil {
		published, publisher, origin = p.Origin.seen(s.Time), "", p.Origin.URL
	}
	err = b.exec(`INSERT INTO release (package_id, version, file, purl, artifact_id, metadata, subject, artifact_type, state, recalled,
			deprecated, unlisted, published, publisher, origin, mirrored, seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', '', '', $10, $11, $12, $13, $14)`,
		pkg, p.Version, p.File, name, artifact, p.Metadata, p.Subject, p.ArtifactType, state, stamp(published), publisher, origin, p.Event == Mirrored, s.Seq)
	if err != nil {
		return err
	}
	return b.refresh(s, name, artifact)
}

func (b *batch) tags(s Statement, p Publication, pkg int64) error {
	for _, tag := range p.Tags {
		var err error
		switch {
		case p.Event.SetsTags():
			err = b.exec(`INSERT INTO tag (package_id, tag, version, seq) VALUES ($1, $2, $3, $4)
				ON CONFLICT (package_id, tag) DO UPDATE SET version = excluded.version, seq = excluded.seq`, pkg, tag, p.Version, s.Seq)
		case p.Event == Untagged: // unless it has moved on meanwhile
			err = b.exec(`DELETE FROM tag WHERE package_id = $1 AND tag = $2 AND version = $3`, pkg, tag, p.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) contents(s Statement, c Contents, inv *Inventory) (err error) {
	switch c.Of {
	case "release":
		err = b.releaseContents(s, c, inv)
	case "layer":
		err = b.layer(s, c, inv)
	case "image":
		err = b.image(s, c)
	case "index":
		err = b.index(s, c)
	default:
		return fmt.Errorf("contents of an unknown sort %q", c.Of)
	}
	if err != nil {
		return err
	}
	return b.exec(`INSERT INTO described (artifact_id, seq) SELECT id, $1 FROM artifact WHERE digest = $2`, s.Seq, s.Subject[0].digestOf())
}

func (b *batch) releaseContents(s Statement, c Contents, inv *Inventory) error {
	id, err := b.artifact(s.Subject[0].digestOf(), "package", "", inv.Bytes)
	if err != nil {
		return err
	}
	if err := b.inside(id, c, inv); err != nil {
		return err
	}
	return b.reachArchive(s, id)
}

func (b *batch) layer(s Statement, c Contents, inv *Inventory) error {
	id, err := b.artifact(s.Subject[0].digestOf(), "layer", "", inv.Bytes)
	if err != nil {
		return err
	}
	if err := b.layerBlob(id, c.Blob.String()); err != nil {
		return err
	}
	known, err := b.id(`SELECT artifact_id FROM layer WHERE artifact_id = $1 AND analyser = $2`, id, c.Analyser)
	if err != nil || known != 0 {
		return err // the same layer in another compression: read once, indexed once
	}
	err = b.exec(`INSERT INTO layer (artifact_id, analyser, inventory, components, files) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (artifact_id) DO UPDATE SET analyser = excluded.analyser, inventory = excluded.inventory,
			components = excluded.components, files = excluded.files`,
		id, c.Analyser, c.Inventory, c.Components, c.Files)
	if err != nil {
		return err
	}
	if err := b.inside(id, c, inv); err != nil {
		return err
	}
	return b.reachLayer(s, id)
}

func (b *batch) layerBlob(layer int64, d string) error {
	if d == "" {
		return nil
	}
	return b.exec(`INSERT INTO layer_blob (blob, layer_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, d, layer)
}

// inside fills the files, components and whiteouts of one artifact, replacing what an older analyser saw.
func (b *batch) inside(artifact int64, c Contents, inv *Inventory) error {
	if err := b.exec(`UPDATE artifact SET incomplete = $1 WHERE id = $2`, c.Incomplete, artifact); err != nil {
		return err
	}
	if err := b.exec(`DELETE FROM file WHERE artifact_id = $1`, artifact); err != nil {
		return err
	}
	if err := b.exec(`DELETE FROM artifact_component WHERE artifact_id = $1`, artifact); err != nil {
		return err
	}
	for _, f := range inv.Files {
		sum, err := hex.DecodeString(f.SHA256.Hex())
		if err != nil {
			return fmt.Errorf("inventory of artifact %d: %w", artifact, err)
		}
		err = b.exec(`INSERT INTO file (artifact_id, path, size, mode, sha256) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			artifact, f.Path, f.Size, int64(f.Mode), sum)
		if err != nil {
			return err
		}
	}
	for c := range inv.AllComponents {
		if err := b.insideComponent(artifact, c); err != nil {
			return err
		}
	}
	return b.insideWhiteouts(artifact, inv)
}

func (b *batch) insideWhiteouts(artifact int64, inv *Inventory) error {
	if err := b.exec(`DELETE FROM whiteout WHERE layer_id = $1`, artifact); err != nil {
		return err
	}
	var rows []any
	for _, p := range inv.Whiteouts {
		rows = append(rows, artifact, p, 0)
	}
	for _, p := range inv.Opaque {
		rows = append(rows, artifact, p, 1)
	}
	return b.insert(`INSERT INTO whiteout (layer_id, path, opaque) VALUES `, 3, ` ON CONFLICT DO NOTHING`, rows)
}

func (b *batch) insideComponent(artifact int64, c Component) error {
	id, err := b.component(c.PURL)
	if err != nil {
		return err
	}
	return b.exec(`INSERT INTO artifact_component (component_id, artifact_id, path, source) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, id, artifact, c.Path, c.Source)
}

func (b *batch) image(s Statement, c Contents) error {
	image, err := b.artifact(s.Subject[0].digestOf(), "manifest", "", 0)
	if err != nil {
		return err
	}
	// The same manifest may be described once a repository; what one of them lacks does not undo
	// what another knew.
	err = b.exec(`UPDATE artifact SET incomplete = $1, platform = $2 WHERE id = $3
		AND ($1 = '' OR NOT EXISTS (SELECT 1 FROM image_layer WHERE image_id = $3))`, c.Incomplete, c.Platform, image)
	if err != nil {
		return err
	}
	if c.Incomplete == "" { // an earlier description may have lacked a layer, and so counted wrongly
		if err := b.exec(`DELETE FROM image_layer WHERE image_id = $1`, image); err != nil {
			return err
		}
	}
	for i, l := range c.Layers {
		layer, err := b.artifact(l.DiffID, "layer", "", 0)
		if err != nil {
			return err
		}
		err = b.exec(`INSERT INTO image_layer (image_id, position, layer_id, blob, created_by) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, image, i, layer, l.Blob, l.CreatedBy)
		if err != nil {
			return err
		}
	}
	if err := b.imageTop(image); err != nil {
		return err
	}
	for _, h := range c.Hidden {
		id, err := b.component(h.PURL)
		if err != nil {
			return err
		}
		err = b.exec(`INSERT INTO hidden_component (image_id, position, component_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			image, h.Position, id)
		if err != nil {
			return err
		}
	}
	return b.reachImage(s, image)
}

func (b *batch) index(s Statement, c Contents) error {
	index, err := b.artifact(s.Subject[0].digestOf(), "manifest", "", 0)
	if err != nil {
		return err
	}
	if err := b.exec(`UPDATE artifact SET incomplete = $1 WHERE id = $2`, c.Incomplete, index); err != nil {
		return err
	}
	for i, d := range c.Manifests {
		manifest, err := b.artifact(d, "manifest", "", 0)
		if err != nil {
			return err
		}
		err = b.exec(`INSERT INTO index_manifest (index_id, position, manifest_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			index, i, manifest)
		if err != nil {
			return err
		}
	}
	return nil
}
