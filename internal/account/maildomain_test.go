package account

import (
	"database/sql"
	"testing"
	"time"
)

func TestAnAbandonedDomainRecoversNoAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dns := &zone{records: map[string][]string{"left.example.": nil, "stays.example.": nil}}
	w.WithResolver(dns)
	for name, address := range map[string]string{"ann": "ann@Left.example", "ben": "ben@stays.example"} {
		w.user(name)
		w.must(w.db.Write(w.ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO account_email (account, address, pending, code_hash, sent, verified) VALUES ($1, $2, '', '', 0, 1)`, name, address)
			return err
		}))
	}
	address := func(name string) (a string) {
		w.must(w.db.Query().QueryRow(`SELECT address FROM account_email WHERE account = $1`, name).Scan(&a))
		return a
	}
	verify := func(days, want int) {
		t.Helper()
		w.clk.advance(time.Duration(days) * 24 * time.Hour)
		looked, err := w.VerifyMailDomains(w.ctx)
		w.must(err)
		if looked != want {
			t.Errorf("looked for %d domains, want %d", looked, want)
		}
	}
	verify(0, 2)
	verify(0, 0) // once a day
	delete(dns.records, "left.example.")
	verify(1, 2)
	verify(6, 2)
	if address("ann") == "" {
		t.Error("an address ended before the week was over")
	}
	dns.down = true
	verify(30, 0)
	dns.down = false
	if address("ann") == "" {
		t.Error("a name server that was away ended an address")
	}
	verify(1, 2)
	if address("ann") != "" || address("ben") == "" {
		t.Errorf("ann has %q, ben has %q", address("ann"), address("ben"))
	}
}
