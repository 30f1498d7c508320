package nuget

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// deprecation is how a registration tells of it. Source: NuGet docs, "Package metadata", "Package deprecation".
type deprecation struct {
	Reasons   []string `json:"reasons"`
	Message   string   `json:"message,omitempty"`
	Alternate *instead `json:"alternatePackage,omitempty"`
}

type instead struct {
	ID    string `json:"id"`
	Range string `json:"range"`
}

// deprecate is what PUT api/v2/package/{id}/deprecations takes, in the words of nuget.org's own pages.
type deprecate struct {
	Versions         []string `json:"versions"`
	IsLegacy         bool     `json:"isLegacy"`
	HasCriticalBugs  bool     `json:"hasCriticalBugs"`
	IsOther          bool     `json:"isOther"`
	AlternateID      string   `json:"alternatePackageId"`
	AlternateVersion string   `json:"alternatePackageVersion"`
	Message          string   `json:"message"`
}

const (
	maxDeprecated = 1000 // versions in one request
	maxMessage    = 1000 // bytes
	useInstead    = "use "
)

// reasons are the words that NuGet has, in the order in which they are written.
var reasons = []string{"Legacy", "CriticalBugs", "Other"}

// text is what the core keeps: "Legacy, CriticalBugs; use Acme.UI 2.0.0; the message". It is a sentence that
// other pages show as it is, and that deprecationOf reads back.
func (d deprecate) text() string {
	var words []string
	for i, set := range []bool{d.IsLegacy, d.HasCriticalBugs, d.IsOther} {
		if set {
			words = append(words, reasons[i])
		}
	}
	if len(words) == 0 && d.AlternateID == "" && d.Message == "" {
		return "" // not deprecated any more
	}
	if len(words) == 0 {
		words = []string{"Other"}
	}
	parts := []string{strings.Join(words, ", ")}
	if d.AlternateID != "" {
		parts = append(parts, strings.TrimSpace(useInstead+d.AlternateID+" "+d.AlternateVersion))
	}
	if d.Message != "" {
		parts = append(parts, d.Message)
	}
	return strings.Join(parts, "; ")
}

// deprecationOf reads what the core keeps; a message that was set elsewhere has the reason "Other".
func deprecationOf(text string) *deprecation {
	if text == "" {
		return nil
	}
	first, rest, _ := strings.Cut(text, "; ")
	words := strings.Split(first, ", ")
	if slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(reasons, w) }) {
		return &deprecation{Reasons: []string{"Other"}, Message: text}
	}
	d := &deprecation{Reasons: words}
	if alternate, found := strings.CutPrefix(rest, useInstead); found {
		alternate, message, _ := strings.Cut(alternate, "; ")
		id, version, _ := strings.Cut(alternate, " ")
		if nupkg.CheckName(id) == nil {
			d.Alternate, rest = &instead{ID: id, Range: "*"}, message
			if version != "" {
				d.Alternate.Range = nupkg.VersionRange(version)
			}
		}
	}
	d.Message = rest
	return d
}

// setDeprecation answers PUT api/v2/package/{id}/deprecations. NuGet's clients only show deprecations, so
// that there is no protocol to follow.
func (r *Registry) setDeprecation(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	var d deprecate
	if err := registry.ReadJSON(w, req, maxJSON, &d); err != nil {
		return err
	}
	if d.AlternateID != "" {
		if err := nupkg.CheckName(d.AlternateID); err != nil {
			return err
		}
	}
	if len(d.Versions) == 0 || len(d.Versions) > maxDeprecated || len(d.Message) > maxMessage {
		return fault.New(fault.Invalid, "body-malformed", "name 1 to %d versions, and write at most %d bytes of message", maxDeprecated, maxMessage)
	}
	name := pathName(req)
	for _, spelt := range d.Versions {
		v, err := nupkg.ParseVersion(spelt)
		if err != nil {
			return err
		}
		if err := r.core.Deprecate(req.Context(), actor, purl.NuGet, name, v.Key(), d.text()); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
