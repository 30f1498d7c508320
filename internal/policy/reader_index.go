package policy

import (
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence/inside"
)

// listed returns the manifests that an index lists.
func (s *session) listed(id int64) ([]string, error) {
	return inside.List[string](s.Reader, `SELECT a.digest FROM index_manifest x JOIN artifact a ON a.id = x.manifest_id
		WHERE x.index_id = $1 AND EXISTS (SELECT 1 FROM described d WHERE d.artifact_id = $1 AND d.seq < $2) ORDER BY x.position`, id, s.Head)
}

// noPlatform is what builders call the platform of attestations that they list beside the images.
const noPlatform = "unknown/unknown"

// index joins what the index lists into its record: the worst of them, because the node chooses which
// one runs. What is not for any platform is not run and does not count.
func (s *session) index(out *Record, listed []string) error {
	s.inIndex = true
	defer func() { s.inIndex = false }()
	c := &out.Contents
	c.Complete = true
	var platforms []string
	for _, manifest := range listed {
		one, err := s.record(manifest)
		if err != nil {
			return err
		}
		if one.Contents.Platform == noPlatform {
			continue
		}
		if !one.Known {
			out.Known = false
		}
		platform := one.Contents.Platform
		if platform == "" {
			platform = manifest
		}
		for _, gap := range one.Gaps {
			out.gap("%s: %s", platform, gap)
		}
		if len(platforms) == 0 {
			c.Base = one.Contents.Base
		} else if one.Contents.Base.Digest == "" {
			c.Base = Base{References: []string{}}
		}
		platforms = append(platforms, platform)
		s.join(out, one)
	}
	if len(platforms) == 0 {
		c.Complete = false
		out.gap("it lists no image that is known")
	}
	c.Platform = strings.Join(platforms, ",")
	return nil
}

func (s *session) join(out *Record, one Record) {
	c := &out.Contents
	c.Complete = c.Complete && one.Contents.Complete
	c.Shell = c.Shell || one.Contents.Shell
	c.PackageManager = c.PackageManager || one.Contents.PackageManager
	c.Layers = append(c.Layers, one.Contents.Layers...)
	for _, x := range one.Contents.Components {
		if !slices.ContainsFunc(c.Components, func(y Component) bool { return y.PURL == x.PURL && y.Recalled == x.Recalled }) {
			c.Components = append(c.Components, x)
		}
	}
	for _, x := range one.Recalls {
		if !slices.ContainsFunc(out.Recalls, func(y Recall) bool { return y.Seq == x.Seq && y.Via == x.Via }) {
			out.Recalls = append(out.Recalls, x)
		}
	}
	for _, x := range one.Findings {
		if !slices.Contains(out.Findings, x) {
			out.Findings = append(out.Findings, x)
		}
	}
}
