package maven

import (
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// target is what a path in a repository of Maven's layout means. Which fields are set depends on shape.
// Source: maven.apache.org, "Maven2 repository layout"; maven-resolver, Maven2RepositoryLayoutFactory.
type target struct {
	shape
	coordinates
	folder []string // of shapeMetadata and shapeFolder: the path's elements
	sum    string   // the checksum that is asked for, without its dot; empty: the file itself
}

type shape string

// The shapes of paths, as the route table writes them.
const (
	shapeFile     shape = "/{group}/{artifact}/{version}/{file}"
	shapeSnapshot shape = "/{group}/{artifact}/{version}/maven-metadata.xml"
	shapeMetadata shape = "/{folder}/maven-metadata.xml"
	shapeFolder   shape = "/{folder}/"
	shapeCatalog  shape = "/archetype-catalog.xml"
)

// coordinates are of a file.
type coordinates struct {
	group, artifact string
	version         string // the folder's: "1.0", "1.1-SNAPSHOT"
	build           string // what the core calls the version: "1.0", "1.1-20261122.181910-1"
	classifier      string
	extension       string // "jar", "tar.gz"
	sidecar         string // "asc", "sigstore.json", or empty
	file            string
}

func (c coordinates) name() string    { return c.group + "/" + c.artifact }
func (c coordinates) purl() purl.PURL { return purl.New(purl.Maven, c.name(), c.build) }
func (c coordinates) snapshot() bool  { return isSnapshot(c.version) }

// signed is the name of the file that a sidecar is about.
func (c coordinates) signed() string { return strings.TrimSuffix(c.file, "."+c.sidecar) }

// sort is the sort of file, for comparison with the version before: "pom", "jar", "jar:sources".
func (c coordinates) sort() string {
	s := c.extension
	if c.classifier != "" {
		s += ":" + c.classifier
	}
	if c.sidecar != "" {
		s += "." + c.sidecar
	}
	return s
}

const (
	metadataFile   = "maven-metadata.xml"
	catalogFile    = "archetype-catalog.xml"
	snapshotSuffix = "-SNAPSHOT"
	maxPath        = 1024 // bytes
	maxSegment     = 255  // bytes; what common file systems take
	maxVersion     = 128  // bytes
)

func isSnapshot(version string) bool { return strings.HasSuffix(version, snapshotSuffix) }

var (
	// timestamped is the part of a snapshot's version that stands in for "SNAPSHOT".
	// Source: maven-resolver, Artifact, SNAPSHOT_TIMESTAMP.
	timestamped = regexp.MustCompile(`^([0-9]{8}\.[0-9]{6}-[0-9]{1,9})(.*)$`)
	// snapshotBuild is the version of such a build.
	snapshotBuild = regexp.MustCompile(`^(.+)-[0-9]{8}\.[0-9]{6}-[0-9]{1,9}$`)
)

// isSegment reports whether s may be a part of a path: letters, digits and ._~+-, without a dot in front. It is asked
// several times with every request.
func isSegment(s string) bool {
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

func pathUnknown() error {
	return fault.New(fault.NotFound, "path-unknown",
		"this is no address in a Maven repository; files are at group/artifact/version/artifact-version.extension")
}

// parsePath tells what a path below the repository's address means. It fails with path-unknown.
func parsePath(path string) (target, error) {
	path = strings.TrimPrefix(path, "/")
	if len(path) > maxPath {
		return target{}, pathUnknown()
	}
	folder := path == "" || strings.HasSuffix(path, "/")
	var parts []string
	if trimmed := strings.TrimSuffix(path, "/"); trimmed != "" {
		parts = strings.Split(trimmed, "/")
	}
	for _, p := range parts {
		if len(p) > maxSegment || !isSegment(p) {
			return target{}, pathUnknown()
		}
	}
	if folder {
		return target{shape: shapeFolder, folder: parts}, nil
	}
	var t target
	last := len(parts) - 1
	for _, s := range sums {
		if rest, ok := strings.CutSuffix(parts[last], "."+s); ok {
			parts[last], t.sum = rest, s
			break
		}
	}
	group := max(0, last-2) // how many folders are the group's
	if parts[last] == metadataFile && !isSnapshot(parts[max(0, last-1)]) {
		group = max(0, last-1)
	}
	if strings.Contains(strings.Join(parts[:group], ""), ".") {
		return target{}, pathUnknown() // a group has one address
	}
	switch {
	case len(parts) == 1 && parts[0] == catalogFile:
		t.shape = shapeCatalog
		return t, nil
	case parts[last] == metadataFile && last >= 3 && isSnapshot(parts[last-1]):
		t.shape = shapeSnapshot
		t.group, t.artifact, t.version = strings.Join(parts[:last-2], "."), parts[last-2], parts[last-1]
		return t, nil
	case parts[last] == metadataFile && last >= 1:
		t.shape, t.folder = shapeMetadata, parts[:last]
		return t, nil
	case last < 3:
		return target{}, pathUnknown()
	}
	t.shape = shapeFile
	t.group, t.artifact, t.version = strings.Join(parts[:last-2], "."), parts[last-2], parts[last-1]
	return t, t.parseFile(parts[last])
}

// parseFile splits a file's name, which begins with artifact and version.
func (c *coordinates) parseFile(file string) error {
	c.file, c.build = file, c.version
	if len(c.version) > maxVersion {
		return pathUnknown()
	}
	rest, ok := strings.CutPrefix(file, c.artifact+"-")
	if !ok {
		return pathUnknown()
	}
	base := strings.TrimSuffix(c.version, snapshotSuffix)
	after, literal := strings.CutPrefix(rest, c.version)
	if !literal && c.snapshot() {
		stamped, ok := strings.CutPrefix(rest, base+"-")
		m := timestamped.FindStringSubmatch(stamped)
		if !ok || m == nil {
			return pathUnknown()
		}
		c.build, after = base+"-"+m[1], m[2]
	} else if !literal {
		return pathUnknown()
	}
	for _, s := range []string{sidecarPGP, sidecarSigstore} {
		if cut, ok := strings.CutSuffix(after, "."+s); ok {
			after, c.sidecar = cut, s
			break
		}
	}
	return c.parseSuffix(after)
}

// The sidecars that are kept as files of their own.
const (
	sidecarPGP      = "asc"
	sidecarSigstore = "sigstore.json"
)

// parseSuffix reads "[-classifier].extension". A classifier may have dots; the extension is what follows
// the last one, or two parts where the first is "tar".
func (c *coordinates) parseSuffix(suffix string) error {
	dash := strings.HasPrefix(suffix, "-")
	i := strings.LastIndexByte(suffix, '.')
	if i < 0 || i == len(suffix)-1 || !dash && suffix[0] != '.' || dash && i < 2 {
		return pathUnknown()
	}
	if j := strings.LastIndex(suffix[:i], ".tar"); j >= 0 && j == i-len(".tar") {
		i = j
	}
	if !dash {
		i = 0
	}
	c.classifier, c.extension = strings.TrimPrefix(suffix[:i], "-"), suffix[i+1:]
	return nil
}

// names are the names whose metadata a folder's could be: that of the artifact which its last element names.
func (t target) nameOfFolder() string {
	last := len(t.folder) - 1
	if last < 1 {
		return ""
	}
	return strings.Join(t.folder[:last], ".") + "/" + t.folder[last]
}
