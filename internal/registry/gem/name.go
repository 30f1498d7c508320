package gem

import (
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// normal is the spelling under which the core keeps a name: "RedCloth" and "redcloth" are one name here,
// whose gems must all be spelt as the first was.
func normal(name string) string { return strings.ToLower(name) }

// split is one way to take a full name apart.
type split struct{ name, version, platform string }

func (s split) key() string { return gemspec.VersionKey(s.version, s.platform) }

// splits returns the ways in which "a-b-1.0.0-x86_64-linux" can be a name, a version and a platform: most
// full names have one. A platform begins with a letter and a version with a digit.
func splits(full string) []split {
	if len(full) > 4*gemspec.MaxNameLength {
		return nil
	}
	var out []split
	for i := range len(full) {
		if full[i] != '-' || i == 0 {
			continue
		}
		name := full[:i]
		version, platform, found := strings.Cut(full[i+1:], "-")
		if !found {
			platform = gemspec.RubyPlatform
		}
		if gemspec.NameForm.MatchString(name) && gemspec.VersionForm.MatchString(version) && gemspec.PlatformForm.MatchString(platform) {
			out = append(out, split{name, version, platform})
		}
	}
	return out
}

func errGemUnknown(full string) error {
	return fault.New(fault.NotFound, "version-unknown", "there is no gem %q here", fault.Clip(full))
}

func unknownName(name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no gem %q here", fault.Clip(name))
}
