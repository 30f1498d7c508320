package account

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// mayBeCalled refuses a claim of a name that people would take for another one: of another
// organisation here, or of the most used ones elsewhere. Names inside a namespace are not compared:
// the namespace tells whose they are.
func (s *Service) mayBeCalled(ctx context.Context, tx *sql.Tx, organisation, ecosystem, pattern string) error {
	rows, err := tx.QueryContext(ctx, `SELECT pattern FROM namespace WHERE ecosystem = $1 AND organisation <> $2`, ecosystem, organisation)
	others, err := collect(rows, err, func(rows *sql.Rows) (string, error) {
		var other string
		return other, rows.Scan(&other)
	})
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	wanted, stem := strings.CutSuffix(pattern, "*")
	for i, other := range others {
		if stem && (strings.HasPrefix(other, pattern[:len(pattern)-1]) || other == pattern[:len(pattern)-2]) {
			return fault.New(fault.Conflict, "namespace-occupied",
				"%q is around %q, which somebody else has; claim the names that you need, or ask a site administrator", pattern, other)
		}
		others[i] = strings.TrimRight(other, "*.-")
	}
	if around := rules[ecosystem].holders(pattern)[1:]; len(around) > 0 && rules[ecosystem].nested {
		return nil // inside a namespace of one's own
	}
	name := strings.TrimRight(wanted, ".-")
	if rules[ecosystem].merged && s.similar[ecosystem].Known(name) {
		return fault.New(fault.Conflict, "name-known",
			"%q is a well-known public name, and clients would install yours in its place; choose another name, or let a site administrator claim it with --although-similar", name)
	}
	if m, ok := s.similar[ecosystem].Find(name, others); ok {
		where := "a well-known public name"
		if m.Here {
			where = "claimed here by somebody else"
		}
		return fault.New(fault.Conflict, "name-similar",
			"%q is too like %q, %s: %s; choose another name, or let a site administrator claim it with --although-similar", name, m.Name, where, m.Why)
	}
	return nil
}
