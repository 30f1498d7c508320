package recall

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// gates are all there are, in the order of the chain; serverGates those that stand in this process.
var (
	gates       = [...]string{"publish", "pull", "admit", "run"}
	serverGates = [...]string{"publish", "pull"}
)

// enforces reports whether a recall with that list of gates is one for gate.
func enforces(list []string, gate string) bool { return len(list) == 0 || slices.Contains(list, gate) }

// checkScope returns the order's gates in the order of the chain, none for all of them. Code:
// recall-scope-invalid.
func checkScope(o Order) ([]string, error) {
	var out []string
	for _, gate := range gates {
		if slices.Contains(o.Gates, gate) {
			out = append(out, gate)
		}
	}
	for _, gate := range o.Gates {
		if !slices.Contains(out, gate) {
			return nil, fault.New(fault.Invalid, "recall-scope-invalid", "%q is no gate; there are publish, pull, admit and run", gate[:min(len(gate), 100)])
		}
	}
	if len(out) == len(gates) {
		out = nil
	}
	c := o.Canary
	if c == nil {
		return out, nil
	}
	if c.Cluster == "" && c.Namespace == "" || (c.Kind == "") != (c.Name == "") || len(c.Cluster+c.Namespace+c.Kind+c.Name) > 1000 {
		return nil, fault.New(fault.Invalid, "recall-scope-invalid", "a canary is a cluster or namespace, and a workload in it by kind and name")
	}
	if !enforces(out, "run") {
		return nil, fault.New(fault.Invalid, "recall-scope-invalid", "a canary limits what the run gate stops; add that gate or leave the canary out")
	}
	return out, nil
}

// mayReplace fails when the recall would take the place of another that it may not: with code recall-exists
// for somebody else's, because with it goes the right to lift it (administrators may), and with code
// recall-narrower for one that stops more, because that would be lifting it without a second person.
func (s *Service) mayReplace(ctx context.Context, tx *sql.Tx, actor evidence.Actor, subjects []evidence.Subject, o Order) error {
	admin := s.access.RequireAdmin(ctx, actor) == nil
	for _, key := range keys(subjects) {
		var seq int64
		err := tx.QueryRowContext(ctx, `SELECT seq FROM recall WHERE subject = $1`, key).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("recall of %s: %w", key, err)
		}
		old, err := s.at(ctx, seq)
		if err != nil {
			return err
		}
		if old.Account != actor.Account && !admin {
			return fault.New(fault.Conflict, "recall-exists", "%s has been recalled by %s already", key, cmp.Or(old.Account, "the server"))
		}
		if less := o.lacks(old); less != "" {
			return fault.New(fault.Conflict, "recall-narrower", "%s is recalled already, %s; undo that recall with a second person first", key, less)
		}
	}
	return nil
}

// lacks says what a recall in force stops that the order would not, or nothing.
func (o Order) lacks(old Recall) string {
	for _, gate := range gates {
		if enforces(old.Gates, gate) && !enforces(o.Gates, gate) {
			return "at the " + gate + " gate too"
		}
	}
	switch {
	case old.System && !o.System:
		return "in system namespaces too"
	case enforces(old.Gates, "run") && o.Canary != nil && (old.Canary == nil || *old.Canary != *o.Canary):
		return "at the run gate beyond the canary " + canaryText(*o.Canary)
	}
	return ""
}

func canaryText(w evidence.WorkloadRef) string {
	return strings.TrimSuffix(strings.Join([]string{w.Cluster, w.Namespace, w.Kind, w.Name}, "/"), "//")
}
