package image

import (
	"bytes"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// deb is one paragraph of dpkg's database. Source: deb-control(5), dpkg(1) "status".
type deb struct {
	name, version, arch, source string
	// vendor is the distribution that built the package, as far as the package itself tells.
	vendor string
	// maintainer and status are looked at when the paragraph ends, and not kept.
	maintainer, status string
}

func (c *collector) dpkgStatus(p string, r io.Reader) error {
	debs, err := c.parseDebs(r, (*deb).installed)
	c.database(p, debComponents(p, debs))
	return err
}

// dpkgStatusD reads a file of distroless images: one package, without a Status.
func (c *collector) dpkgStatusD(p string, r io.Reader) error {
	debs, err := c.parseDebs(r, func(*deb) bool { return true })
	c.declare(p, debComponents(p, debs[:min(1, len(debs))]))
	return err
}

// parseDebs reads the paragraphs that want accepts, as long as there is memory for them.
func (c *collector) parseDebs(r io.Reader, want func(*deb) bool) ([]deb, error) {
	var debs []deb
	var d deb
	room := c.memory
	keep := func() bool {
		if isSystemName(d.name) && believable(d.version) && want(&d) {
			d.vendor = vendorOf(d.version, d.maintainer)
			d.maintainer, d.status = "", ""
			debs = append(debs, d)
			room -= packageCost + 3*(len(d.name)+len(d.version)+len(d.arch)+len(d.source))
		}
		d = deb{}
		if room < 0 {
			c.full()
		}
		return room >= 0
	}
	err := eachLine(r, func(line []byte) bool {
		if len(line) == 0 {
			return keep()
		}
		d.field(line)
		return true
	})
	if room >= 0 {
		keep()
	}
	return debs, err
}

func (d *deb) field(line []byte) {
	key, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(value) > maxField || line[0] == ' ' || line[0] == '\t' {
		return
	}
	var into *string
	switch string(key) {
	case "Package":
		into = &d.name
	case "Version":
		into = &d.version
	case "Architecture":
		into = &d.arch
	case "Source":
		into = &d.source
	case "Maintainer":
		into = &d.maintainer
	case "Status":
		into = &d.status
	default:
		return
	}
	*into = string(bytes.TrimSpace(value))
}

// installed knows "install ok installed" and "hold ok installed", and none of "deinstall ok
// config-files" or "install ok half-installed".
func (d *deb) installed() bool {
	words := strings.Fields(d.status)
	return len(words) == 3 && words[2] == "installed"
}

// origin returns the source package and its version. Both default to the binary's.
func (d *deb) origin() string {
	if d.source == "" {
		return ""
	}
	name, rest, _ := strings.Cut(d.source, " ")
	version := strings.Trim(rest, "() ")
	if version == "" {
		version = d.version
	}
	return name + " " + version
}

func vendorOf(version, maintainer string) string {
	maintainer = strings.ToLower(maintainer)
	for _, vendor := range []string{"ubuntu", "kali", "raspbian"} {
		if strings.Contains(version, vendor) || strings.Contains(maintainer, vendor) {
			return vendor
		}
	}
	return "debian"
}

// debComponents names the packages of one database.
//
// The namespace of a purl ("debian", "ubuntu") must be the same in every layer that lists the
// package, or the layers would not join; os-release is in one of them at most. So only the
// database itself decides: its base-files package, which every full one has, and else (a
// distroless file of one package) the package's own version and maintainer.
func debComponents(p string, debs []deb) []evidence.Component {
	vendor := ""
	for i := range debs {
		if debs[i].name == "base-files" {
			vendor = debs[i].vendor
		}
	}
	out := make([]evidence.Component, 0, len(debs))
	for i := range debs {
		d := &debs[i]
		namespace := vendor
		if namespace == "" {
			namespace = d.vendor
		}
		out = append(out, evidence.Component{
			PURL: purl.New(purl.Debian, namespace+"/"+d.name, d.version, "arch", d.arch),
			Path: p, Source: d.origin(),
		})
	}
	return out
}
