// Package layout is what stands in a Maven repository: what the addresses in it mean, and what poms and jars say of themselves.
// It knows no registry and no protocol.
package layout

import (
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Target is what a path in a repository of Maven's layout means. Which fields are set depends on Shape.
// Source: maven.apache.org, "Maven2 repository layout"; maven-resolver, Maven2RepositoryLayoutFactory.
type Target struct {
	Shape
	Coordinates
	Folder []string // of ShapeMetadata and shapeFolder: the path's elements
	Sum    string   // the checksum that is asked for, without its dot; empty: the file itself
}

// Shape is the sort of a path.
type Shape string

// The shapes of paths, as the route table writes them.
const (
	ShapeFile     Shape = "/{group}/{artifact}/{version}/{file}"
	ShapeSnapshot Shape = "/{group}/{artifact}/{version}/maven-metadata.xml"
	ShapeMetadata Shape = "/{folder}/maven-metadata.xml"
	shapeFolder   Shape = "/{folder}/"
	ShapeCatalog  Shape = "/archetype-catalog.xml"
)

// Coordinates are of a file.
type Coordinates struct {
	Group, Artifact string
	Version         string // the folder's: "1.0", "1.1-SNAPSHOT"
	Build           string // what the core calls the version: "1.0", "1.1-20261122.181910-1"
	Classifier      string
	Extension       string // "jar", "tar.gz"
	Sidecar         string // "asc", "sigstore.json", or empty
	File            string
}

// Name is the core's name of the artifact, and PURL that of the version.
func (c Coordinates) Name() string    { return c.Group + "/" + c.Artifact }
func (c Coordinates) PURL() purl.PURL { return purl.New(purl.Maven, c.Name(), c.Build) }

// Snapshot reports whether the file is one of a snapshot.
func (c Coordinates) Snapshot() bool { return IsSnapshot(c.Version) }

// Signed is the name of the file that a sidecar is about.
func (c Coordinates) Signed() string { return strings.TrimSuffix(c.File, "."+c.Sidecar) }

// Dir is where the files of a version are.
func (c Coordinates) Dir() string {
	return strings.ReplaceAll(c.Group, ".", "/") + "/" + c.Artifact + "/" + c.Version + "/"
}

// POM is the name of the version's pom.
func (c Coordinates) POM() string { return c.Artifact + "-" + c.Build + ".pom" }

// Sort is the sort of file, for comparison with the version before: "pom", "jar", "jar:sources".
func (c Coordinates) Sort() string {
	s := c.Extension
	if c.Classifier != "" {
		s += ":" + c.Classifier
	}
	if c.Sidecar != "" {
		s += "." + c.Sidecar
	}
	return s
}

const (
	// MetadataFile is the name of metadata at every level, SnapshotSuffix the end of a version that is still built.
	MetadataFile   = "maven-metadata.xml"
	catalogFile    = "archetype-catalog.xml"
	SnapshotSuffix = "-SNAPSHOT"
	maxPath        = 1024 // bytes
	maxSegment     = 255  // bytes; what common file systems take
	// MaxVersion is the longest version.
	MaxVersion = 128 // bytes
)

// IsSnapshot reports whether a version is one of which there are many builds.
func IsSnapshot(version string) bool { return strings.HasSuffix(version, SnapshotSuffix) }

var (
	// timestamped is the part of a snapshot's version that stands in for "SNAPSHOT".
	// Source: maven-resolver, Artifact, SNAPSHOT_TIMESTAMP.
	timestamped = regexp.MustCompile(`^([0-9]{8}\.[0-9]{6}-[0-9]{1,9})(.*)$`)
	// SnapshotBuild is the version of such a build.
	SnapshotBuild = regexp.MustCompile(`^(.+)-[0-9]{8}\.[0-9]{6}-[0-9]{1,9}$`)
)

// IsSegment reports whether s may be a part of a path: letters, digits and ._~+-, without a dot in front. It is asked
// several times with every request.
func IsSegment(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '~', c == '+', c == '-', c == '.' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

// sums are the checksums that stand beside every file, by the extension of their address.
var sums = []string{"sha1", "md5", "sha256", "sha512"}

// PathUnknown is the refusal of an address that means nothing in a repository, with code path-unknown.
func PathUnknown() error {
	return fault.New(fault.NotFound, "path-unknown",
		"this is no address in a Maven repository; files are at group/artifact/version/artifact-version.extension")
}

// ParsePath tells what a path below the repository's address means. It fails with path-unknown.
func ParsePath(path string) (Target, error) {
	path = strings.TrimPrefix(path, "/")
	if len(path) > maxPath {
		return Target{}, PathUnknown()
	}
	folder := path == "" || strings.HasSuffix(path, "/")
	var parts []string
	if trimmed := strings.TrimSuffix(path, "/"); trimmed != "" {
		parts = strings.Split(trimmed, "/")
	}
	for _, p := range parts {
		if len(p) > maxSegment || !IsSegment(p) {
			return Target{}, PathUnknown()
		}
	}
	if folder {
		return Target{Shape: shapeFolder, Folder: parts}, nil
	}
	var t Target
	last := len(parts) - 1
	for _, s := range sums {
		if rest, ok := strings.CutSuffix(parts[last], "."+s); ok {
			parts[last], t.Sum = rest, s
			break
		}
	}
	group := max(0, last-2) // how many folders are the group's
	if parts[last] == MetadataFile && !IsSnapshot(parts[max(0, last-1)]) {
		group = max(0, last-1)
	}
	if strings.Contains(strings.Join(parts[:group], ""), ".") {
		return Target{}, PathUnknown() // a group has one address
	}
	switch {
	case len(parts) == 1 && parts[0] == catalogFile:
		t.Shape = ShapeCatalog
		return t, nil
	case parts[last] == MetadataFile && last >= 3 && IsSnapshot(parts[last-1]):
		t.Shape = ShapeSnapshot
		t.Group, t.Artifact, t.Version = strings.Join(parts[:last-2], "."), parts[last-2], parts[last-1]
		return t, nil
	case parts[last] == MetadataFile && last >= 1:
		t.Shape, t.Folder = ShapeMetadata, parts[:last]
		return t, nil
	case last < 3:
		return Target{}, PathUnknown()
	}
	t.Shape = ShapeFile
	t.Group, t.Artifact, t.Version = strings.Join(parts[:last-2], "."), parts[last-2], parts[last-1]
	return t, t.ParseFile(parts[last])
}

// ParseFile splits a file's name, which begins with artifact and version.
func (c *Coordinates) ParseFile(file string) error {
	c.File, c.Build = file, c.Version
	if len(c.Version) > MaxVersion {
		return PathUnknown()
	}
	rest, ok := strings.CutPrefix(file, c.Artifact+"-")
	if !ok {
		return PathUnknown()
	}
	base := strings.TrimSuffix(c.Version, SnapshotSuffix)
	after, literal := strings.CutPrefix(rest, c.Version)
	if !literal && c.Snapshot() {
		stamped, ok := strings.CutPrefix(rest, base+"-")
		m := timestamped.FindStringSubmatch(stamped)
		if !ok || m == nil {
			return PathUnknown()
		}
		c.Build, after = base+"-"+m[1], m[2]
	} else if !literal {
		return PathUnknown()
	}
	for _, s := range []string{SidecarPGP, SidecarSigstore} {
		if cut, ok := strings.CutSuffix(after, "."+s); ok {
			after, c.Sidecar = cut, s
			break
		}
	}
	return c.parseSuffix(after)
}

// The sidecars that are kept as files of their own.
const (
	SidecarPGP      = "asc"
	SidecarSigstore = "sigstore.json"
)

// parseSuffix reads "[-classifier].extension". A classifier may have dots; the extension is what follows
// the last one, or two parts where the first is "tar".
func (c *Coordinates) parseSuffix(suffix string) error {
	dash := strings.HasPrefix(suffix, "-")
	i := strings.LastIndexByte(suffix, '.')
	if i < 0 || i == len(suffix)-1 || !dash && suffix[0] != '.' || dash && i < 2 {
		return PathUnknown()
	}
	if j := strings.LastIndex(suffix[:i], ".tar"); j >= 0 && j == i-len(".tar") {
		i = j
	}
	if !dash {
		i = 0
	}
	c.Classifier, c.Extension = strings.TrimPrefix(suffix[:i], "-"), suffix[i+1:]
	return nil
}

// names are the names whose metadata a folder's could be: that of the artifact which its last element names.
func (t Target) NameOfFolder() string {
	last := len(t.Folder) - 1
	if last < 1 {
		return ""
	}
	return strings.Join(t.Folder[:last], ".") + "/" + t.Folder[last]
}
