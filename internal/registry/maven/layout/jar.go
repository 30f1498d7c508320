package layout

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// IsZip reports whether files with the extension are zip archives that are looked into.
func IsZip(extension string) bool {
	return slices.Contains([]string{"jar", "war", "ear", "rar", "aar", "zip", "nbm", "hpi", "jpi", "kar"}, extension)
}

// project is what a jar says that it, or something that was packed into it, was built from.
type project struct {
	Coordinates
	path string
}

// jarReader looks at the files of a jar that say what it is.
// Source: maven-archiver, "META-INF/maven" content; maven-plugin-api, plugin.xml.
type jarReader struct {
	limit    int64 // bytes of one such file
	projects []project
	Goal     string
}

// maxProjects bounds how many projects of a jar are kept: those of an application with everything packed in
// are a few hundred.
const maxProjects = 5_000

const mavenFolder = "META-INF/maven/"

func (j *jarReader) see(e safearchive.Entry, content io.Reader) error {
	rest, ok := strings.CutPrefix(e.Path, mavenFolder)
	if !ok || e.Kind != safearchive.File {
		return nil
	}
	parts := strings.Split(rest, "/")
	descriptor := len(parts) == 3 && (parts[2] == "pom.properties" || parts[2] == "pom.xml")
	if !descriptor && rest != "plugin.xml" {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(content, j.limit+1))
	if err != nil {
		return err
	}
	if int64(len(raw)) > j.limit || len(j.projects) >= maxProjects {
		return nil
	}
	if !descriptor {
		j.Goal = goalPrefix(raw)
		return nil
	}
	p := project{Coordinates{Group: parts[0], Artifact: parts[1]}, e.Path}
	if parts[2] == "pom.properties" {
		p.Version = property(raw, "version")
	} else if inside, err := ParsePOM(raw); err == nil && !strings.Contains(inside.Version, "${") {
		p.Version = inside.Version
	}
	j.projects = append(j.projects, p)
	return nil
}

// property reads one value of a Java properties file, as Maven writes them.
func property(raw []byte, key string) string {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		k, v, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func goalPrefix(raw []byte) string {
	var d struct {
		Goal string `xml:"goalPrefix"`
	}
	if DecodeXML(raw, &d) != nil || !IsSegment(d.Goal) {
		return ""
	}
	return d.Goal
}

// Check compares what the jar says that it is with its address. What else was packed into it is no
// contradiction, as long as it says who it is itself, or is more than one.
func (j *jarReader) Check(c Coordinates) error {
	others := map[string]bool{}
	own := false
	for _, p := range j.projects {
		if p.Name() != c.Name() {
			others[p.Name()] = true
			continue
		}
		own = true
		if p.Version != "" && p.Version != c.Version && p.Version != c.Build {
			return fault.New(fault.Invalid, "coordinates-differ",
				"%s says in %s that it is version %q, and its address says %q; build it again as that version", fault.Clip(c.File), fault.Clip(p.path), fault.Clip(p.Version), c.Version)
		}
	}
	if own || len(others) != 1 {
		return nil
	}
	for other := range others {
		return fault.New(fault.Invalid, "coordinates-differ",
			"%s says that it is %s, and its address says %s; deploy it where it belongs", fault.Clip(c.File), fault.Clip(strings.Replace(other, "/", ":", 1)), c.Group+":"+c.Artifact)
	}
	return nil
}

// components are the projects that were packed into the jar besides its own.
func (j *jarReader) components(c Coordinates) []evidence.Component {
	seen := map[purl.PURL]bool{}
	var out []evidence.Component
	for _, p := range j.projects {
		id := purl.New(purl.Maven, p.Name(), p.Version)
		if p.Name() == c.Name() || p.Version == "" || seen[id] {
			continue
		}
		seen[id] = true
		out = append(out, evidence.Component{PURL: id, Path: p.path})
	}
	return out
}

// ReadJar looks into an archive of size bytes, and at files of up to pom bytes that say what it is.
func ReadJar(r io.ReaderAt, size int64, c Coordinates, limits safearchive.Limits, pom int64) (*evidence.Inventory, *jarReader, error) {
	j := &jarReader{limit: pom}
	inv, err := registry.IndexZip(r, size, limits, j.see)
	if err != nil {
		return nil, nil, err
	}
	inv.Components = j.components(c)
	return inv, j, nil
}
