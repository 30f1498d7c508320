package gem

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parseInfo reads the compact index of one name, in its first or second form. A line that cannot be read is
// left out: whoever asks for that version is told that it is not there. Source: RubyGems guides, "Compact
// Index API"; RubyGems 3.3, resolver/api_set/gem_parser.rb.
func parseInfo(name, body string) []version {
	if _, rest, found := strings.Cut(body, "---\n"); found {
		body = rest
	}
	var all []version
	at := map[string]int{}
	for one := range strings.Lines(body) {
		v, ok := parseInfoLine(name, strings.TrimSuffix(one, "\n"))
		if !ok {
			continue
		}
		if i, again := at[v.Version]; again {
			all[i] = v
			continue
		}
		at[v.Version] = len(all)
		all = append(all, v)
	}
	return all
}

func parseInfoLine(name, text string) (version, bool) {
	key, rest, _ := strings.Cut(text, " ")
	number, platform, found := strings.Cut(key, "-")
	if !found {
		platform = gemspec.RubyPlatform
	}
	s := &gemspec.Spec{Name: name, Version: number, Platform: platform, Date: time.Unix(0, 0).UTC()}
	v := version{Release: registry.Release{Version: key}, spec: s}
	deps, facts, _ := strings.Cut(rest, "|")
	for one := range strings.SplitSeq(deps, ",") {
		if one == "" {
			continue
		}
		dep, requirement, _ := strings.Cut(one, ":")
		parsed, ok := parseRequirement(requirement)
		if !ok || len(s.Dependencies) >= gemspec.MaxListed {
			return v, false
		}
		s.Dependencies = append(s.Dependencies, gemspec.Dependency{Name: dep, Requirement: parsed})
	}
	for one := range strings.SplitSeq(facts, ",") {
		fact, value, _ := strings.Cut(one, ":")
		var ok bool
		switch fact {
		case "checksum":
			v.sha256, ok = value, sumForm.MatchString(value)
		case "ruby":
			s.RequiredRuby, ok = parseRequirement(value)
		case "rubygems":
			s.RequiredRubygems, ok = parseRequirement(value)
		case "created_at":
			var err error
			v.Published, err = time.Parse(time.RFC3339, value)
			ok = err == nil
		default:
			ok = true
		}
		if !ok {
			return v, false
		}
	}
	if !v.Published.IsZero() {
		s.Date = v.Published.UTC().Truncate(24 * time.Hour)
	}
	return v, s.Check() == nil
}

func parseRequirement(s string) (gemspec.Requirement, bool) {
	var out gemspec.Requirement
	for one := range strings.SplitSeq(s, "&") {
		c, ok := gemspec.ParseConstraint(one)
		if !ok || len(out) >= gemspec.MaxFields {
			return nil, false
		}
		out = append(out, c)
	}
	return out, true
}

// dates asks an upstream's API when the versions of a name were published. An upstream without it tells none.
func (r *Registry) dates(ctx context.Context, name, spelling string) (map[string]time.Time, error) {
	doc, err := r.upstream.Document(ctx, registry.Question{
		Ecosystem: purl.Gem, Name: name, Path: "api/v1/versions/" + url.PathEscape(spelling) + ".json", Accept: "application/json", Limit: r.limits.Info,
	})
	if err != nil && (fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Unavailable) {
		return nil, nil // they count from when they are first seen
	}
	if err != nil {
		return nil, err
	}
	var all []struct {
		Number   string `json:"number"`
		Platform string `json:"platform"`
		Created  string `json:"created_at"`
	}
	if json.Unmarshal(doc.Body, &all) != nil {
		return nil, nil
	}
	out := make(map[string]time.Time, len(all))
	for _, one := range all {
		if at, err := time.Parse(time.RFC3339, one.Created); err == nil {
			out[gemspec.VersionKey(one.Number, one.Platform)] = at
		}
	}
	return out, nil
}
