package trace

import (
	"database/sql"
	"strconv"
)

// addApprovals hangs who stands by l, besides its publisher, below n.
func (r *reader) addApprovals(n *Node, l release) error {
	return r.Each(`SELECT seq, account, reason, at FROM approval WHERE purl = $1 ORDER BY seq LIMIT $2`,
		[]any{l.purl, r.limits.Releases}, func(rows *sql.Rows) error {
			var seq int64
			var account, reason, at string
			if err := rows.Scan(&seq, &account, &reason, &at); err != nil {
				return err
			}
			c := &Node{Kind: KindApproval, ID: strconv.FormatInt(seq, 10), Title: "approved" + by(account, "", "") + " at " + minute(at) + ": " + reason}
			n.add(c.set("account", account).set("reason", reason).set("at", at).rests(seq))
			return nil
		})
}
