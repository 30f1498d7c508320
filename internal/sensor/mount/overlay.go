package mount

import (
	"fmt"
	"path/filepath"
	"strings"
)

// maxLower is the kernel's OVL_MAX_STACK.
const maxLower = 500

// Overlay is what an overlay mount is made of.
type Overlay struct {
	Dev   uint64
	Lower []string // topmost first: the kernel's layer 1 is Lower[0]
	Upper string   // "" for a read-only overlay
}

// Overlay takes the layers from the options of an overlay mount. Relative names (containerd shortens
// them when the options would not fit a page) are returned as they are: only whoever mounted it knows
// relative to what.
func (e Entry) Overlay() (Overlay, error) {
	if e.Type != "overlay" {
		return Overlay{}, fmt.Errorf("%s at %s is not an overlay", e.Type, e.Point)
	}
	o := Overlay{Dev: e.Dev}
	for _, option := range splitEscaped(unescape(e.Super), ',') {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "lowerdir":
			o.Lower = append(o.Lower, lowerList(value)...)
		case "lowerdir+": // Linux 6.5: one option a layer
			o.Lower = append(o.Lower, plain(value))
		case "upperdir":
			o.Upper = plain(value)
		}
	}
	if len(o.Lower) == 0 || len(o.Lower) > maxLower {
		return Overlay{}, fmt.Errorf("overlay at %s: %d lower layers", e.Point, len(o.Lower))
	}
	return o, nil
}

// Folders are the lower layers by names that can be opened in the host's view. containerd and podman
// shorten the names when there are many, to what they are below the folder that holds all layers: two
// above the writable one.
func (o Overlay) Folders() []string {
	out := make([]string, len(o.Lower))
	for i, dir := range o.Lower {
		if !filepath.IsAbs(dir) && o.Upper != "" {
			dir = filepath.Join(filepath.Dir(filepath.Dir(o.Upper)), dir)
		}
		out[i] = dir
	}
	return out
}

// lowerList splits lowerdir=. A double colon introduces data-only layers, which hold no names of their own.
func lowerList(value string) []string {
	var out []string
	for _, dir := range splitEscaped(value, ':') {
		if dir == "" {
			break
		}
		out = append(out, plain(dir))
	}
	return out
}

// splitEscaped splits at separators that no backslash precedes; the backslashes stay.
func splitEscaped(s string, sep byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// plain undoes overlayfs' own escapes: a backslash before a colon, a comma or a backslash.
func plain(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
