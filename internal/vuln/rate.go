package vuln

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/hullmark/hullmark/internal/evidence"
)

// rate takes the newest CVSS vector that can be read.
func rate(v *evidence.Vulnerability, all []severity) {
	newest := ""
	for _, s := range all {
		score, ok := score(s.Score)
		if !ok || s.Type <= newest {
			continue
		}
		newest, v.Vector, v.Score = s.Type, s.Score, score
		v.Severity = severityOf(score)
	}
}

// score returns the base score of a CVSS vector.
func score(vector string) (float64, bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		c, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return c.Score(), true
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		c, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return c.BaseScore(), true
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		c, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, false
		}
		return c.BaseScore(), true
	}
	c, err := gocvss20.ParseVector(vector)
	if err != nil {
		return 0, false
	}
	return c.BaseScore(), true
}

// severityOf names a score. Source: CVSS v3.1 and v4.0, "qualitative severity rating scale".
func severityOf(score float64) evidence.Severity {
	switch {
	case score >= 9:
		return evidence.SeverityCritical
	case score >= 7:
		return evidence.SeverityHigh
	case score >= 4:
		return evidence.SeverityModerate
	case score > 0:
		return evidence.SeverityLow
	}
	return evidence.SeverityUnknown
}
