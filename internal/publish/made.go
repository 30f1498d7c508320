package publish

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// The sorts of parts that something is put together from.
const (
	MadeLayer     = "layer"
	MadeComponent = "component"
	MadeSetting   = "setting" // how it runs: entrypoint, user; of the environment the names
	MadeSetuid    = "setuid"  // a file that runs with the rights of its owner or group
	MadePrograms  = "programs"
)

// MadeChange is a difference of what an artifact is put together from: a container image, say.
type MadeChange struct {
	Sort   string `json:"sort"`
	Change string `json:"change"` // Added, Changed or Removed
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// What of it is shown, and what the decision keeps.
const (
	maxMade   = 500
	briefMade = 60
	maxLooked = 400_000 // files of the layers that are news, together
)

func (m MadeChange) line() string {
	mark := map[string]string{Added: "+", Changed: "~", Removed: "-"}[m.Change]
	text := m.Sort + " " + mark + " " + clip(m.Name, briefCommand)
	switch {
	case m.Before != "" && m.After != "":
		text += ": " + clip(m.Before, briefCommand) + " -> " + clip(m.After, briefCommand)
	case m.Before+m.After != "":
		text += ": " + clip(m.Before+m.After, briefCommand)
	}
	return text
}

// lookAtMade compares what the candidate is put together from with what it replaces.
func (r *review) lookAtMade() error {
	c := r.candidate
	if c.Made == nil {
		return nil
	}
	before, err := r.replaced(r.ctx, c)
	if err != nil || before.version == "" {
		return err
	}
	was, err := r.made(r.ctx, before.purl, before.artifact, before.seq)
	if err != nil || was == nil {
		return err
	}
	r.diff.Against = before.version
	if r.diff.Made, err = r.compareMade(r.ctx, was, c.Made); err != nil {
		return err
	}
	r.judgeMade(was)
	return nil
}

func (r *review) judgeMade(was *evidence.Contents) {
	lines := map[string][]string{}
	for _, m := range r.diff.Made {
		lines[m.Sort+" "+m.Change] = append(lines[m.Sort+" "+m.Change], strings.TrimPrefix(m.line(), m.Sort+" "))
		lines[m.Sort] = append(lines[m.Sort], strings.TrimPrefix(m.line(), m.Sort+" "))
	}
	than := r.diff.than()
	if is := r.candidate.Made.Layers; len(is) > 0 && len(was.Layers) > 0 && !sameLayer(is[0], was.Layers) {
		r.found(BaseChanged, "its lowest layer is another one "+than)
	}
	if found := lines[MadeSetting]; len(found) > 0 {
		r.found(SettingsChanged, "it runs in another way "+than, found...)
	}
	if found := lines[MadeSetuid+" "+Added]; len(found) > 0 {
		r.found(SetuidNew, fmt.Sprintf("%d of its files run with the rights of their owner, which is new %s", len(found), than), found...)
	}
	if found := lines[MadeComponent+" "+Added]; len(found) > 0 {
		r.found(ComponentNew, fmt.Sprintf("it brings %s %s", some(len(found), "component"), than), found...)
	}
}

// replaced finds what somebody who takes the candidate comes from: what its tag points at or, where that is of
// another sort or platform, what was published last of its own.
func (s *Service) replaced(ctx context.Context, c Candidate) (p predecessor, err error) {
	tag := ""
	if len(c.Tags) > 0 {
		tag = c.Tags[0]
	}
	err = s.record.DB().Query().QueryRowContext(ctx, `SELECT r.version, r.purl, r.seq, a.digest FROM release r
		JOIN package p ON p.id = r.package_id JOIN artifact a ON a.id = r.artifact_id
		LEFT JOIN tag t ON t.package_id = r.package_id AND t.version = r.version AND t.tag = $1
		WHERE p.ecosystem = $2 AND p.name = $3 AND r.version <> $4 AND r.mirrored = 0 AND r.state = 'active' AND r.recalled = ''
			AND r.artifact_type = $5 AND a.platform IN ('', $6) ORDER BY t.tag IS NULL, r.seq DESC LIMIT 1`,
		tag, c.Ecosystem, c.Name, c.Version, c.Type, c.Made.Platform).Scan(&p.version, &p.purl, &p.seq, &p.artifact)
	if err = ignoreNone(err); err != nil {
		return p, fmt.Errorf("what it replaces: %w", err)
	}
	return p, nil
}

// lateContents is how many statements after a publication its contents are looked for: they come when everything
// was read.
const lateContents = 200

// made is what the record says an artifact is put together from; nil when it does not.
func (s *Service) made(ctx context.Context, p purl.PURL, artifact digest.Digest, seq int64) (*evidence.Contents, error) {
	statements, err := s.record.About(ctx, string(p), seq-1, lateContents)
	if err != nil {
		return nil, err
	}
	for _, st := range statements {
		if st.PredicateType != evidence.ContentsType || !slices.ContainsFunc(st.Subject, func(s evidence.Subject) bool {
			return s.Digest[artifact.Algorithm()] == artifact.Hex()
		}) {
			continue
		}
		contents, err := evidence.Decode[evidence.Contents](st)
		return &contents, err
	}
	return nil, nil
}

// compareMade returns what differs: layers, how it runs and, where the layers that are news have been read, what
// they hold.
func (s *Service) compareMade(ctx context.Context, was, is *evidence.Contents) ([]MadeChange, error) {
	out := compareSettings(was.Settings, is.Settings)
	added, removed := newLayers(was.Layers, is.Layers), newLayers(is.Layers, was.Layers)
	for _, l := range added {
		out = append(out, MadeChange{Sort: MadeLayer, Change: Added, Name: string(l.Blob), After: clip(l.CreatedBy, maxCommand)})
	}
	for _, l := range removed {
		out = append(out, MadeChange{Sort: MadeLayer, Change: Removed, Name: string(l.Blob), Before: clip(l.CreatedBy, maxCommand)})
	}
	if slices.ContainsFunc(added, func(l evidence.ImageLayer) bool { return l.DiffID == "" }) {
		return bounded(out), nil // not read yet
	}
	components, err := s.compareComponents(ctx, was, is)
	if err != nil {
		return nil, err
	}
	files, err := s.compareModes(ctx, removed, added)
	return bounded(slices.Concat(out, components, files)), err
}

func bounded(all []MadeChange) []MadeChange { return all[:min(len(all), maxMade)] }

func sameLayer(l evidence.ImageLayer, among []evidence.ImageLayer) bool {
	return slices.ContainsFunc(among, func(o evidence.ImageLayer) bool {
		return o.Blob == l.Blob || l.DiffID != "" && o.DiffID == l.DiffID
	})
}

// newLayers are those that are not among the others, lowest first.
func newLayers(others, layers []evidence.ImageLayer) (out []evidence.ImageLayer) {
	for _, l := range layers {
		if !sameLayer(l, others) {
			out = append(out, l)
		}
	}
	return out
}

func compareSettings(was, is map[string]string) (out []MadeChange) {
	both := maps.Clone(was)
	if both == nil {
		return nil // nobody wrote them down then: everything would be news
	}
	maps.Copy(both, is)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		before, after := was[name], is[name]
		switch {
		case before == after:
		case before == "":
			out = append(out, MadeChange{MadeSetting, Added, name, "", clip(after, maxCommand)})
		case after == "":
			out = append(out, MadeChange{MadeSetting, Removed, name, clip(before, maxCommand), ""})
		default:
			out = append(out, MadeChange{MadeSetting, Changed, name, clip(before, maxCommand), clip(after, maxCommand)})
		}
	}
	return out
}

// compareComponents compares what the finished artifacts hold, by name.
func (s *Service) compareComponents(ctx context.Context, was, is *evidence.Contents) (out []MadeChange, err error) {
	before, err := s.componentsOf(ctx, was)
	if err != nil {
		return nil, err
	}
	after, err := s.componentsOf(ctx, is)
	if err != nil {
		return nil, err
	}
	for name, versions := range after {
		switch old, known := before[name]; {
		case !known:
			out = append(out, MadeChange{MadeComponent, Added, name, "", versions})
		case old != versions:
			out = append(out, MadeChange{MadeComponent, Changed, name, old, versions})
		}
	}
	for name, versions := range before {
		if _, kept := after[name]; !kept {
			out = append(out, MadeChange{MadeComponent, Removed, name, versions, ""})
		}
	}
	slices.SortFunc(out, func(a, b MadeChange) int { return cmp.Or(cmp.Compare(a.Change, b.Change), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// componentsOf returns the versions of each component by its name, without what upper layers hide.
func (s *Service) componentsOf(ctx context.Context, c *evidence.Contents) (map[string]string, error) {
	hidden := map[evidence.HiddenComponent]bool{}
	for _, h := range c.Hidden {
		hidden[h] = true
	}
	found := map[string]map[string]bool{}
	for i, l := range c.Layers {
		rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT DISTINCT n.purl FROM artifact a JOIN artifact_component x ON x.artifact_id = a.id
			JOIN component n ON n.id = x.component_id WHERE a.digest = $1`, l.DiffID)
		if err != nil {
			return nil, fmt.Errorf("components: %w", err)
		}
		for rows.Next() {
			var p purl.PURL
			if err := rows.Scan(&p); err != nil {
				return nil, fmt.Errorf("components: %w", err)
			}
			if hidden[evidence.HiddenComponent{Position: i, PURL: p}] {
				continue
			}
			ecosystem, name, version := p.Split()
			key := ecosystem + " " + name
			if found[key] == nil {
				found[key] = map[string]bool{}
			}
			found[key][version] = true
		}
		if err := rows.Close(); err != nil {
			return nil, fmt.Errorf("components: %w", err)
		}
	}
	out := map[string]string{}
	for key, versions := range found {
		out[key] = strings.Join(slices.Sorted(maps.Keys(versions)), ", ")
	}
	return out, nil
}

// compareModes looks at the files of the layers that are news: which run with their owner's rights, and how many
// can be run at all.
func (s *Service) compareModes(ctx context.Context, removed, added []evidence.ImageLayer) (out []MadeChange, err error) {
	budget := maxLooked
	before, err := s.modesOf(ctx, removed, &budget)
	if err != nil {
		return nil, err
	}
	after, err := s.modesOf(ctx, added, &budget)
	if err != nil || budget < 0 {
		return nil, err
	}
	programs := 0
	for _, path := range slices.Sorted(maps.Keys(after)) {
		is, was := after[path], before[path]
		if is&privileged != 0 && was&privileged == 0 {
			out = append(out, MadeChange{Sort: MadeSetuid, Change: Added, Name: path, After: is.String()})
		}
		if _, known := before[path]; !known && is&0o111 != 0 {
			programs++
		}
	}
	if programs > 0 {
		out = append(out, MadeChange{Sort: MadePrograms, Change: Added, Name: fmt.Sprintf("%d files that can be run", programs)})
	}
	return out, nil
}

const privileged = fs.ModeSetuid | fs.ModeSetgid

func (s *Service) modesOf(ctx context.Context, layers []evidence.ImageLayer, budget *int) (map[string]fs.FileMode, error) {
	out := map[string]fs.FileMode{}
	for _, l := range layers {
		var inventory digest.Digest
		err := s.record.DB().Query().QueryRowContext(ctx, `SELECT l.inventory FROM layer l JOIN artifact a ON a.id = l.artifact_id WHERE a.digest = $1`,
			l.DiffID).Scan(&inventory)
		if err = ignoreNone(err); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.DiffID, err)
		}
		if inventory == "" {
			continue
		}
		inv, err := s.record.Inventory(ctx, inventory)
		if err != nil {
			return nil, err
		}
		if *budget -= len(inv.Files); *budget < 0 {
			return nil, nil
		}
		for _, f := range inv.Files {
			out[f.Path] = f.Mode
		}
	}
	return out, nil
}
