package account

import (
	"database/sql"
	"testing"
)

func TestAPasswordThatBecameKnownOpensNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("ann")
	const known = "password12345"
	salt := make([]byte, saltBytes)
	w.must(w.db.Write(w.ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE account_user SET password = $1 WHERE name = 'ann'`, phcPrefix+encode64(salt)+"$"+encode64(argon(known, salt)))
		return err
	}))
	w.refused(w.CheckPassword(w.ctx, "ann", known, here), "password-breached")
	w.refused(w.CheckPassword(w.ctx, "ann", known+"x", here), "credential-invalid")
}
