package evidence

import (
	_ "embed"

	"github.com/hullmark/hullmark/internal/store"
)

//go:embed schema.sql
var schemaSQL string

//go:embed runtime.sql
var runtimeSQL string

//go:embed recall.sql
var recallSQL string

//go:embed files.sql
var filesSQL string

// labelSQL keeps what a publisher's credential is called. Publications before it named none.
const labelSQL = `ALTER TABLE publication ADD COLUMN label TEXT NOT NULL DEFAULT '';`

// newestSQL finds the newest releases of a name without reading the others.
const newestSQL = `CREATE INDEX release_newest ON release (package_id, seq);`

// changedSQL finds the names that changed since a revision.
const changedSQL = `CREATE INDEX package_changed ON package (ecosystem, revision);`

// Schema returns the tables of the record: the statements, and every projection of them.
func Schema() store.Schema {
	return store.Schema{Owner: "evidence", Steps: []string{schemaSQL, runtimeSQL, recallSQL, labelSQL, newestSQL, filesSQL, changedSQL}}
}

// projections are the tables that Rebuild drops and fills again, children before parents.
var projections = []string{
	"running", "recall_reach", "recall_file", "recall_event",
	"described", "image_top", "verification", "finding", "gap", "receipt", "approval", "policy_set", "exception_use", "exception", "decision_id", "placement", "behaviour",
	"decision", "recall", "publication", "tag", "hidden_component", "artifact_component", "component",
	"file", "whiteout", "index_manifest", "image_layer", "layer_blob", "layer", "release", "package", "artifact",
}
