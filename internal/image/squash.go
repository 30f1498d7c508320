package image

import (
	"path"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Layer is one layer of an image, lowest first.
type Layer struct {
	Inventory *evidence.Inventory
	// CreatedBy is the instruction that made it, see [Config.Instructions].
	CreatedBy string
}

// Component is a component of a finished image.
type Component struct {
	evidence.Component
	// Layer is the index of the layer that introduced this version, without a break since.
	Layer int `json:"layer"`
	// DiffID is that layer's.
	DiffID digest.Digest `json:"diffID,omitempty"`
	// CreatedBy is that layer's instruction.
	CreatedBy string `json:"createdBy,omitempty"`
	// UpgradedFrom is the version that the layer replaced; empty when it replaced none.
	UpgradedFrom purl.PURL `json:"upgradedFrom,omitempty"`
}

// Image is what its layers amount to.
type Image struct {
	OS     *evidence.OSRelease `json:"os,omitempty"`
	Family Family              `json:"family"`
	// Components are in the order of their paths and names.
	Components []Component `json:"components"`
	// Hidden are the components that a layer holds and the image does not.
	Hidden []evidence.HiddenComponent `json:"hidden,omitempty"`
	// Incomplete says, per layer that could not be read to its end, why.
	Incomplete []string `json:"incomplete,omitempty"`
}

// Squash merges the layers, lowest first, as a container runtime stacks them: a layer's deletions
// act on what is below it, then its own files count. It only reads inventories and does not keep
// them.
//
// It knows the paths that inventories list and no others: a package.json that a later layer
// replaces by something else than a package still counts.
func Squash(layers []Layer) *Image {
	s := &stack{declared: map[string][]Component{}}
	for i, l := range layers {
		s.add(i, l)
	}
	im := &Image{OS: s.os, Components: s.components(), Incomplete: s.incomplete}
	im.Hidden = hidden(layers, im.Components)
	im.Family = familyOf(im.OS, s.markers())
	if im.Family == Scratch && len(s.incomplete) > 0 {
		im.Family = Unknown // what would tell may lie behind the gap
	}
	return im
}

// stack is the image up to some layer: what each declaring file declares.
type stack struct {
	declared   map[string][]Component
	os         *evidence.OSRelease
	incomplete []string
}

func (s *stack) add(position int, l Layer) {
	inv := l.Inventory
	if inv == nil {
		s.incomplete = append(s.incomplete, "the layer was not read")
		return
	}
	gone := newLost()
	s.erase(inv, gone)
	fresh := declarations(inv)
	for p := range fresh {
		s.lose(p, gone)
	}
	for _, f := range inv.Files { // an executable may be replaced by one that declares nothing
		s.lose(f.Path, gone)
	}
	for p, components := range fresh {
		s.declared[p] = place(components, gone, Component{Layer: position, DiffID: inv.DiffID, CreatedBy: l.CreatedBy})
	}
	if inv.OS != nil {
		s.os = inv.OS
	}
	if inv.Incomplete != "" {
		s.incomplete = append(s.incomplete, inv.Incomplete)
	}
}

// erase applies the layer's whiteouts and opaque folders.
func (s *stack) erase(inv *evidence.Inventory, gone *lost) {
	if len(inv.Whiteouts)+len(inv.Opaque) == 0 {
		return
	}
	files, folders := set(inv.Whiteouts), set(inv.Opaque)
	for p := range s.declared {
		if covered(p, files, folders) {
			s.lose(p, gone)
		}
	}
	if s.os != nil && covered("etc/os-release", files, folders) && covered("usr/lib/os-release", files, folders) {
		s.os = nil
	}
}

// covered reports whether p or a folder above it is in files, or a folder above it in folders.
func covered(p string, files, folders map[string]bool) bool {
	for at := p; ; at = path.Dir(at) {
		if files[at] || folders[at] && at != p {
			return true
		}
		if at == "." || at == "/" {
			return false
		}
	}
}

func set(s []string) map[string]bool {
	m := make(map[string]bool, len(s))
	for _, v := range s {
		m[v] = true
	}
	return m
}

// lose takes away what p declares and remembers it for comparison.
func (s *stack) lose(p string, gone *lost) {
	for _, c := range s.declared[p] {
		gone.same[identity{slotOf(c.Component), c.PURL}] = c
		gone.slot[slotOf(c.Component)] = c
	}
	delete(s.declared, p)
}

// lost is what one layer removed or overwrote: to recognise what it put back, and upgrades.
type lost struct {
	same map[identity]Component
	slot map[slot]Component
}

func newLost() *lost {
	return &lost{same: map[identity]Component{}, slot: map[slot]Component{}}
}

// slot is where one version of a package is at a time.
type slot struct{ place, name string }

type identity struct {
	slot
	version purl.PURL
}

// slotOf finds the slot of c. The folder of Python metadata carries the version in its name, so
// that the place is the folder above.
func slotOf(c evidence.Component) slot {
	place := c.Path
	if dir := path.Dir(place); strings.HasSuffix(dir, ".dist-info") || strings.HasSuffix(dir, ".egg-info") {
		place = path.Dir(dir)
	}
	return slot{place, unversioned(c.PURL)}
}

// unversioned cuts "@version" out of p and keeps the qualifiers: amd64 and i386 stand side by side.
func unversioned(p purl.PURL) string {
	s := string(p)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	if q := strings.IndexByte(s[at:], '?'); q >= 0 {
		return s[:at] + s[at+q:]
	}
	return s[:at]
}

// place decides since when each component is there. One that the layer found in the same slot and
// version only wrote again is as old as it was.
func place(components []evidence.Component, gone *lost, here Component) []Component {
	out := make([]Component, 0, len(components))
	for _, c := range components {
		at := slotOf(c)
		before, again := gone.same[identity{at, c.PURL}]
		if !again {
			before = here
			if old, ok := gone.slot[at]; ok {
				before.UpgradedFrom = old.PURL
			}
		}
		before.Component = c
		out = append(out, before)
	}
	return out
}

// declarations groups an inventory's components by the file that declares them. An empty package
// database is a declaration too.
func declarations(inv *evidence.Inventory) map[string][]evidence.Component {
	out := map[string][]evidence.Component{}
	for _, c := range inv.Components {
		out[c.Path] = append(out[c.Path], c)
	}
	for _, db := range inv.Databases {
		out[db.Path] = db.Components
	}
	return out
}

func (s *stack) components() []Component {
	var out []Component
	for _, p := range sortedKeys(s.declared) {
		out = append(out, s.declared[p]...)
	}
	return out
}

func (s *stack) markers() map[string]bool {
	paths := map[string]bool{}
	for p := range s.declared {
		paths[p] = true
	}
	return paths
}

// hidden compares every layer with the finished image.
func hidden(layers []Layer, final []Component) []evidence.HiddenComponent {
	present := make(map[purl.PURL]bool, len(final))
	for _, c := range final {
		present[c.PURL] = true
	}
	var out []evidence.HiddenComponent
	for i, l := range layers {
		if l.Inventory == nil {
			continue
		}
		var gone []purl.PURL
		for c := range l.Inventory.AllComponents {
			if !present[c.PURL] {
				gone = append(gone, c.PURL)
			}
		}
		slices.Sort(gone)
		for _, p := range slices.Compact(gone) {
			out = append(out, evidence.HiddenComponent{Position: i, PURL: p})
		}
	}
	return out
}
