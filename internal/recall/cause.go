package recall

import (
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// Cause is the sort of reason that a recall has. Recalls of malware become public advisories; the others
// stop a release all the same.
type Cause string

// The causes.
const (
	Malware       Cause = "malware"
	Vulnerability Cause = "vulnerability"
	Defect        Cause = "defect"
)

// check returns the cause, malware for none. Code: recall-cause-invalid.
func (c Cause) check() (Cause, error) {
	switch c {
	case "", Malware:
		return Malware, nil
	case Vulnerability, Defect:
		return c, nil
	}
	return "", fault.New(fault.Invalid, "recall-cause-invalid", "%q is no cause; there are malware, vulnerability and defect", c[:min(len(c), 100)])
}

// causeOf is the cause of a statement: those without one are of malware.
func causeOf(p evidence.Recall) Cause {
	if p.Cause == "" {
		return Malware
	}
	return Cause(p.Cause)
}
