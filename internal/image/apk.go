package image

import (
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// apk is one paragraph of apk's database. Source: apk-tools, doc/apk-package.5 and "installed".
type apk struct {
	name, version, arch, origin string
}

func (c *collector) apkInstalled(p string, r io.Reader) error {
	var packages []apk
	var a apk
	room := c.memory
	keep := func() bool {
		if isSystemName(a.name) && believable(a.version) {
			packages = append(packages, a)
			room -= packageCost + 3*(len(a.name)+len(a.version)+len(a.arch)+len(a.origin))
		}
		a = apk{}
		if room < 0 {
			c.full()
		}
		return room >= 0
	}
	err := eachLine(r, func(line []byte) bool {
		if len(line) == 0 {
			return keep()
		}
		a.field(string(line[:min(len(line), maxField)]))
		return true
	})
	if room >= 0 {
		keep()
	}
	c.database(p, apkComponents(p, packages))
	return err
}

func (a *apk) field(line string) {
	key, value, _ := strings.Cut(line, ":")
	switch key { // single letters; case matters: "o" is the origin, "O" is not
	case "P":
		a.name = value
	case "V":
		a.version = value
	case "A":
		a.arch = value
	case "o":
		a.origin = value
	}
}

// apkVendors are the packages that only one distribution has.
var apkVendors = map[string]string{
	"wolfi-baselayout": "wolfi", "wolfi-base": "wolfi",
	"chainguard-baselayout": "chainguard", "chainguard-base": "chainguard",
}

// apkComponents names the packages of one database; as with dpkg, only the database itself decides
// on the namespace.
func apkComponents(p string, packages []apk) []evidence.Component {
	vendor := "alpine"
	for _, a := range packages {
		if v := apkVendors[a.name]; v != "" {
			vendor = v
		}
	}
	out := make([]evidence.Component, 0, len(packages))
	for _, a := range packages {
		comp := evidence.Component{Path: p, PURL: purl.New(purl.Alpine, vendor+"/"+a.name, a.version, "arch", a.arch)}
		if a.origin != "" && a.origin != a.name {
			comp.Source = a.origin + " " + a.version
		}
		out = append(out, comp)
	}
	return out
}
