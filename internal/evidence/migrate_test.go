package evidence_test

import (
	"database/sql"
	"reflect"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
)

// TestARecordOfTheVersionBeforeIsTakenOver goes back to the tables of the first version and migrates again.
func TestARecordOfTheVersionBeforeIsTakenOver(t *testing.T) {
	t.Parallel()
	r := openRecord(t, t.TempDir(), clock.System{})
	busy(t, r, 60)
	before := dump(t, r.DB())
	err := r.DB().Write(t.Context(), func(tx *sql.Tx) error {
		for _, table := range []string{
			"recall_event", "receipt", "approval", "policy_set", "exception_use", "exception", "decision_id", "placement", "behaviour",
			"described", "image_top", "verification", "finding", "gap",
		} {
			if _, err := tx.Exec(`DROP TABLE ` + table); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DROP INDEX IF EXISTS release_held`); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE schema_step SET steps = 1 WHERE owner = 'evidence'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	first := evidence.Schema()
	first.Steps = first.Steps[:2]
	if err := r.DB().Migrate(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	after := dump(t, r.DB())
	for _, table := range []string{"described", "image_top"} {
		if len(before[table]) == 0 || !reflect.DeepEqual(before[table], after[table]) {
			t.Errorf("%s: %d rows before, %d taken over", table, len(before[table]), len(after[table]))
		}
	}
	if len(after["recall_event"]) == 0 || len(after["recall_event"]) != len(after["recall"]) {
		t.Errorf("%d recalls are in force, the history has %d", len(after["recall"]), len(after["recall_event"]))
	}
}
